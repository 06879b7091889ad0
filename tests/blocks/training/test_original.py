"""Originals learn labels of every usual kind; what cannot be trained is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from legodnn.blocks.accuracy.chance import rate_original
from legodnn.blocks.accuracy.metrics import distilled_heads, metric_of
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.training.original import train_original
from legodnn.errors import DataError, ModelError
from tests.blocks.training.interrupted import Interrupted, InterruptedCheckpoint


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_without_an_output_are_refused_before_training(tiny_keras_file: Path, few: Dataset, label: int) -> None:
    labels = few.train.y.copy()
    labels[7] = label
    model = keras.saving.load_model(tiny_keras_file)
    with pytest.raises(DataError, match=rf"labels run from .*{label}.*, but tiny has 10 outputs"):
        train_original(model, replace(few, train=Split(few.train.x, labels)), epochs=1)


def test_an_original_that_diverges_is_refused_at_once(tiny_keras_file: Path, few: Dataset) -> None:
    model = keras.saving.load_model(tiny_keras_file)
    with pytest.raises(ModelError, match=r"training tiny diverged; look at the data and .* train_epochs = 0"):
        train_original(model, few, epochs=10_000, learning_rate=float("inf"))


def test_an_original_that_gives_probabilities_learns_as_well_as_one_that_gives_logits(few: Dataset) -> None:
    def losses(activation: str | None) -> list[float]:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((12, 12, 1))
        model = keras.Model(inputs, keras.layers.Dense(10, activation)(keras.layers.Flatten()(inputs)))
        found: list[float] = []
        train_original(model, few, 3, 32, log=lambda tag, value, step: found.append(value))
        return found

    assert losses("softmax") == pytest.approx(losses(None), rel=1e-3)


HEADS = {
    "classes, a column of labels": (10, None, lambda y: y[:, None]),
    "classes, one-hot": (10, None, lambda y: np.eye(10)[y]),
    "yes or no": (1, "sigmoid", lambda y: y > 4),
    "yes or no, logits": (1, None, lambda y: (y > 4)[:, None] * 1.0),
    "tags": (2, "sigmoid", lambda y: np.stack([y > 4, y % 2], axis=1)),
    "numbers": (1, None, lambda y: y / 3),
}


@pytest.mark.parametrize("kind", list(HEADS))
def test_an_original_learns_every_usual_kind_of_label(few: Dataset, kind: str) -> None:
    columns, activation, labels = HEADS[kind]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 1))
    model = keras.Model(inputs, keras.layers.Dense(columns, activation)(keras.layers.Flatten()(inputs)))
    parts: dict[str, Any] = {
        name: Split(s.x, labels(s.y)) for name in ("train", "val", "test") for s in [getattr(few, name)]
    }
    data = replace(few, **parts)
    train_original(model, data, 40, 32, learning_rate=1e-2)
    found = rate_original(
        metric_of(None, data.val, distilled_heads(None, data, model)), [model.predict(data.val.x, verbose=0)], data.val
    )
    assert found.original > found.chance + 0.1


def test_an_original_that_gives_no_vector_is_refused(few: Dataset) -> None:
    inputs = keras.Input((12, 12, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs), name="mapper")
    with pytest.raises(ModelError, match="mapper does not give one vector for an image: train it elsewhere"):
        train_original(model, few, epochs=1)


def test_an_original_learns_the_digits(model_file: Path, digits: Dataset) -> None:
    model = keras.saving.load_model(model_file)
    predicted = model.predict(digits.val.x, verbose=0).argmax(axis=1)
    assert (predicted == digits.val.y).mean() > 0.6


@pytest.mark.parametrize("steps", [0, 8])
def test_training_an_original_goes_on_as_if_it_had_not_been_interrupted(
    tiny_keras_file: Path, few: Dataset, tmp_path: Path, steps: int
) -> None:
    def train(checkpoint: Checkpoint | None = None) -> tuple[list[np.ndarray], list[float]]:
        model, losses = keras.saving.load_model(tiny_keras_file), list[float]()
        log: Any = lambda tag, value, step: losses.append(value)  # noqa: E731
        train_original(model, few, 2, 32, checkpoint=checkpoint, log=log)
        return model.get_weights(), losses

    expected, losses = train()
    assert losses[1] < losses[0]
    with pytest.raises(Interrupted):
        train(InterruptedCheckpoint(tmp_path / "state.npz", steps))
    weights, rest = train(Checkpoint(tmp_path / "state.npz"))
    assert rest == losses[steps // 5 :]
    for a, b in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(a, b)
