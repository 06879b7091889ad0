"""Ordinary training: what is refused before it or in it, the order of images, and what is logged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.accuracy.chance import standing
from legodnn.blocks.accuracy.metrics import metric_of
from legodnn.blocks.importing.data import Dataset, Split, load
from legodnn.blocks.training.training import batch_of, scalars_to, steps_per_epoch, train_original
from legodnn.errors import DataError, ModelError


@pytest.fixture(scope="module")
def few() -> Dataset:
    """Five steps of 32 images an epoch."""
    data = load("digits", image_size=12)
    return replace(data, train=data.train.first(160), val=data.val.first(64))


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_without_an_output_are_refused_before_training(tiny_keras_file: Path, few: Dataset, label: int) -> None:
    labels = few.train.y.copy()
    labels[7] = label
    model = keras.saving.load_model(tiny_keras_file)
    with pytest.raises(DataError, match=rf"labels run from .*{label}.*, but tiny has 10 outputs"):
        train_original(model, replace(few, train=Split(few.train.x, labels)), epochs=1)


@given(images=st.integers(1, 40), batch_size=st.integers(1, 17), seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_every_epoch_sees_every_image_in_batches_of_one_size(
    images: int, batch_size: int, seed: int, epoch: int
) -> None:
    steps = steps_per_epoch(images, batch_size)
    batches = [batch_of(epoch * steps + i, images, batch_size, seed) for i in range(steps)]
    assert {len(batch) for batch in batches} == {batch_size}
    seen = np.concatenate(batches)
    assert sorted(seen[:images]) == list(range(images))
    assert set(seen) == set(range(images))


def test_every_epoch_has_an_order_of_its_own_fixed_by_the_seed() -> None:
    orders = [batch_of(step, 100, 100, seed).tolist() for step, seed in ((0, 1), (1, 1), (0, 2))]
    assert orders[0] == batch_of(0, 100, 100, 1).tolist()
    assert len({tuple(order) for order in orders}) == 3


def test_an_original_that_diverges_is_refused_at_once(tiny_keras_file: Path, few: Dataset) -> None:
    model = keras.saving.load_model(tiny_keras_file)
    with pytest.raises(ModelError, match="training tiny diverged; lower the learning rate or look at the data"):
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
    found = standing(metric_of(None, data, model), [model.predict(data.val.x, verbose=0)], data.val)
    assert found.original > found.chance + 0.1


def test_an_original_that_gives_no_vector_is_refused(few: Dataset) -> None:
    inputs = keras.Input((12, 12, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs), name="mapper")
    with pytest.raises(ModelError, match="mapper does not give one vector for an image: train it elsewhere"):
        train_original(model, few, epochs=1)


def test_logs_are_written_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars_to(None)("a", 1.0, 1)
    log = scalars_to(str(tmp_path / "logs"))
    for step, value in ((5, 0.5), (10, 0.25)):
        log("block1/1/error", value, step)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert events.Tags()["tensors"] == ["block1/1/error"]
    found = {e.step: float(e.tensor_proto.float_val[0]) for e in events.Tensors("block1/1/error")}
    assert found == {5: 0.5, 10: 0.25}
