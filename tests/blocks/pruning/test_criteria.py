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
from legodnn.blocks.pruning.criteria import (
    Criterion,
    Importance,
    batch_norm_scale,
    cluster,
    drawn,
    geometric_median,
    l1,
    l2,
    relative,
)
from legodnn.blocks.pruning.prune import choose, descendant
from legodnn.blocks.pruning.response_criteria import reconstruction, taylor
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


@pytest.mark.parametrize("use_bias", [True, False])
def test_responses_are_those_before_an_activation_with_weights_of_its_own(use_bias: bool) -> None:
    inputs, found = keras.Input((4, 4, 2)), []
    for activation in (None, layers.PReLU(alpha_initializer="ones")):
        keras.utils.set_random_seed(0)
        x = layers.Conv2D(6, 3, padding="same", name="a")(inputs)
        block = keras.Model(inputs, layers.Conv2D(3, 3, use_bias=use_bias, activation=activation)(x))
        block(samples())  # Keras makes an activation's weights when it first runs
        found.append(of_a(reconstruction, block, samples()))
    np.testing.assert_array_equal(found[0], found[1])


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


@pytest.mark.parametrize(
    "criterion",
    [l1, l2, batch_norm_scale, geometric_median, cluster, drawn(3), relative(l1), reconstruction, taylor],
)
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


def with_filters(*filters: float) -> keras.Model:
    """A dense layer `a` of one input with these weights, and its reader."""
    inputs = keras.Input((1,))
    block = keras.Model(inputs, layers.Dense(1)(layers.Dense(len(filters), use_bias=False, name="a")(inputs)))
    block.get_layer("a").kernel.assign(np.array([filters]))
    return block


def test_the_geometric_median_is_the_filter_that_the_others_can_stand_for() -> None:
    importance = of_a(geometric_median, with_filters(9.0, 10.0, 11.0, -5.0))
    assert np.argsort(importance).tolist()[:2] == [0, 1]  # in the middle, though far from small
    scale = np.sqrt(np.mean(np.square([9.0, 10.0, 11.0, -5.0])))
    np.testing.assert_allclose(importance * scale, [1 + 2 + 14, 1 + 1 + 15, 2 + 1 + 16, 14 + 15 + 16], rtol=1e-6)


def test_of_each_cluster_the_larger_filter_stays() -> None:
    order = np.argsort(of_a(cluster, with_filters(1.0, 1.1, 5.0, 5.3, -4.0))).tolist()
    assert order[:2] == [0, 2]  # 1.0 goes to 1.1, then 5.0 to 5.3
    assert set(order[2:]) == {1, 3, 4}
    assert order[2] == 1  # the nearest two of 1.05, 5.15 and -4 are the first


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    block = block_of()
    np.testing.assert_array_equal(of_a(drawn(1), block), of_a(drawn(1), block, samples()))
    assert of_a(drawn(1), block).tolist() != of_a(drawn(2), block).tolist()


def test_relative_importances_compare_between_layers_and_order_as_before() -> None:
    inputs = keras.Input((4, 4, 2))
    block = keras.Model(
        inputs, layers.Conv2D(1, 1)(layers.Conv2D(5, 3, name="b")(layers.Conv2D(4, 1, name="a")(inputs)))
    )
    channels = analyse(block)
    plain, found = l1(block, channels), relative(l1)(block, channels)
    for made in (channels.made["a"], channels.made["b"]):
        assert found[made].mean() == pytest.approx(1)
        np.testing.assert_array_equal(np.argsort(plain[made]), np.argsort(found[made]))


@pytest.mark.parametrize("images", [600, 601])
def test_taylor_is_the_squared_change_of_a_linear_block(images: int) -> None:
    """In a linear block the first order is all there is: the change is that of what `z` computes, over its variance.

    The last image, which is brighter, counts once as well where it is alone in its batch.
    """
    keras.utils.set_random_seed(0)
    block, x = block_of(), np.random.default_rng(0).normal(size=(images, 4, 4, 2)).astype(np.float32)
    x[-1] *= 4
    channels = analyse(block)
    found = of_a(taylor, block, x)
    wanted = np.array([change(block, channels, (c,), x) for c in range(6)]) / float(np.var(block(x)))
    np.testing.assert_allclose(found, wanted, rtol=0.3)  # random signs: 600 draws
    assert np.corrcoef(found, wanted)[0, 1] > 0.95


def test_taylor_counts_all_readers_and_weights_as_they_are() -> None:
    inputs = keras.Input((4, 4, 2))
    a = layers.Conv2D(3, 1, name="a", activation="relu")(inputs)
    block = keras.Model(
        inputs, layers.Concatenate()([layers.Conv2D(2, 1, name="z")(a), layers.Conv2D(2, 1, name="y")(a)])
    )
    for name in ("z", "y"):
        kernel = block.get_layer(name).get_weights()[0]
        kernel[..., 1, :] = 0 if name == "z" else 5
        kernel[..., 2, :] = 0
        block.get_layer(name).kernel.assign(kernel)
    before = block.get_weights()
    importance = of_a(taylor, block, samples(30))
    assert importance[2] == pytest.approx(0, abs=1e-6)
    assert importance[1] > importance[0] > 0
    for old, now in zip(before, block.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
