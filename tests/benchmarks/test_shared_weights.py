"""One set of weights in several widths, as nested and slimmable networks have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the offline stage is not installed")

from legodnn.blocks.importing.data import Dataset, Split
from tests.benchmarks.scripts import load

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)
from keras import layers  # isort: skip

RNG = np.random.default_rng(0)


def residual_net() -> keras.Model:
    x = image = keras.Input((8, 8, 3), name="image")
    for name in "ab":
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(x)))
        y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", name=f"{name}2")(y))
        x = layers.ReLU()(layers.Add()([y, layers.Conv2D(16, 1)(x)]))
    return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)), name="residual")


@pytest.fixture(scope="module")
def data() -> Dataset:
    def split(n: int) -> Split:
        return Split(RNG.random((n, 8, 8, 3), np.float32), RNG.integers(0, 4, n))

    return Dataset("random", tuple("abcd"), split(64), split(16), split(16))


@pytest.fixture
def shared() -> Any:
    return load("support.shared_weights")


def kernels(shared: Any, model: keras.Model) -> list[Any]:
    return [w.copy() for w in shared._shareable(model)]


def test_narrow_models_have_parts_of_the_weights_of_wide_ones(shared: Any) -> None:
    model = residual_net()
    weights = shared.SharedWeights(model, (0.6, 0.2))
    for width, narrow in enumerate(weights.models):
        before = narrow.get_weights()
        weights.write_back()
        for old, new in zip(before, narrow.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        assert narrow.count_params() < model.count_params() or width == 0
    masks = [weights.added(width) for width in range(3)]
    for parts in zip(*masks, strict=True):
        np.testing.assert_array_equal(sum(parts), 1)  # each weight is added by one width


def test_nested_models_leave_the_narrower_ones_as_they_are(shared: Any, data: Dataset) -> None:
    model = residual_net()
    alone, all_widths = shared.SharedWeights(model, (0.3,)), shared.SharedWeights(model, (0.3,))
    learning = shared._Learning(model, alone, data, shared.Batches(64, 16, 0), 1)
    for number in range(learning.steps):
        learning.step(number, [1], alone.added(1))
    alone.write_back()
    shared.train(model, all_widths, shared.nested(all_widths), data, 1, 16)
    narrow, wide = all_widths.models[1], all_widths.models[0]
    for mine, other, old in zip(
        kernels(shared, narrow), kernels(shared, alone.models[1]), kernels(shared, wide), strict=True
    ):
        np.testing.assert_allclose(mine, other, atol=1e-6)
        assert mine.size <= old.size
    for trained, old in zip(kernels(shared, wide), kernels(shared, model), strict=True):
        assert not np.array_equal(trained, old)


def test_a_slimmable_network_trains_all_widths(shared: Any, data: Dataset) -> None:
    model = residual_net()
    weights = shared.SharedWeights(model, (0.6, 0.4, 0.2))
    before = [m.get_weights() for m in weights.models]
    shared.train(model, weights, shared.slimmable(weights), data, 2, 16)
    for old, narrow in zip(before, weights.models, strict=True):
        for a, b in zip(old, narrow.get_weights(), strict=True):
            assert not np.array_equal(a, b)
    x = np.asarray(data.val.x)
    assert all(np.isfinite(np.asarray(m(x))).all() for m in weights.models)


def test_maps_of_classes_are_learned_from_the_original_alone(shared: Any) -> None:
    """Labels of places may be void (-1), which a loss on labels cannot take."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.ReLU()(layers.Conv2D(16, 3, padding="same")(image))
    model = keras.Model(image, layers.Conv2D(4, 1)(x), name="map")

    def split(n: int) -> Split:
        return Split(RNG.random((n, 8, 8, 3), np.float32), RNG.integers(-1, 4, (n, 8, 8)))

    weights = shared.SharedWeights(model, (0.6, 0.3))
    before = [m.get_weights() for m in weights.models]
    data = Dataset("maps", tuple("abcd"), split(64), split(16), split(16))
    shared.train(model, weights, shared.nested(weights), data, 2, 16)
    narrow = weights.models[-1]
    assert not np.array_equal(before[-1][0], narrow.get_weights()[0])
    assert all(np.isfinite(w).all() for w in narrow.get_weights())
