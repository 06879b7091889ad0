"""Models are cut into the blocks of the LegoDNN paper, and the pieces together are the model.

Covers also: blocks.cutting.common_blocks, blocks.cutting.division.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks import zoo
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece, compose_pieces, extract, output_names
from legodnn.blocks.importing.graph import alone, as_list
from legodnn.blocks.importing.macs import macs
from tests.blocks.random_graphs import Ramp, conv


def model_of(body: Callable[[Any], Any], shape: tuple[int | None, ...] = (8, 8, 3), name: str = "mine") -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, body(inputs), name=name)


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with lively weights and batch-norm statistics, as after training."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in layer.get_weights()])
    return model


def largest_difference(model: keras.Model, pieces: list[Piece]) -> float:
    """Between the outputs of the composed pieces and of the undivided model, on random inputs."""
    rng = np.random.default_rng(1)
    xs = {t.name: rng.normal(size=(4, *t.shape[1:])).astype(np.float32) for t in model.inputs}
    tensors = compose_pieces(pieces, xs)
    whole = as_list(model(alone(list(xs.values())), training=False))
    assert all(np.abs(y).max() > 0.01 for y in whole)
    return max(
        float(np.abs(ops.convert_to_numpy(tensors[name]) - ops.convert_to_numpy(y)).max())
        for name, y in zip(output_names(pieces), whole, strict=True)
    )


def kinds(pieces: list[Piece]) -> list[str]:
    return [f"{p.name}:{p.kind}" for p in pieces]


def blocks(count: int) -> list[str]:
    return [f"block{i}:block" for i in range(1, count + 1)]


def test_vgg16_has_the_papers_5_blocks_its_stages() -> None:
    pieces = extract(zoo.vgg16(0.25))
    assert kinds(pieces) == [*blocks(5), "head:fixed"]
    for number, piece in enumerate(pieces[:5], start=1):
        assert piece.calls[0] == f"conv{number}_1"
        assert piece.calls[-1] == f"pool{number}"


def test_resnet18_has_the_papers_8_blocks_its_residual_blocks() -> None:
    pieces = extract(zoo.resnet18(0.5))
    assert kinds(pieces) == [*blocks(8), "head:fixed"]
    names = [f"layer{stage}_{i}" for stage in (1, 2, 3, 4) for i in (1, 2)]
    for name, piece in zip(names, pieces[:-1], strict=True):
        assert all(call.startswith((name, "stem")) for call in piece.calls)
    assert [p.name for p in pieces if any(call.startswith("stem") for call in p.calls)] == ["block1"]


def test_a_small_model_is_cut_into_few_blocks_unless_more_are_asked_for() -> None:
    model = zoo.resnet20()  # 273,000 parameters; 32x32 images of 16 channels go into its widest layers, and come out
    assert kinds(extract(model)) == [*blocks(3), "head:fixed"]
    assert kinds(extract(model, max_blocks=16)) == [*blocks(9), "head:fixed"]


def test_a_model_of_large_images_is_worth_more_blocks() -> None:
    found = [extract(zoo.resnet20(input_shape=(side, side, 3))) for side in (32, 64, 128)]
    assert [len(pieces) - 1 for pieces in found] == [3, 4, 9]


def test_a_large_stem_is_one_fixed_piece() -> None:
    pieces = extract(zoo.resnet18(0.1, (128, 128, 3)), max_blocks=16)
    assert kinds(pieces) == ["stem:fixed", *blocks(8), "head:fixed"]
    assert pieces[0].calls[-1] == "stem_pool"


def test_the_27_blocks_of_resnet56_are_joined_down_to_the_limit() -> None:
    model = zoo.resnet56(0.25)
    assert kinds(extract(model, max_blocks=16)) == [*blocks(16), "head:fixed"]
    assert kinds(extract(model, max_blocks=27)) == [*blocks(27), "head:fixed"]


@pytest.mark.parametrize("make", [zoo.vgg16, zoo.resnet18, zoo.resnet20, zoo.resnet56])
@pytest.mark.parametrize("max_blocks", [4, 16])
def test_the_composed_pieces_equal_the_undivided_model(make: Callable[..., keras.Model], max_blocks: int) -> None:
    model = randomised(make(0.08))
    pieces = extract(model, max_blocks)
    assert sum(p.kind == "block" for p in pieces) <= max_blocks
    assert largest_difference(model, pieces) < 1e-4
    assert sum(macs(p.model) for p in pieces) == macs(model)
    assert [name for p in pieces for name in p.calls] == [name for p in extract(model, 27, 0) for name in p.calls]


@pytest.mark.parametrize("max_blocks", range(1, 9))
def test_max_blocks_holds_and_every_block_can_be_pruned(max_blocks: int) -> None:
    pieces = extract(zoo.resnet18(0.05), max_blocks)
    found = [p for p in pieces if p.kind == "block"]
    assert len(found) == max_blocks
    assert all(analyse(p.model).groups for p in found)


def test_blocks_with_too_small_a_share_of_the_work_join_a_neighbour() -> None:
    model = zoo.vgg16(0.1)
    total = macs(model)
    for min_share in (0.0, 0.1, 0.15, 0.2):
        pieces = extract(model, 16, min_share)
        assert all(macs(p.model) >= min_share * total for p in pieces if p.kind == "block")
    joined = [p for p in extract(model, 16, 0.2) if p.kind == "block"]
    assert len(joined) < 5
    assert sum(macs(p.model) for p in joined) > 0.99 * total


def test_no_two_fixed_pieces_are_neighbours() -> None:
    found = [p.kind for p in extract(keras.applications.ResNet50(weights=None), max_blocks=3)]
    assert ("fixed", "fixed") not in pairwise(found)


def test_a_strided_convolution_opens_a_block() -> None:
    pieces = extract(model_of(lambda x: conv(4)(conv(6, strides=2)(conv(6)(conv(6)(x)))), (16, 16, 3)), min_share=0)
    assert [len(p.calls) for p in pieces] == [2, 2]


def test_padding_stays_with_the_convolution_that_reads_it() -> None:
    x = image = keras.Input((8, 8, 3))
    for _ in range(2):
        x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="padding")(x)
    x = layers.Conv2D(16, 3, 2, activation="relu")(x)
    x = layers.Conv2D(16, 3, padding="same")(x)
    first, second = (p for p in extract(keras.Model(image, x), min_share=0) if p.kind == "block")
    assert first.model.output_shape == (None, 8, 8, 16)
    assert second.calls[0] == "padding"


def test_a_plain_convolution_after_a_residual_block_opens_the_next() -> None:
    def body(x: Any) -> Any:
        x = layers.ReLU(name="join")(layers.Add()([conv(6)(conv(4, name="fork")(x)), conv(6)(x)]))
        return conv(3, name="last")(conv(8, name="next")(x))

    first, second = extract(model_of(body), min_share=0)
    assert (first.calls[0], first.calls[-1]) == ("fork", "join")
    assert second.calls == ("next", "last")


def test_convolutions_without_padding_work_at_one_resolution() -> None:
    plain = {"kernel_size": 3, "activation": "relu"}
    stack = keras.Sequential([layers.Conv2D(width, **plain) for width in (6, 5, 4)])
    pieces = extract(model_of(stack, (24, 24, 3)))
    assert kinds(pieces) == ["block1:block"]
    assert len(pieces[0].calls) == 3


def test_single_convolutions_between_poolings_become_blocks_two_by_two() -> None:
    x = [layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D()]
    y = [layers.Conv2D(12, 3, activation="relu"), layers.MaxPooling2D()]
    head = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(10)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *x, *y, *head])
    pieces = extract(model)
    assert kinds(pieces) == ["block1:block", "head:fixed"]
    assert str(analyse(pieces[0].model).groups[0]).startswith("8 channels")


def test_hidden_layers_of_a_classifier_that_holds_many_parameters_are_a_block() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), conv(6), conv(6), layers.Flatten()])
    for units in (32, 16):
        model.add(layers.Dense(units, activation="relu", name=f"hidden{units}"))
    model.add(layers.Dense(3, activation="softmax"))
    pieces = extract(model)
    assert kinds(pieces) == ["block1:block", "block2:block"]
    assert sorted(len(group.coupled) for group in analyse(pieces[1].model).groups) == [16, 32]
    assert kinds(extract(model, max_blocks=1)) == ["block1:block"]
    few = keras.Sequential([keras.Input((8, 8, 3)), conv(64), conv(64), layers.GlobalAveragePooling2D()])
    few.add(layers.Dense(2, activation="relu"))
    few.add(layers.Dense(3))
    assert kinds(extract(few)) == ["block1:block", "head:fixed"]


def test_a_small_block_that_joins_the_end_is_a_block_by_the_parameters_of_both() -> None:
    def body(x: Any) -> Any:
        x = conv(32)(x)
        x = layers.Add()([x, Ramp()(conv(32)(x))])  # most of the work, of which no channel can go
        x = conv(2)(conv(3)(layers.MaxPooling2D(8)(x)))
        return layers.Dense(3)(layers.Dense(64)(layers.Flatten()(x)))

    pieces = extract(model_of(body, (32, 32, 3)))
    assert kinds(pieces) == ["stem:fixed", "block1:block"]
    assert [len(group.coupled) for group in analyse(pieces[1].model).groups] == [3, 2, 64]


def test_a_built_sequential_model_is_cut_like_a_functional_one() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), conv(6), conv(6), layers.Flatten(), layers.Dense(3)])
    assert kinds(extract(model)) == ["block1:block", "head:fixed"]


def test_a_model_is_not_cut_at_a_second_output_of_an_operation() -> None:
    def body(x: Any) -> Any:
        _, second = ops.split(conv(8)(conv(6)(x)), 2, axis=-1)
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(conv(4)(conv(6, strides=2)(second))))

    model = model_of(body)
    assert largest_difference(model, extract(model)) < 1e-5


def unet() -> keras.Model:
    """An encoder-decoder of three levels: skip connections cross segments."""
    x = inputs = keras.Input((32, 32, 3), name="scene")
    skips = []
    for width in (4, 6, 8):
        x = conv(width)(conv(width)(x))
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = conv(8)(conv(10)(x))
    for width in (8, 6, 4):
        x = layers.Conv2DTranspose(width, 2, 2)(x)
        x = conv(width)(conv(width)(layers.Concatenate()([x, skips.pop()])))
    return keras.Model(inputs, layers.Conv2D(5, 1)(x), name="unet")


def detector() -> keras.Model:
    """Three heads at three resolutions, the smaller ones up-sampled into the larger (YOLO-style)."""
    x = inputs = keras.Input((32, 32, 3), name="scene")
    levels = []
    for width in (4, 6, 8):
        x = conv(width, strides=2)(x)
        x = layers.Add()([x, conv(width)(conv(width)(x))])
        levels.append(x)
    outputs, up = [], None
    for x in reversed(levels):
        y = x if up is None else layers.Concatenate()([x, layers.UpSampling2D()(up)])
        y = conv(6)(conv(8)(y))
        outputs.append(layers.Conv2D(7, 1)(y))
        up = y
    return keras.Model(inputs, outputs, name="detector")


def siamese() -> keras.Model:
    """Two inputs through one nested, shared encoder, which holds a nested model itself."""
    inner = keras.Sequential([keras.Input((8, 8, 4)), conv(6), conv(4)], name="inner")
    tower_in = keras.Input((8, 8, 3))
    tower = keras.Model(tower_in, inner(layers.Conv2D(4, 3, padding="same", name="first")(tower_in)), name="tower")
    a, b = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    x = layers.Subtract()([tower(a), tower(b)])
    x = layers.Concatenate()([layers.Conv2D(4, 3, padding="same", name="first")(x), x])
    x = layers.GlobalAveragePooling2D()(conv(4)(conv(6)(conv(6)(x))))
    return keras.Model([a, b], layers.Dense(3)(x), name="siamese")


def gated(x: Any, width: int) -> Any:
    gate = layers.Reshape((1, 1, width))(layers.GlobalAveragePooling2D()(x))
    return layers.Multiply()([x, layers.Conv2D(width, 1, activation="sigmoid")(layers.Conv2D(2, 1)(gate))])


def inverted_residual(x: Any, name: str, width: int, stride: int = 1) -> Any:
    y = layers.Conv2D(3 * x.shape[-1], 1, activation="relu", name=f"{name}_expand")(x)
    y = layers.DepthwiseConv2D(3, stride, padding="same", activation="relu", name=f"{name}_depthwise")(y)
    y = layers.Conv2D(width, 1, name=f"{name}_project")(gated(y, y.shape[-1]))
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == width else y


def test_every_inverted_residual_is_a_block_gated_or_strided() -> None:
    def body(x: Any) -> Any:
        for name, width, stride in (("a", 4, 1), ("b", 6, 2), ("c", 6, 1), ("d", 8, 2)):
            x = inverted_residual(x, name, width, stride)
        return x

    pieces = extract(model_of(body, (16, 16, 4)), 16, 0)
    assert kinds(pieces) == blocks(4)
    for piece, name in zip(pieces, "abcd", strict=True):
        assert piece.calls[0] == f"{name}_expand"
        assert piece.calls[-1] in (f"{name}_add", f"{name}_project")
        makers = {layer for group in analyse(piece.model).groups for layer in group.makers}
        assert f"{name}_expand" in makers


def test_the_decoder_behind_a_dense_code_is_cut_too() -> None:
    def body(x: Any) -> Any:
        x = layers.Dense(4, name="code")(layers.Flatten()(conv(6, strides=2)(conv(4)(conv(4)(x)))))
        x = layers.Reshape((4, 4, 6))(layers.Dense(96)(x))
        return conv(3)(conv(4)(layers.Conv2DTranspose(6, 2, 2, name="up")(x)))

    pieces = extract(model_of(body), min_share=0)
    assert {p.kind for p in pieces} == {"block"}
    assert any(p.calls[0] == "up" for p in pieces)


def test_what_has_nothing_to_remove_joins_a_neighbour_that_it_sets_free() -> None:
    def branch(x: Any) -> Any:  # all its channels are joined into its output
        return layers.Concatenate(name="joined")([conv(4, name="left")(x), conv(4, dilation_rate=2)(x)])

    # A residual's channels are also its input's: nothing is gained by joining.
    pieces = extract(model_of(lambda x: branch(layers.Add()([x, conv(3)(conv(5)(x))]))), min_share=0)
    assert kinds(pieces) == ["block1:block", "head:fixed"]
    (only,) = extract(model_of(lambda x: branch(layers.ReLU()(conv(5, name="last")(conv(4)(x))))), min_share=0)
    assert [str(g) for g in analyse(only.model).groups][-1] == "5 channels made by last"
    (only,) = extract(model_of(lambda x: conv(3)(branch(x))), min_share=0)
    assert {str(g) for g in analyse(only.model).groups} >= {"4 channels made by left"}


def test_a_long_braid_where_every_cell_reads_the_two_before_it_is_divided() -> None:
    def body(x: Any) -> Any:
        before, x = x, conv(4)(x)
        for _ in range(8):
            y = x
            for _ in range(7):
                y = layers.ReLU()(conv(4)(y))
            before, x = x, layers.Add()([y, conv(4)(before)])
        return conv(3)(x)

    model = model_of(body)
    pieces = extract(model, min_share=0)
    assert len(pieces) > 2
    assert all(len(p.calls) < 100 for p in pieces)
    assert max(len(p.inputs) for p in pieces) == 2
    assert sum(len(p.calls) for p in pieces) == 8 * 16 + 2


class Steeper(Ramp):
    def build(self, shape: Any) -> None:
        self.slope = self.add_weight(shape=(), initializer="ones")

    def call(self, x: Any) -> Any:
        return super().call(x) * self.slope


def test_a_custom_layer_stays_whole_and_keeps_its_neighbours_channels() -> None:
    def body(x: Any) -> Any:
        x = layers.Add()([x, conv(3)(conv(5, name="free")(x))])
        return layers.Add()([x, conv(3, name="behind")(Steeper(name="ramp")(conv(6, name="kept")(x)))])

    model = model_of(body)
    first, second = extract(model, min_share=0)
    assert kinds([first, second]) == ["block1:block", "head:fixed"]
    assert "ramp" in second.calls
    assert analyse(second.model).kept_whole == {"ramp": "Steeper is not known to keep channels apart"}
    assert largest_difference(model, [first, second]) < 1e-5


def test_a_layer_may_be_shared_by_several_segments() -> None:
    shared = conv(3, name="shared")

    def body(x: Any) -> Any:
        for _ in range(3):
            x = layers.Add()([x, shared(conv(5)(x))])
        return x

    model = model_of(body)
    pieces = extract(model, min_share=0)
    assert [p.calls.count("shared") for p in pieces] == [1, 1, 1]
    assert largest_difference(model, pieces) < 1e-4
    assert [p.model.get_layer("shared") for p in pieces] == [shared] * 3


def test_a_siamese_network_is_cut_through_its_tower() -> None:
    tower = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(layers.Conv2D(16, 3), layers.MaxPooling2D(), layers.Conv2D(32, 3), layers.MaxPooling2D()),
            *(layers.Conv2D(32, 3), layers.GlobalAveragePooling2D(), layers.Dense(16)),
        ]
    )
    pair = [keras.Input((28, 28, 1), name=name) for name in ("left", "right")]
    apart = ops.abs(tower(pair[0]) - tower(pair[1]))
    model = keras.Model(pair, layers.Dense(1)(layers.Dense(32, activation="relu")(apart)))
    pieces = extract(model)
    assert "block" in {piece.kind for piece in pieces}
    assert largest_difference(model, pieces) < 1e-5


def test_the_models_outputs_are_known_by_name_whatever_their_order() -> None:
    inputs = keras.Input((8, 8, 3))
    early = layers.Add()([inputs, conv(3)(conv(5)(inputs))])
    late = layers.Add()([early, conv(3)(conv(5)(early))])
    for outputs, names in (
        ([late, early], ("block2", "block1")),  # automatic names (add_1) change from run to run
        ({"last": late, "first": early}, ("last", "first")),
        ({"of a sentence": late, "first": early}, ("block2", "first")),
        ({"block1": late, "first": early}, ("block1", "first")),
        ({"block1": late, "add": early}, ("block2", "block1")),  # otherwise two tensors had one name
    ):
        assert output_names(extract(keras.Model(inputs, outputs), min_share=0)) == names
