"""Which channels of a block are coupled, by the rule of each operation, and which must stay.

Covers also: blocks.channels.reasons, blocks.channels.relations, blocks.channels.rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks import zoo
from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.cutting.extract import extract


def conv(filters: int, name: str, **options: Any) -> keras.layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", name=name, **options)


def channels_of(body: Callable[[Any], Any], shape: tuple[int, ...] = (8, 8, 3)) -> Channels:
    inputs = keras.Input(shape)
    model = keras.Model(inputs, body(inputs))
    found = analyse(model)
    # Whatever is removed must be made inside: no number of an input or output is in any group.
    outer = {int(i) for t in (*model.inputs, *model.outputs) for i in found.of[id(t)]}
    assert not outer & {int(i) for g in found.groups for ids in g.coupled for i in ids}
    return found


def between(*middle: Any) -> Channels:
    """Two convolutions, `a` of 6 channels and the output `z`, with these layers or functions between them."""

    def body(x: Any) -> Any:
        x = conv(6, "a")(x)
        for layer in middle:
            x = layer(x)
        return conv(3, "z")(x)

    return channels_of(body)


def groups(channels: Channels) -> list[str]:
    return [str(group) for group in channels.groups]


def test_a_group_prints_readably() -> None:
    assert groups(between()) == ["6 channels made by a"]
    assert groups(extract_one(zoo.resnet18(0.1))) == ["6 channels made by layer1_1_conv1"]


def extract_one(model: keras.Model) -> Channels:
    return analyse(extract(model, max_blocks=16)[0].model)


@pytest.mark.parametrize(
    "layer",
    [
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.LeakyReLU(),
        layers.ELU(),
        layers.Activation("swish"),
        layers.Activation("gelu"),
        layers.Dropout(0.5),
        layers.SpatialDropout2D(0.5),
        layers.GaussianNoise(0.1),
        layers.MaxPooling2D(),
        layers.AveragePooling2D(2),
        layers.UpSampling2D(),
        layers.ZeroPadding2D(),
        layers.Cropping2D(),
        layers.Rescaling(2.0, 1.0),
        layers.Identity(),
        ops.relu,
        lambda x: x * 2.0 + 1.0,
        lambda x: layers.Add()([x, x]),
    ],
)
def test_operations_on_each_channel_alone_let_channels_go(layer: Any) -> None:
    assert groups(between(layer)) == ["6 channels made by a"]


class Ramp(keras.layers.Layer):
    """An operation of somebody's own: scales each channel by its place."""

    def call(self, x: Any) -> Any:
        return x * ops.arange(x.shape[-1], dtype="float32")


class ReLU(keras.layers.Layer):
    """Somebody's own layer that only has a known name."""

    def call(self, x: Any) -> Any:
        return ops.softmax(x)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Ramp(name="it"), "Ramp is not known to keep channels apart"),
        (ReLU(name="it"), "ReLU is not known to keep channels apart"),
        (layers.Softmax(name="it"), "it normalises over the channels"),
        (layers.LayerNormalization(name="it"), "it normalises over the channels"),
        (layers.EinsumDense("abcd,de->abce", (None, None, 6), name="it"), "EinsumDense is not known"),
        (layers.Lambda(lambda x: x * 2, name="it"), "Lambda is not known"),
        (keras.Sequential([layers.ReLU()], name="it"), "Sequential is a model inside the model"),
        (layers.Activation("softmax", name="it"), "softmax is not known"),
        (layers.Activation("sparsemax", name="it"), "sparsemax is not known"),
        (layers.Activation(lambda x: ops.softmax(x), name="it"), "<lambda> is not known"),
        (layers.BatchNormalization(axis=1, name="it"), "it normalises another axis"),
        (layers.Rescaling([1.0] * 6, name="it"), "it reads a constant for each channel"),
        (layers.AveragePooling2D(2, data_format="channels_first", name="it"), "its channels are not on the last axis"),
        (layers.Reshape((8, 12, 4), name="it"), "it divides channels among positions"),
        (layers.Dropout(0.5, noise_shape=(1, 1, 1, 6), name="it"), "its configuration holds the number of channels"),
    ],
)
def test_what_is_not_understood_keeps_its_channels_and_says_why(layer: Any, reason: str) -> None:
    found = between(layer)
    assert groups(found) == []
    assert reason in found.kept_whole["it"]


def test_a_second_tensor_such_as_a_mask_keeps_the_channels_of_both() -> None:
    def body(x: Any) -> Any:
        mask = ops.cast(conv(6, "b", activation="relu")(x), "bool")
        return conv(2, "z")(layers.Softmax(axis=1, name="it")(conv(6, "a")(x), mask=mask))

    found = channels_of(body)
    assert groups(found) == []
    assert "reads more than one tensor" in found.kept_whole["it"]


@pytest.mark.parametrize("activation", ["softmax", layers.PReLU()])
def test_an_activation_that_mixes_what_a_layer_makes_keeps_that_but_not_what_the_layer_reads(activation: Any) -> None:
    found = between(layers.Conv2D(5, 3, activation=activation, name="it"))
    (group,) = groups(found)
    assert group.startswith("6 channels made by")
    assert "is not known to keep channels apart" in found.kept_in_part["it"]
    assert found.reasons == found.kept_in_part


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: ops.flip(x, -1),
        lambda x: x[..., ::-1],
        lambda x: x * np.arange(6.0, dtype=np.float32),
        lambda x: ops.reshape(ops.average(x, axis=-1), (-1, 8, 8, 1)) + x,
        lambda x: ops.transpose(x, (0, 3, 1, 2)),
        lambda x: x * np.array([[[1, 2, 3, 4, 5, 6]]], np.float32),
        lambda x: ops.reshape(x, (-1, 4, 8, 6)),
        lambda x: ops.clip(x, 0.0, np.arange(6.0)),
        lambda x: ops.softmax(x),
        lambda x: x * ops.mean(x, axis=-1, keepdims=True),
    ],
)
def test_operations_that_move_or_mix_channels_keep_them(operation: Any) -> None:
    assert groups(between(operation)) == []


def test_addition_ties_channels_one_by_one() -> None:
    def body(x: Any) -> Any:
        a, b = conv(6, "a")(x), conv(6, "b")(x)
        return conv(3, "z")(layers.Add()([a, b]))

    (group,) = channels_of(body).groups
    assert str(group) == "6 channels made by a + b"
    assert {len(ids) for ids in group.coupled} == {2}


def test_concatenation_keeps_the_channels_of_its_parts_apart() -> None:
    def body(x: Any) -> Any:
        return conv(3, "z")(layers.Concatenate()([conv(6, "a")(x), conv(4, "b")(x)]))

    assert groups(channels_of(body)) == ["6 channels made by a", "4 channels made by b"]


def test_concatenation_with_an_input_keeps_the_inputs_part() -> None:
    def body(x: Any) -> Any:
        return conv(3, "z")(layers.Concatenate()([x, conv(4, "b")(x)]))

    assert groups(channels_of(body)) == ["4 channels made by b"]


def test_partial_ties_divide_a_layers_channels_into_groups() -> None:
    def body(x: Any) -> Any:
        joined = layers.Concatenate()([conv(2, "a")(x), conv(4, "b")(x)])
        return conv(3, "z")(layers.Add()([joined, conv(6, "c")(x)]))

    assert sorted(groups(channels_of(body))) == ["2 channels made by a + c", "4 channels made by b + c"]


def test_a_residual_around_the_block_keeps_what_is_added_to_its_input() -> None:
    def body(x: Any) -> Any:
        return layers.Add()([conv(3, "b")(conv(6, "a")(x)), x])

    assert groups(channels_of(body)) == ["6 channels made by a"]


def test_a_flattened_channel_goes_with_all_its_positions() -> None:
    for flatten in (layers.Flatten(), layers.Reshape((-1,)), layers.Reshape((8 * 8 * 6,))):
        body: Any = lambda x, f=flatten: layers.Dense(3)(f(conv(6, "a")(x)))  # noqa: E731
        (group,) = channels_of(body).groups
        assert str(group) == "6 channels made by a"


def test_a_vector_in_another_order_keeps_its_channels() -> None:
    flatten = layers.Flatten(data_format="channels_first")
    assert groups(channels_of(lambda x: layers.Dense(3)(flatten(conv(6, "a")(x))))) == []


def test_squeeze_and_excitation_ties_the_gate_to_what_it_gates() -> None:
    def body(x: Any) -> Any:
        x = conv(6, "a")(x)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Dense(6, activation="sigmoid", name="up")(layers.Dense(2, activation="relu", name="down")(gate))
        return conv(3, "z")(layers.Multiply()([x, gate]))

    assert sorted(groups(channels_of(body))) == ["2 channels made by down", "6 channels made by a + up"]


def test_a_layer_that_is_used_twice_loses_the_same_channels_in_both_places() -> None:
    def body(x: Any) -> Any:
        shared = conv(6, "shared")
        return conv(3, "z")(shared(shared(conv(6, "a")(x))))

    assert groups(channels_of(body)) == ["6 channels made by a + shared"]
    found = channels_of(
        lambda x: conv(3, "z")((norm := layers.BatchNormalization())(conv(4, "b")(norm(conv(4, "a")(x)))))
    )
    assert groups(found) == ["4 channels made by a + b"]


def test_a_layer_that_is_used_twice_keeps_its_channels_where_one_use_needs_them() -> None:
    def body(x: Any) -> Any:
        shared = conv(6, "shared")
        return conv(3, "z")(shared(Ramp()(shared(conv(6, "a")(x)))))

    assert groups(channels_of(body)) == []

    def reshaped(x: Any) -> Any:
        flat = layers.Reshape((-1, 2), name="flat")
        rows = flat(conv(4, "a")(x)), flat(conv(8, "b")(x))
        return layers.Dense(2)(layers.Concatenate(axis=1)(rows))

    found = channels_of(reshaped)
    assert groups(found) == []
    assert found.kept_whole["flat"] == "flat is used more than once, on tensors of different shapes"


def test_an_activation_that_is_used_twice_lets_channels_go() -> None:
    relu = layers.ReLU()
    found = channels_of(lambda x: conv(3, "z")(relu(conv(6, "b")(relu(conv(6, "a")(x))))))
    assert groups(found) == ["6 channels made by a", "6 channels made by b"]
