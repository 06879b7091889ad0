"""Digests of what a build started from: another model or other data are told apart, other names are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

import keras
from keras import layers

from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.source_digest import source_digests

X = np.random.default_rng(0).random((40, 8, 8, 1), np.float32)
DATA = Dataset("x", (), Split(X, np.arange(40) % 4), Split(X[:20], None), Split(X[:20], None))


class Silent(layers.Layer):
    """A layer that does not tell its settings."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


def net(seed: int = 0, activation: str = "relu") -> keras.Model:
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8, 8, 1))
    x = Silent(2.0)(layers.Conv2D(4, 3, activation=activation)(x))
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


def digests(model: keras.Model, data: Dataset = DATA) -> dict[str, str]:
    return source_digests(model, data)


def test_a_model_that_is_made_again_has_the_same_digest_under_other_names() -> None:
    one, other = net(), net()
    assert [layer.name for layer in one.layers] != [layer.name for layer in other.layers]
    assert digests(one) == digests(other)


@pytest.mark.parametrize("make", [lambda: net(seed=1), lambda: net(activation="tanh")])
def test_another_model_is_told_apart(make: Callable[[], keras.Model]) -> None:
    assert digests(net())["model"] != digests(make())["model"]


@pytest.mark.parametrize(
    "changes",
    [
        {"train": Split(1 - X, DATA.train.y)},
        {"train": Split(X, np.arange(40) % 3)},
        {"train": Split(X, (np.arange(40) % 4, np.arange(40)))},
        {"val": Split(X[:19], None)},
        {"test": Split(X[20:], None)},
    ],
)
def test_other_data_are_told_apart(changes: dict[str, Any]) -> None:
    model = net()
    before, after = digests(model), digests(model, replace(DATA, **changes))
    assert (after["model"] == before["model"], after["data"] == before["data"]) == (True, False)
