"""Descendants learn their blocks' features; originals learn labels and are otherwise left as they were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from legodnn.blocks.data import Dataset, Split, load
from legodnn.blocks.distill import Distiller, Student, distill, relative_error
from legodnn.blocks.extract import extract
from legodnn.blocks.prune import descendant
from legodnn.blocks.training import train_original
from legodnn.errors import DataError, ModelError

Weights = list[np.ndarray]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load("digits", image_size=12)
    return replace(data, train=data.train.first(640), val=data.val.first(100))


@pytest.fixture(scope="module")
def model_file(tiny_keras_file: Path, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after some ordinary training."""
    keras.utils.set_random_seed(0)
    model = keras.saving.load_model(tiny_keras_file)
    train_original(model, digits, epochs=4, batch_size=32)
    path = tmp_path_factory.mktemp("trained") / "trained.keras"
    model.save(path)
    return path


@dataclass
class Trained:
    """One run: every student's error before and after, and the weights around it."""

    before: list[float]
    after: dict[str, list[float]]
    original_before: Weights
    original_after: Weights
    students: list[Weights]


def run(model_file: Path, digits: Dataset, learning_rate: float = 3e-3) -> Trained:
    keras.utils.set_random_seed(1)
    model = keras.saving.load_model(model_file)
    pieces = extract(model)
    students = {p.name: [descendant(p.model, s) for s in (0.25, 0.75)] for p in pieces if p.kind == "block"}
    original = model.get_weights()
    everyone = [Student(name, i, m) for name, models in students.items() for i, m in enumerate(models)]
    before = np.asarray(Distiller(pieces, everyone)(digits.val.x, training=False))
    after = distill(pieces, students, digits, epochs=4, batch_size=32, learning_rate=learning_rate)
    weights = [student.get_weights() for models in students.values() for student in models]
    return Trained([float(e) for e in before], after, original, model.get_weights(), weights)


@pytest.fixture(scope="module")
def trained(model_file: Path, digits: Dataset) -> Trained:
    return run(model_file, digits)


def test_the_error_of_every_descendant_falls(trained: Trained) -> None:
    after = [error for errors in trained.after.values() for error in errors]
    for first, last in zip(trained.before, after, strict=True):
        assert last < 0.7 * first


def test_errors_are_given_by_block_and_lighter_pruning_has_the_smaller(trained: Trained) -> None:
    assert list(trained.after) == ["block1", "block2"]
    for light, heavy in trained.after.values():
        assert 0 < light < heavy < 1


def test_the_originals_weights_and_statistics_stay_untouched(trained: Trained) -> None:
    for before, after in zip(trained.original_before, trained.original_after, strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_same_seed_gives_the_same_descendants(trained: Trained, model_file: Path, digits: Dataset) -> None:
    again = run(model_file, digits)
    assert again.before == trained.before
    for mine, other in zip(trained.students, again.students, strict=True):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_the_relative_error_is_0_for_a_perfect_student_and_1_for_a_constant() -> None:
    target = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    constant = np.full_like(target, target.mean())
    perfect = relative_error([target], [target])
    dull = relative_error([constant], [target])
    half = relative_error([target, 3 * constant], [target, 3 * target])
    assert float(perfect) == 0
    assert float(dull) == pytest.approx(1, rel=1e-5)
    assert float(half) == pytest.approx(0.5, rel=1e-5)  # the mean over a block's outputs


def test_training_that_diverges_is_refused_by_block_and_descendant(model_file: Path, digits: Dataset) -> None:
    with pytest.raises(ModelError, match=r"distillation of block\d, descendant \d, diverged; lower the learning rate"):
        run(model_file, digits, learning_rate=float("inf"))


def test_an_original_learns_the_digits(model_file: Path, digits: Dataset) -> None:
    model = keras.saving.load_model(model_file)
    predicted = model.predict(digits.val.x, verbose=0).argmax(axis=1)
    assert (predicted == digits.val.y).mean() > 0.6


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_without_an_output_are_refused_before_training(
    tiny_keras_file: Path, digits: Dataset, label: int
) -> None:
    labels = digits.train.y.copy()
    labels[7] = label
    model = keras.saving.load_model(tiny_keras_file)
    with pytest.raises(DataError, match=rf"labels run from .*{label}.*, but tiny has 10 outputs"):
        train_original(model, replace(digits, train=Split(digits.train.x, labels)), epochs=1)


def test_targets_are_the_originals_features_as_at_inference() -> None:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(x))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, padding="same")(x))
    pieces = extract(model)
    image = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    student = Student("block1", 0, pieces[0].model)  # the original itself: no error, unless features are dropped
    assert float(Distiller(pieces, [student])(image, training=False)[0]) < 1e-9
    assert float(Distiller(pieces, [student])(image, training=True)[0]) > 0.1
