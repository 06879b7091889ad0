"""A merged block computes what the block computes whose clusters are equal."""

from __future__ import annotations

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
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.pruning.merging import Clusters, merge_channels, nearest_kept, pull_together
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.widths import full_widths, removed_ids
from tests.blocks.random_graphs import NO_SHRINKING, conv, small_model


def check_merged(model: keras.Model, seed: int) -> keras.Model:
    """Make random clusters equal, merge them, and compare; return the merged block."""
    rng, channels = np.random.default_rng(seed), analyse(model)
    clusters: Clusters = ()
    for n in full_widths(channels).tolist():
        kept = rng.choice(n, rng.integers(1, max(2, n)), replace=False)
        into = np.where(np.isin(np.arange(n), kept), np.arange(n), rng.choice(kept, n))
        clusters = (*clusters, into)
    clustered = remove(model, channels, np.empty(0, np.int64))
    pull_together(clustered, analyse(clustered), clusters, 1.0)
    removed, merged = merge_channels(clustered, analyse(clustered), clusters)
    x = rng.normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    for found, wanted in zip(as_list(merged(x, training=False)), as_list(clustered(x, training=False)), strict=True):
        wanted = np.asarray(wanted)
        assert np.abs(np.asarray(found) - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())
    plain = remove(model, channels, removed)
    assert [w.shape for w in merged.get_weights()] == [w.shape for w in plain.get_weights()]
    return merged


@settings(max_examples=8, phases=NO_SHRINKING)
@given(data=st.data(), seed=st.integers(0, 99))
def test_merging_equal_channels_changes_nothing(random_weights: Any, data: st.DataObject, seed: int) -> None:
    check_merged(random_weights(small_model(data.draw), seed), seed)


@pytest.mark.slow
@settings(max_examples=400, phases=NO_SHRINKING)
@given(data=st.data(), seed=st.integers(0, 9999))
def test_the_same_on_many_more_graphs(random_weights: Any, data: st.DataObject, seed: int) -> None:
    check_merged(random_weights(small_model(data.draw), seed), seed)


def residual(x: Any) -> Any:
    y = layers.BatchNormalization()(conv(6)(x))
    return conv(2)(layers.ReLU()(layers.Add()([conv(6)(x), conv(6)(layers.ReLU()(y))])))


def concatenated(x: Any) -> Any:
    a, b = conv(5, activation="relu")(x), conv(4, activation="tanh")(x)
    return layers.Dense(2)(layers.Flatten()(layers.Concatenate()([a, b, a])))


def depthwise(x: Any) -> Any:
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(conv(5)(x))
    return layers.SeparableConv2D(3, 2, depth_multiplier=2)(layers.PReLU()(y))


def squeeze_and_excite(x: Any) -> Any:
    y = conv(6, activation="relu")(x)
    gate = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    return conv(2)(layers.Multiply()([y, layers.Dense(6, activation="sigmoid")(gate)]))


def grouped(x: Any) -> Any:
    y = conv(8, groups=2, activation="relu")(conv(4, activation="relu")(x))
    return conv(2)(conv(8, groups=8)(y))


def transposed(x: Any) -> Any:
    return layers.Conv2DTranspose(3, 2)(layers.Conv2DTranspose(6, 3, activation="relu")(x))


@pytest.mark.parametrize("body", [residual, concatenated, depthwise, squeeze_and_excite, grouped, transposed])
@pytest.mark.parametrize("seed", range(2))
def test_the_same_for_every_way_in_which_channels_are_coupled(random_weights: Any, body: Any, seed: int) -> None:
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, body(inputs))
    merged = check_merged(random_weights(model, seed), seed)
    assert merged.count_params() < model.count_params()


def test_the_same_on_a_block_of_the_zoo(random_weights: Any) -> None:
    check_merged(next(p.model for p in extract(zoo.resnet20(0.5)) if p.kind == "block"), 1)


def test_readers_slices_are_added() -> None:
    inputs = keras.Input((1, 1, 1))
    block = keras.Model(inputs, layers.Dense(1, name="z")(layers.Dense(3, name="a")(inputs)))
    block.set_weights(
        [np.array([[1.0, 5.0, 1.0]]), np.array([2.0, 0.0, 2.0]), np.array([[3.0], [4.0], [7.0]]), np.zeros(1)]
    )
    removed, merged = merge_channels(block, analyse(block), (np.array([0, 1, 0]),))
    assert removed.tolist() == [3]
    np.testing.assert_array_equal(merged.get_layer("z").kernel, [[10.0], [4.0]])
    np.testing.assert_array_equal(block.get_layer("z").kernel, [[3.0], [4.0], [7.0]])


def test_a_removed_set_goes_to_the_nearest_that_stays() -> None:
    inputs = keras.Input((1, 1, 2))
    block = keras.Model(inputs, layers.Dense(1)(layers.Dense(4, use_bias=False, name="a")(inputs)))
    block.get_layer("a").kernel.assign(np.array([[1.0, 0.0, 0.9, 0.1], [0.0, 1.0, 0.1, 0.9]]))
    channels = analyse(block)
    removed = removed_ids(channels, np.array([2]), [np.array([2.0, 2.0, 1.0, 1.0])])
    (into,) = nearest_kept(block, channels, removed)
    assert into.tolist() == [0, 1, 0, 1]
    pull_together(block, channels, (into,), 0.5)
    np.testing.assert_allclose(block.get_layer("a").kernel[0], [0.975, 0.025, 0.925, 0.075], rtol=1e-6)
