"""What cannot be cut is refused in one line that names the layer or the input.

Covers also: blocks.importing.checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks import zoo
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import extract
from legodnn.errors import ModelError
from tests.blocks.random_graphs import conv


def model_of(body: Callable[[Any], Any], shape: tuple[int | None, ...] = (8, 8, 3)) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, body(inputs), name="mine")


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


class Unpredictable(keras.layers.Layer):
    """Somebody's own layer that does not tell its output's shape."""

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, None, None, x.shape[-1]), x.dtype)

    def call(self, x: Any) -> Any:
        return x


def with_weight(value: float) -> keras.Model:
    inner = keras.Sequential([keras.Input((8, 8, 3)), conv(4), conv(4, name="broken")])
    kernel = np.zeros((3, 3, 4, 4))
    kernel[1, 1, 2, 2] = value
    inner.get_layer("broken").kernel.assign(kernel)
    return model_of(lambda x: conv(3)(inner(x)))


def passed_on() -> keras.Model:
    inputs = keras.Input((8, 8, 3), name="scene")
    return keras.Model(inputs, [conv(3)(conv(4)(inputs)), inputs])


def named_like_a_segment() -> keras.Model:
    inputs = keras.Input((8, 8, 3), name="block1")
    return keras.Model(inputs, conv(3)(conv(4)(inputs)))


def repvgg() -> keras.Model:
    """Every block adds two convolutions of its input, and that to the next: none has channels of its own."""

    def body(x: Any) -> Any:
        for filters, strides in ((8, 2), (8, 1), (16, 2), (16, 1)):
            branches = [conv(filters, strides=strides)(x), layers.Conv2D(filters, 1, strides)(x)]
            x = layers.ReLU()(layers.Add()([*branches, x] if strides == 1 else branches))
        return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))

    return model_of(body, (32, 32, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Subclassed(), "has no graph of layers"),
        (lambda: keras.Sequential([layers.Dense(3)]), "is not built"),
        (
            lambda: model_of(lambda x: conv(3, name="only")(x)),
            "no block whose inner channels could be removed .*: only: its channels leave its segment$",
        ),
        (
            lambda: model_of(lambda x: layers.Dense(3, name="d")(layers.Flatten(name="f")(x))),
            "no block whose inner channels .*: d: its channels leave its segment$",
        ),
        (
            lambda: model_of(lambda x: layers.LayerNormalization(name="n")(conv(4, activation="softmax", name="c")(x))),
            "no block .*: c: its activation softmax is not known to keep channels apart; n: it normalises over the ch",
        ),
        (lambda: model_of(lambda x: layers.MaxPooling2D()(x)), "no block .*: no layer in it makes channels, as conv"),
        (
            lambda: model_of(lambda x: layers.Concatenate()([conv(2, name=f"c{i}")(x) for i in range(9)])),
            "no block .*: c0: its .*; c5: its channels leave its segment; and 3 more$",
        ),
        (
            lambda: repvgg(),
            "no block .*: .* its channels leave its segment; .*go where the whole model is one block: leg",
        ),
        (
            lambda: model_of(lambda x: conv(3, data_format="channels_first", name="c")(x), (3, 8, 8)),
            "no block .*: c: its channels are not on the last axis. Give the folder that model.export.FOLDER. makes",
        ),
        (lambda: model_of(lambda x: conv(3)(conv(4)(x)), (None, None, 3)), "give keras.Input a fixed shape"),
        (lambda: model_of(lambda x: conv(3)(Unpredictable(name="odd")(conv(4)(x)))), r"layer 'odd' .Unpredictable."),
        (
            lambda: model_of(lambda x: conv(3)(ops.reshape(conv(4)(x), (2, 8, 8, 4)))),
            r"layer 'reshape.*' .Reshape. of model 'mine' gives a tensor of shape .2, 8, 8, 4.",
        ),
        (lambda: with_weight(np.nan), r"layer 'broken' of model 'mine' has NaN or infinity in its weights .kernel."),
        (lambda: with_weight(-np.inf), "layer 'broken' of model 'mine' has NaN or infinity"),
        (passed_on, "gives its input 'scene' as an output; leave that output out"),
        (named_like_a_segment, "input 'block1' has the name of a segment"),
    ],
)
def test_a_model_that_cannot_be_cut_is_refused(make: Callable[[], keras.Model], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        extract(make())
    assert len(str(caught.value).splitlines()) == 1


def test_limits_that_leave_no_block_are_refused() -> None:
    with pytest.raises(ModelError, match="max_blocks must be at least 1, got 0"):
        extract(zoo.vgg16(0.05), max_blocks=0)
    too_small = r"no block .* that holds 0.995 of its.*: the largest candidate, .* to .*, holds 0.\d+ of them; lower"
    with pytest.raises(ModelError, match=too_small):
        extract(zoo.resnet20(), min_share=0.995)


def test_networks_of_gated_units_without_kernels_have_a_block() -> None:
    def body(x: Any) -> Any:
        for name in "ab":
            held, gate = ops.split(conv(16, name=name)(x), 2, axis=-1)
            x = ops.tanh(held) * ops.sigmoid(gate)
        return conv(3)(x)

    (piece,) = extract(model_of(body), min_share=0)
    assert [str(g) for g in analyse(piece.model).groups] == ["8 channels made by a x 2", "8 channels made by b x 2"]


def test_a_last_convolution_that_only_the_models_end_reads_is_a_block_with_it() -> None:
    def body(x: Any) -> Any:
        x = layers.LayerNormalization()(layers.Add()([x, conv(3)(conv(8)(x))]))
        return layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.ReLU()(conv(32, name="last")(x))))

    pieces = extract(model_of(body))
    assert [p.kind for p in pieces] == ["block", "block"]
    assert [str(g) for g in analyse(pieces[1].model).groups] == ["32 channels made by last"]
