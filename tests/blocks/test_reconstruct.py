"""Refitted descendants start closer to the original's responses than what pruning leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.channels import analyse
from legodnn.blocks.criteria import l1
from legodnn.blocks.extract import Piece
from legodnn.blocks.graph import calls, submodel
from legodnn.blocks.prune import choose, remove
from legodnn.blocks.reconstruct import descendants, features, refit

Body = Callable[[Any], Any]


def convolutions(x: Any) -> Any:
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.Conv2D(8, 3, 2, padding="same", activation=None)(layers.ReLU()(x))
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1, use_bias=False)(x)))


def residual(x: Any) -> Any:
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same", use_bias=False)(y))
    return layers.ReLU()(layers.Add()([x, y]))


def dense(x: Any) -> Any:
    return layers.Dense(5)(layers.Dense(12, activation="relu")(layers.Flatten()(x)))


def block(body: Body) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, body(inputs))


def images(count: int, seed: int) -> np.ndarray:
    """Smooth ones: neighbouring values belong together, as in real features."""
    noise = np.random.default_rng(seed).normal(size=(count, 10, 10, 3))
    smooth = sum(noise[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)) / 3
    return np.asarray(smooth, np.float32)


@pytest.mark.parametrize("body", [convolutions, residual, dense])
@pytest.mark.parametrize("sparsity", [0.25, 0.5])
def test_a_refitted_block_is_closer_to_the_original_on_other_images(body: Body, sparsity: float) -> None:
    original = block(body)
    channels = analyse(original)
    removed = choose(original, channels, sparsity)
    plain, fitted = (remove(original, channels, removed) for _ in range(2))
    refit(original, fitted, channels, removed, [images(300, 1)])
    x = images(100, 2)
    wanted = original(x, training=False)
    before, after = (float(ops.mean(ops.square(m(x, training=False) - wanted))) for m in (plain, fitted))
    assert after < 0.8 * before


def test_the_kernel_is_the_least_squares_solution() -> None:
    original = block(dense)
    channels = analyse(original)
    removed = choose(original, channels, 0.5)
    fitted = remove(original, channels, removed)
    x = images(400, 1)
    refit(original, fitted, channels, removed, [x])
    read = submodel(fitted.inputs, [calls(fitted)[-1].inputs[0]], "read")
    a = np.column_stack([read(x), np.ones(len(x))])
    expected = np.linalg.lstsq(a, ops.convert_to_numpy(original(x)), rcond=None)[0]
    kernel, bias = calls(fitted)[-1].operation.get_weights()
    np.testing.assert_allclose(kernel, expected[:-1], atol=2e-3)
    np.testing.assert_allclose(bias, expected[-1], atol=2e-3)


def test_nothing_changes_where_nothing_was_removed_and_the_original_never_does() -> None:
    original = block(convolutions)
    before = original.get_weights()
    pieces = [Piece("block1", "block", original, ("x",), ("block1",), ())]
    [(piece, x)] = features(pieces, images(50, 1))
    (_, light), (_, heavy) = descendants(piece.model, (0.01, 0.5), l1, x)
    for a, b, c in zip(before, original.get_weights(), light.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert heavy.count_params() < original.count_params()
