"""Descendants keep as much of a training as is right, and never more."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.training.mixing import MIXTURES, Mixer


def students() -> list[keras.Model]:
    """Two models of one weight each, and one with a seed that counts."""
    made = []
    for _ in range(2):
        x = keras.Input((1,))
        y = layers.Dropout(0.5)(layers.Dense(1, use_bias=False, kernel_initializer="zeros")(x))
        made.append(keras.Model(x, y))
    return made


def kernels(models: list[keras.Model]) -> list[float]:
    return [float(np.asarray(m.trainable_weights[0])[0, 0]) for m in models]


@pytest.mark.parametrize(("wanted", "kept", "found"), [
    ([1.0, 1.0], "all", [1.0, 1.0]),
    ([0.2, 0.6], "as much as was pruned", [0.25, 0.75]),
    ([0.0, 0.1], "nothing", [0.0, 0.0]),
])  # fmt: skip
def test_the_mixture_of_the_least_loss_stays(wanted: list[float], kept: str, found: list[float]) -> None:
    models = students()
    mixer = Mixer(models, [0.25, 0.75])
    for model in models:
        model.trainable_weights[0].assign([[1.0]])
    seeds = [np.asarray(m.non_trainable_variables[0]) + 3 for m in models]
    for model, seed in zip(models, seeds, strict=True):
        model.non_trainable_variables[0].assign(seed)
    assert mixer.keep_best(lambda: float(np.abs(np.subtract(kernels(models), wanted)).sum())) == kept
    assert kernels(models) == found
    for model, seed in zip(models, seeds, strict=True):
        np.testing.assert_array_equal(np.asarray(model.non_trainable_variables[0]), seed)


def test_where_nothing_is_better_all_stays() -> None:
    models = students()
    mixer = Mixer(models, [0.25, 0.75])
    models[0].trainable_weights[0].assign([[1.0]])
    assert mixer.keep_best(lambda: 7.0) == "all" == next(iter(MIXTURES))
    assert kernels(models) == [1.0, 0.0]


def test_losses_that_are_no_numbers_lose() -> None:
    models, losses = students(), iter([np.nan, np.inf, 3.0])
    assert Mixer(models, [0.25, 0.75]).keep_best(lambda: next(losses)) == "nothing"
