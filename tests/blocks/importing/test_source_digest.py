"""Digests of what a build started from: another model or other data are told apart, other names are not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

import keras
from keras import layers, ops

from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.source_digest import source_digests
from legodnn.pixels import Pixels, Scaling

X = np.random.default_rng(0).random((40, 8, 8, 1), np.float32)
DATA = Dataset("x", (), Split(X, np.arange(40) % 4), Split(X[:20], None), Split(X[:20], None))


class Silent(layers.Layer):
    """A layer that does not tell its settings."""

    def __init__(self, factor: np.ndarray) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


def another_call(self: Silent, x: Any) -> Any:
    return x + self.factor


def net(seed: int = 0, activation: str = "relu") -> keras.Model:
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8, 8, 1))
    x = Silent(np.array([2.0]))(layers.Conv2D(4, 3, activation=activation)(x))
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


def graph_of(body: Callable[[Any], Any]) -> Callable[[], keras.Model]:
    """A model of vectors."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        return keras.Model(inputs, body(inputs))

    return make


def called_twice(first: int, second: int) -> Callable[[Any], Any]:
    """Two layers of the same weights, of which these are called one after the other."""

    def body(x: Any) -> Any:
        both = [layers.Dense(6, kernel_initializer="ones") for _ in range(2)]
        y = layers.Add()([layer(x) for layer in both])
        return both[second](both[first](y))

    return body


def scaled(factor: float) -> Callable[[Any], Any]:
    return layers.Lambda(lambda x: x * factor)


def inner(x: Any) -> Any:
    """A model that is called for each place, whose settings hold the names of its layers."""
    y = place = keras.Input((1,))
    model = keras.Model(place, layers.Add()([layers.Dense(2)(y), layers.Dense(2)(y)]))
    return layers.TimeDistributed(model)(layers.Reshape((6, 1))(x))


def digests(model: keras.Model, data: Dataset = DATA) -> dict[str, str]:
    return source_digests(model, data)


MADE: dict[str, Callable[[], keras.Model]] = {
    "layers": net,
    "constants and functions": graph_of(lambda x: scaled(2)(ops.clip(x[:, 1:4] * 2 - x[:, :3], 0, 6))),
    "a model inside": graph_of(inner),
}


@pytest.mark.parametrize("name", MADE)
def test_a_model_that_is_made_again_has_the_same_digest_under_other_names(name: str) -> None:
    one, other = MADE[name](), MADE[name]()
    assert [layer.name for layer in one.layers] != [layer.name for layer in other.layers]
    assert digests(one) == digests(other)


def test_another_process_finds_the_same_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        f"from {__name__} import MADE, digests; import json; print(json.dumps([digests(m()) for m in MADE.values()]))"
    )
    found = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        found.add(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    assert [json.loads(text) for text in found] == [[digests(make()) for make in MADE.values()]]


@pytest.mark.parametrize("make", [lambda: net(seed=1), lambda: net(activation="tanh")])
def test_another_model_is_told_apart(make: Callable[[], keras.Model]) -> None:
    assert digests(net())["model"] != digests(make())["model"]


OTHERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a constant": (lambda x: x * 2, lambda x: x * 3),
    "an array": (lambda x: x + np.arange(6), lambda x: x + np.arange(6)[::-1].copy()),
    "a slice": (lambda x: x[:, :3], lambda x: x[:, 3:]),
    "an operation's own argument": (lambda x: ops.clip(x, 0, 6), lambda x: ops.clip(x, 0, 5)),
    "the order of what is read": (lambda x: ops.exp(x) - ops.tanh(x), lambda x: ops.tanh(x) - ops.exp(x)),
    "what is read": (lambda x: ops.exp(x) + ops.tanh(x), lambda x: ops.exp(x) + ops.tanh(ops.exp(x))),
    "which of equal layers is called": (called_twice(0, 1), called_twice(1, 0)),
    "the order of outputs": (lambda x: [ops.exp(x), ops.tanh(x)], lambda x: [ops.tanh(x), ops.exp(x)]),
    "the code of a function": (layers.Lambda(lambda x: x + 1), layers.Lambda(lambda x: x - 1)),
    "what a function holds": (scaled(2), scaled(3)),
    "an activation of one's own": (
        layers.Dense(2, activation=lambda x: x + 1, kernel_initializer="ones"),
        layers.Dense(2, activation=lambda x: x - 1, kernel_initializer="ones"),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_of_the_same_layers_that_computes_something_else_is_told_apart(name: str) -> None:
    one, other = (digests(graph_of(body)())["model"] for body in OTHERS[name])
    assert one != other


def test_a_layer_of_ones_own_whose_code_has_changed_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(net())["model"]
    monkeypatch.setattr(Silent, "call", another_call)
    assert digests(net())["model"] != before


RAW = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)


def changed(array: np.ndarray, *place: int) -> np.ndarray:
    """The array with one other value, by default the last one."""
    copy = array.copy()
    copy[place or (-1,) * array.ndim] += 1
    return copy


def boxes(values: np.ndarray) -> np.ndarray:
    """Labels of as many values as an image has objects."""
    found = np.empty(40, object)
    found[:] = [values[: 600 + 20 * i] for i in range(40)]
    return found


VALUES = np.arange(2000)
ORDER = np.arange(40)[::-1].copy()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Split(X, VALUES[:40]), Split(X, changed(VALUES[:40]))),
        (Split(X, boxes(VALUES)), Split(X, boxes(changed(VALUES, 1300)))),
        (Split(X, None), Split(changed(X), None)),
        (Split({"a": X, "b": X}, None), Split({"a": X, "b": changed(X)}, None)),
        (Split(Pixels(RAW, Scaling()), None), Split(Pixels(changed(RAW), Scaling()), None)),
        (Split(Pixels(RAW, Scaling()), None), Split(Pixels(RAW, Scaling((-1, 1))), None)),
        (Split(Pixels(RAW, Scaling(), ORDER), None), Split(Pixels(RAW, Scaling(), changed(ORDER)), None)),
    ],
)
def test_every_label_pixel_and_number_counts(one: Split, other: Split) -> None:
    model, found = net(), set()
    for split in (one, one, other):
        found.add(digests(model, Dataset("x", (), split, split, split))["data"])
    assert len(found) == 2


def test_of_many_numbers_evenly_spread_rows_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legodnn.blocks.importing.source_digest._MOST_BYTES", X.nbytes // 4)
    before = digests(net())["data"]
    found = [
        digests(net(), replace(DATA, train=Split(changed(X, row, 0, 0, 0), DATA.train.y)))["data"] for row in (36, 37)
    ]
    assert [digest != before for digest in found] == [True, False]


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
