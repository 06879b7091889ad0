"""Descendants keep as much of a training as is right, and never more."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.training.mixing import Mixer


def students() -> list[keras.Model]:
    """Three models of one weight each, and one with a seed that counts."""
    made = []
    for _ in range(3):
        x = keras.Input((1,))
        y = layers.Dropout(0.5)(layers.Dense(1, use_bias=False, kernel_initializer="zeros")(x))
        made.append(keras.Model(x, y))
    return made


def kernels(models: list[keras.Model]) -> list[float]:
    return [float(np.asarray(m.trainable_weights[0])[0, 0]) for m in models]


@pytest.mark.parametrize(("wanted", "kept"), [
    ([1.0, 1.0, 1.0], [1.0, 1.0]),
    ([0.1, 0.4, 0.8], [0.0, 0.5]),  # the last two are of one level: .5 is nearest to both
    ([0.3, 0.6, 0.6], [0.25, 0.5]),
    ([0.0, 0.9, 0.9], [0.0, 1.0]),
    ([0.9, 0.1, 0.1], [1.0, 0.0]),
    ([0.0, 0.1, 0.0], [0.0, 0.0]),
])  # fmt: skip
def test_each_level_keeps_the_share_of_the_least_loss(wanted: list[float], kept: list[float]) -> None:
    models = students()
    mixer = Mixer([models[:1], models[1:]])
    for model in models:
        model.trainable_weights[0].assign([[1.0]])
    seeds = [np.asarray(m.non_trainable_variables[0]) + 3 for m in models]
    for model, seed in zip(models, seeds, strict=True):
        model.non_trainable_variables[0].assign(seed)
    assert mixer.keep_best(lambda: float(np.square(np.subtract(kernels(models), wanted)).sum())) == kept
    assert kernels(models) == [kept[0], kept[1], kept[1]]
    for model, seed in zip(models, seeds, strict=True):
        np.testing.assert_array_equal(np.asarray(model.non_trainable_variables[0]), seed)


def test_where_nothing_is_better_all_stays() -> None:
    models = students()
    mixer = Mixer([models])
    models[0].trainable_weights[0].assign([[1.0]])
    assert mixer.keep_best(lambda: 7.0) == [1.0]
    assert kernels(models) == [1.0, 0.0, 0.0]


def test_losses_that_are_no_numbers_lose() -> None:
    models = students()
    losses = iter([np.nan, 3.0, np.inf, np.nan, 4.0])
    assert Mixer([models]).keep_best(lambda: next(losses)) == [0.0]
