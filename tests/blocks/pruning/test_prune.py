"""A pruned block computes what the block computes when the readers of removed channels get zeros for them.

Covers also: blocks.channels.cuts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from keras import layers, ops

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing import zoo
from legodnn.blocks.pruning.prune import descendant
from legodnn.errors import ModelError

# Shrinking a counterexample would build models for minutes; they are small as they are.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Ramp(keras.layers.Layer):
    """An operation that pruning cannot know: its result depends on a channel's place."""

    def call(self, x: Any) -> Any:
        return x * ops.arange(1, x.shape[-1] + 1, dtype="float32")


def conv(filters: int, **options: Any) -> keras.layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", **options)


def _step(draw: Draw, tensors: list[Any]) -> Any:
    """One more tensor of the same height and width."""
    x = draw(st.sampled_from(tensors[-3:]))
    others = [t for t in tensors if t is not x and t.shape == x.shape]
    kind = draw(st.integers(0, 18))
    if kind <= 3:
        act = draw(st.sampled_from([None, "relu", "sigmoid", "tanh"]))
        return conv(draw(st.integers(1, 6)), activation=act, use_bias=draw(st.booleans()))(x)
    if kind <= 6 and others:
        return draw(st.sampled_from([layers.Add(), layers.Multiply(), layers.Maximum()]))([x, others[-1]])
    if kind == 7:
        return layers.Concatenate()([x, draw(st.sampled_from(tensors))])
    if kind == 8:
        return draw(st.sampled_from([Ramp, layers.LayerNormalization, layers.PReLU]))()(x)
    if kind == 9:
        return layers.MaxPooling2D(2, 1, padding="same")(x)
    if kind == 10:
        return layers.Dropout(0.5)(x)
    if kind == 11:
        return ops.relu(x) if draw(st.booleans()) else layers.ReLU()(x)
    if kind == 12:
        return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=draw(st.integers(1, 2)))(x)
    if kind == 13:
        made = draw(st.sampled_from([layers.SeparableConv2D, layers.Conv2DTranspose]))
        return made(draw(st.integers(1, 6)), 3, padding="same")(x)
    if kind == 14 and x.shape[-1] % 2 == 0:
        return conv(draw(st.sampled_from([2, 4, 6])), groups=2)(x)
    if kind == 15:
        gate = layers.Reshape((1, 1, x.shape[-1]))(layers.GlobalAveragePooling2D()(x))
        gate = layers.Dense(x.shape[-1], activation="sigmoid")(layers.Dense(2, activation="relu")(gate))
        return layers.Multiply()([x, gate])
    if kind == 16:
        return layers.Multiply()([x, conv(1, activation="sigmoid")(x)])
    if kind == 17:
        there, back = draw(
            st.sampled_from(
                [
                    (layers.ZeroPadding2D(1), layers.Cropping2D(1)),
                    (layers.UpSampling2D(2, interpolation="bilinear"), layers.AveragePooling2D(2)),
                    (layers.Reshape((16, x.shape[-1])), layers.Reshape((4, 4, x.shape[-1]))),
                    (layers.Rescaling(0.5, 0.1), layers.LeakyReLU()),
                ]
            )
        )
        return back(there(x))
    return layers.BatchNormalization()(x)


def small_model(draw: Draw) -> keras.Model:
    """A small Functional model."""
    inputs = keras.Input((4, 4, draw(st.integers(1, 3))))
    tensors = [inputs, conv(draw(st.integers(2, 6)))(inputs)]
    for _ in range(draw(st.integers(1, 7))):
        tensors.append(_step(draw, tensors))
    x, end = tensors[-1], draw(st.integers(0, 3))
    if end == 0:
        x = conv(3)(x)
    elif end == 1:
        x = layers.Dense(3)(layers.Flatten()(layers.AveragePooling2D(2)(x)))
    elif end == 2:
        x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


@settings(max_examples=40, phases=NO_SHRINKING)
@given(data=st.data(), sparsity=st.sampled_from([0.25, 0.5, 0.75, 0.99]))
def test_a_pruned_block_equals_the_block_with_zeros_for_removed_channels(
    check_pruned: Any, random_weights: Any, data: st.DataObject, sparsity: float
) -> None:
    check_pruned(random_weights(small_model(data.draw), data.draw(st.integers(0, 99))), sparsity)


@pytest.mark.slow
@settings(max_examples=500, phases=NO_SHRINKING)
@given(data=st.data(), sparsity=st.floats(0, 0.99))
def test_the_same_on_many_more_graphs(
    check_pruned: Any, random_weights: Any, data: st.DataObject, sparsity: float
) -> None:
    check_pruned(random_weights(small_model(data.draw), data.draw(st.integers(0, 99))), sparsity)


@pytest.mark.parametrize("make", [zoo.vgg16, zoo.resnet18, zoo.resnet20])
def test_the_same_on_the_blocks_of_the_zoo(check_pruned: Any, make: Callable[..., keras.Model]) -> None:
    blocks = [piece.model for piece in extract(make(0.06), max_blocks=3) if piece.kind == "block"]
    for block, sparsity in zip(blocks, (0.3, 0.6, 0.9), strict=True):
        check_pruned(block, sparsity)


def two_convs() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, conv(3, name="z")(conv(6, name="a")(inputs)))


def test_half_the_channels_go_at_sparsity_one_half() -> None:
    smaller = descendant(two_convs(), 0.5)
    assert smaller.get_layer("a").filters == 3
    assert smaller.get_layer("z").kernel.shape == (3, 3, 3, 3)


@pytest.mark.parametrize("sparsity", [0.9, 0.99, 0.999999])
def test_the_last_channel_is_never_removed(sparsity: float) -> None:
    assert descendant(two_convs(), sparsity).get_layer("a").filters == 1


def test_sparsity_0_gives_a_copy_that_shares_nothing() -> None:
    block = two_convs()
    copy = descendant(block, 0)
    before = [np.array(w) for w in block.get_weights()]
    copy.set_weights([w + 1 for w in copy.get_weights()])
    for a, b in zip(block.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_largest_filters_stay_in_their_order() -> None:
    block = two_convs()
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 6)).astype(np.float32)
    kernel[..., [1, 4]] *= 10
    block.get_layer("a").kernel.assign(kernel)
    np.testing.assert_array_equal(descendant(block, 0.67).get_layer("a").kernel, kernel[..., [1, 4]])


def test_any_function_of_block_channels_and_samples_serves_as_criterion() -> None:
    block = two_convs()
    last_first = descendant(block, 0.5, lambda block, channels, x=None: np.arange(channels.count, dtype=float))
    np.testing.assert_array_equal(last_first.get_layer("a").kernel, block.get_layer("a").kernel[..., 3:])


def test_a_descendant_of_a_frozen_block_can_be_trained() -> None:
    block = two_convs()
    block.trainable = False
    assert len(descendant(block, 0.5).trainable_variables) == 4


def test_a_block_with_nothing_to_remove_is_refused_with_the_reason() -> None:
    inputs = keras.Input((4, 4, 2), name="in")
    block = keras.Model(inputs, conv(3)(Ramp(name="ramp")(conv(6)(inputs))), name="mine")
    with pytest.raises(ModelError, match=r"'mine' has no inner channels.*\(ramp: Ramp is not known"):
        descendant(block, 0.5)
