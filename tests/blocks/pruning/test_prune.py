"""A pruned block computes what the block computes when the layers that sum over removed channels read zeros for them.

Covers also: blocks.channels.cuts, blocks.pruning.surgery.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks import zoo
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.pruning.masked import run_masked
from legodnn.blocks.pruning.prune import descendant
from legodnn.errors import ModelError
from tests.blocks.random_graphs import NO_SHRINKING, Ramp, conv, small_model


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


def test_the_same_on_a_classifier_with_hidden_layers_and_a_softmax(check_pruned: Any, random_weights: Any) -> None:
    image = keras.Input((4, 4, 3))
    hidden = keras.layers.Dense(12, activation="relu", name="hidden1")(keras.layers.Flatten()(image))
    hidden = keras.layers.Dense(8, activation="relu", name="hidden2")(keras.layers.Dropout(0.5)(hidden))
    block = random_weights(keras.Model(image, keras.layers.Dense(5, activation="softmax", name="scores")(hidden)), 0)
    check_pruned(block, 0.5)
    smaller = descendant(block, 0.5)
    assert [smaller.get_layer(f"hidden{i}").units for i in (1, 2)] == [6, 4]
    assert smaller.get_layer("scores").units == 5


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


@pytest.mark.parametrize(
    "make",
    [
        lambda alpha: layers.Conv2D(5, 3, activation=alpha),
        lambda alpha: layers.Conv2D(5, 3, activation=alpha, use_bias=False),
        lambda alpha: layers.SeparableConv2D(5, 3, activation=alpha),
        lambda alpha: layers.Conv2DTranspose(5, 3, activation=alpha),
        lambda alpha: layers.DepthwiseConv2D(3, activation=alpha),
    ],
)
@pytest.mark.parametrize("shared_axes", [None, (1, 2)])
def test_an_activation_with_weights_keeps_them(
    check_pruned: Any, random_weights: Any, make: Any, shared_axes: Any
) -> None:
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = make(layers.PReLU(shared_axes=shared_axes))(layers.Conv2D(6, 3, padding="same")(x))
    check_pruned(random_weights(keras.Model(inputs, layers.Conv2D(3, 3)(x)), 0), 0.5)


def test_a_block_is_masked_where_tensors_have_another_type() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.ops.cast(layers.Conv2D(6, 3)(inputs), "float16")
    block = keras.Model(inputs, keras.ops.cast(layers.Conv2D(4, 3, dtype="float16")(x), "float32"))
    channels = analyse(block)
    found = run_masked(block, channels, [np.ones((2, 8, 8, 3), np.float32)], np.ones(channels.count, np.float32))
    np.testing.assert_array_equal(found[0], block(np.ones((2, 8, 8, 3), np.float32)))
