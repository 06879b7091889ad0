"""What each criterion holds important, computed by hand or by brute force.

Covers also: blocks.pruning.response_criteria.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.criteria import Criterion, Importance, batch_norm_scale, l1, l2
from legodnn.blocks.pruning.prune import choose, descendant
from legodnn.blocks.pruning.response_criteria import reconstruction
from legodnn.errors import ModelError


def block_of(*between: Any) -> keras.Model:
    """Convolution `a` of 6 channels, layers between, convolution `z`."""
    x = inputs = keras.Input((4, 4, 2))
    for layer in (layers.Conv2D(6, 3, padding="same", name="a"), *between, layers.Conv2D(3, 3, name="z")):
        x = layer(x)
    return keras.Model(inputs, x)


def of_a(criterion: Criterion, block: keras.Model, x: Any = None) -> Importance:
    channels = analyse(block)
    importance = criterion(block, channels, x)
    assert importance.shape == (channels.count,)
    return importance[channels.made["a"]]


def test_l1_and_l2_are_the_norms_of_each_filter() -> None:
    block = block_of()
    kernel = np.zeros((3, 3, 2, 6), np.float32)
    kernel[0, 0, 0] = [1, -2, 3, 0, 0.5, -1]
    kernel[2, 1, 1] = [1, 1, 4, 1, 1, -1]
    block.get_layer("a").kernel.assign(kernel)
    np.testing.assert_allclose(of_a(l1, block), [2, 3, 7, 1, 1.5, 2])
    np.testing.assert_allclose(of_a(l2, block), np.sqrt([2, 5, 25, 1, 1.25, 2]), rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "axis"),
    [
        (layers.Conv2DTranspose(6, 3, name="a"), 2),
        (layers.SeparableConv2D(6, 3, name="a"), 3),
        (layers.Dense(6, name="a"), 1),
    ],
)
def test_the_filters_of_other_layers_lie_on_their_own_axis(layer: Any, axis: int) -> None:
    inputs = keras.Input((4, 4, 2))
    block = keras.Model(inputs, layers.Conv2D(3, 1)(layer(inputs)))
    weights = layer.pointwise_kernel if axis == 3 else layer.kernel
    others = tuple(i for i in range(len(weights.shape)) if i != axis)
    np.testing.assert_allclose(of_a(l1, block), np.abs(weights).sum(axis=others), rtol=1e-5)


def test_network_slimming_looks_at_the_scale_of_the_batch_norm() -> None:
    norm = layers.BatchNormalization()
    block = block_of(norm, layers.ReLU())
    norm.gamma.assign([0.5, -3, 1, 2, 0, 0.1])
    np.testing.assert_allclose(of_a(batch_norm_scale, block), [0.5, 3, 1, 2, 0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(descendant(block, 0.5, batch_norm_scale).layers[2].gamma, [-3, 1, 2])


def test_without_a_scaled_batch_norm_network_slimming_is_l1() -> None:
    for between in ([], [layers.BatchNormalization(scale=False)]):
        block = block_of(*between)
        np.testing.assert_allclose(of_a(batch_norm_scale, block), of_a(l1, block))


def samples(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 4, 4, 2)).astype(np.float32)


def test_reconstruction_needs_samples() -> None:
    with pytest.raises(ModelError, match="needs sample inputs"):
        of_a(reconstruction, block_of())


def test_reconstruction_removes_what_the_reader_does_not_use_however_large() -> None:
    block = block_of(layers.ReLU())
    kernel = block.get_layer("z").get_weights()[0]
    kernel[:, :, [1, 4]] = 0
    block.get_layer("z").kernel.assign(kernel)
    large = block.get_layer("a").get_weights()[0]
    large[..., [1, 4]] *= 100
    block.get_layer("a").kernel.assign(large)
    assert set(np.argsort(of_a(reconstruction, block, samples()))[:2]) == {1, 4}
    assert set(np.argsort(of_a(l1, block))[:2]).isdisjoint({1, 4})


def change(block: keras.Model, channels: Channels, gone: tuple[int, ...], x: np.ndarray) -> float:
    """Squared change of what `z` computes when it reads zeros for these channels of `a`."""
    feature = np.array(keras.Model(block.input, block.get_layer("z").input)(x))
    mask = np.isin(np.arange(6), gone, invert=True)
    z = block.get_layer("z")
    return float(((np.array(z(feature)) - np.array(z(feature * mask))) ** 2).sum())


@pytest.mark.parametrize("seed", range(5))
def test_each_step_of_reconstruction_is_the_best_there_is(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    block, x = block_of(layers.ReLU()), samples()
    channels = analyse(block)
    order = np.argsort(of_a(reconstruction, block, x))
    for step in range(1, 6):
        before = tuple(order[: step - 1])
        best = min(change(block, channels, (*before, c), x) for c in range(6) if c not in before)
        assert change(block, channels, tuple(order[:step]), x) == pytest.approx(best, rel=1e-3)


def test_reconstruction_comes_close_to_the_best_set() -> None:
    keras.utils.set_random_seed(0)
    block, x = block_of(layers.BatchNormalization(), layers.ReLU()), samples()
    channels = analyse(block)
    gone = np.flatnonzero(
        np.isin(channels.made["a"], choose(block, channels, Target("sparsity", 0.5), reconstruction, x=x))
    )
    every = sorted(change(block, channels, three, x) for three in combinations(range(6), 3))
    assert change(block, channels, tuple(gone), x) <= every[2] * 1.001


@pytest.mark.parametrize("criterion", [l1, l2, batch_norm_scale, reconstruction])
def test_every_criterion_serves_a_block_with_ties_and_several_readers(criterion: Criterion) -> None:
    inputs = keras.Input((4, 4, 2))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", groups=2)(inputs))
    y = layers.Add()([layers.Conv2D(4, 1, name="a")(inputs), layers.DepthwiseConv2D(3, padding="same")(y)])
    y = layers.Concatenate()([layers.SeparableConv2D(3, 3, padding="same")(y), layers.Conv2D(2, 1)(y)])
    block = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(y)))
    channels = analyse(block)
    importance = criterion(block, channels, samples())
    assert importance.shape == (channels.count,)
    assert np.isfinite(importance).all()
    assert descendant(block, 0.5, criterion, x=samples()).count_params() < block.count_params()
