"""Descendants learn their blocks' features; originals learn labels and are otherwise left as they were."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from legodnn.blocks.build_state import BuildState, Checkpoint
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.data import Dataset, load
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training import distill as distill_module
from legodnn.blocks.training import training as training_module
from legodnn.blocks.training.distill import Distiller, Student, distill
from legodnn.blocks.training.training import batch_of, bfloat16, train_original
from legodnn.errors import ModelError
from legodnn.recipe import Recipe

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


def test_targets_are_the_originals_features_as_at_inference() -> None:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, padding="same")(x))
    pieces = extract(model)
    image = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    student = Student("block1", 0, descendant(pieces[0].model, 0))  # no error, unless a batch has its own statistics
    assert float(Distiller(pieces, [student])(image, training=False)[0]) < 1e-9
    assert float(Distiller(pieces, [student])(image, training=True)[0]) > 0.01


class Interrupted(BaseException):
    """As if the process had been killed."""


def interrupt(monkeypatch: pytest.MonkeyPatch, place: Any, step: int) -> None:
    """Save after every step, and break off at the start of this one."""

    def call(at: int, *args: Any) -> Any:
        if at == step:
            raise Interrupted
        return batch_of(at, *args)

    monkeypatch.setattr(Checkpoint, "due", property(lambda self: self._path is not None))
    monkeypatch.setattr(place, "batch_of", call)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return BuildState(tmp_path / "store", Recipe(model="x", name="x")).checkpoint("job0")


@pytest.fixture(scope="module")
def few(digits: Dataset) -> Dataset:
    """Five steps of 32 images an epoch."""
    return replace(digits, train=digits.train.first(160), val=digits.val.first(64))


Logged = dict[str, dict[int, float]]


def run_students(
    model_file: Path, data: Dataset, names: tuple[str, ...] = ("block1", "block2"), exact: bool = False, **options: Any
) -> tuple[dict[str, Weights], dict[str, list[float]], Logged]:
    """Distil a half of each block named, perhaps a whole copy too; weights and errors by block, and what is logged."""
    keras.utils.set_random_seed(1)
    pieces = extract(keras.saving.load_model(model_file))
    blocks = {p.name: p.model for p in pieces}
    students = {name: [descendant(blocks[name], s) for s in ((0, 0.5) if exact else (0.5,))] for name in names}
    logged: Logged = {}

    def log(tag: str, value: float, step: int) -> None:
        logged.setdefault(tag, {})[step] = value

    errors = distill(pieces, students, data, batch_size=32, learning_rate=3e-3, log=log, **options)
    for name, models in students.items():  # what is returned are the errors of the weights that are there
        for i, student in enumerate(models):
            everyone = Distiller(pieces, [Student(name, i, student)])
            parts = [float(everyone(x)[0]) for x in np.split(data.val.x, 2)]
            assert errors[name][i] == pytest.approx(np.mean(parts), rel=1e-3, abs=1e-9)
    return {name: [w for m in models for w in m.get_weights()] for name, models in students.items()}, errors, logged


@pytest.fixture(scope="module")
def uninterrupted(model_file: Path, few: Dataset) -> tuple[dict[str, Weights], dict[str, list[float]], Logged]:
    return run_students(model_file, few, epochs=3)


@pytest.mark.parametrize("step", [0, 8, 10])
def test_training_goes_on_in_the_middle_of_an_epoch_as_if_it_had_not_been_interrupted(
    model_file: Path,
    few: Dataset,
    uninterrupted: tuple[dict[str, Weights], dict[str, list[float]], Logged],
    checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, distill_module, step)
        with pytest.raises(Interrupted):
            run_students(model_file, few, epochs=3, checkpoint=checkpoint)
    weights, errors, _ = run_students(model_file, few, epochs=3, checkpoint=checkpoint)
    assert errors == uninterrupted[1]
    for name, arrays in uninterrupted[0].items():
        for found, expected in zip(weights[name], arrays, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_block_trained_alone_or_in_another_order_is_trained_the_same(
    model_file: Path, few: Dataset, uninterrupted: tuple[dict[str, Weights], dict[str, list[float]], Logged]
) -> None:
    for names in (("block1",), ("block2", "block1")):
        weights, errors, _ = run_students(model_file, few, names, epochs=3)
        for name in names:
            assert errors[name] == pytest.approx(uninterrupted[1][name], rel=1e-3)
            for found, expected in zip(weights[name], uninterrupted[0][name], strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_student_is_done_after_its_patience_and_keeps_its_best_weights() -> None:
    inputs = keras.Input((2,))
    student = Student("block1", 0, keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs)))
    for epoch, error in enumerate([0.5, 0.3, 0.299, 0.31, 0.2, 0.25, 0.25]):
        assert not student.done
        student.model.set_weights([np.full((2, 1), epoch, np.float32)])
        student.look(error, patience=2)
        assert student.stale == [0, 0, 1, 2, 0, 1, 2][epoch]
        student.done = epoch == 6 and student.done
    assert student.done
    assert student.best == 0.2
    np.testing.assert_array_equal(student.best_weights[0], np.full((2, 1), 4))


@pytest.mark.parametrize("pays", [True, False])
def test_each_option_stops_by_itself_and_the_others_go_on(
    model_file: Path, few: Dataset, monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    """A whole copy of a block has less to learn than its half."""
    monkeypatch.setattr(distill_module._Run, "_pays", lambda self, live, times: pays and any(s.done for s in live))
    weights, errors, logged = run_students(model_file, few, ("block2",), exact=True, epochs=6, patience=1)
    copy, half = logged["block2/1/error"], logged["block2/2/error"]
    assert len(copy) < len(half)
    for found in (list(copy.values()), list(half.values())):
        falls = [error < 0.99 * min(found[:i]) for i, error in enumerate(found) if i]
        assert falls == [True] * (len(found) - 2) + [len(found) == 6 and falls[-1]]
    assert errors["block2"] == [min(copy.values()), min(half.values())]
    alone, _, logged_alone = run_students(model_file, few, ("block2",), epochs=6, patience=1)
    assert list(logged_alone["block2/1/error"].values()) == pytest.approx(list(half.values()), rel=1e-3)
    for weight, expected in zip(weights["block2"][-len(alone["block2"]) :], alone["block2"], strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-4)


def test_training_ends_early_when_all_are_done(model_file: Path, few: Dataset) -> None:
    _, _, logged = run_students(model_file, few, ("block1",), epochs=10_000, patience=1)
    [errors] = logged.values()
    assert len(errors) < 100


def test_layers_compute_in_bfloat16_meanwhile_and_keep_their_weights_and_policies(pieces: list[Piece]) -> None:
    models = [piece.model for piece in pieces[:2]]
    x = np.ones((1, *models[0].input_shape[1:]), np.float32)
    policies = [[layer.dtype_policy for layer in model.layers] for model in models]

    def dtypes() -> tuple[str, set[str]]:
        return keras.backend.standardize_dtype(models[0](x).dtype), {str(w.dtype) for m in models for w in m.weights}

    with bfloat16(models, on=False):
        assert dtypes() == ("float32", {"float32"})
    with contextlib.suppress(Interrupted), bfloat16([*models, models[0]], on=True):
        assert dtypes() == ("bfloat16", {"float32"})
        raise Interrupted
    assert dtypes() == ("float32", {"float32"})
    assert [[layer.dtype_policy for layer in model.layers] for model in models] == policies


@pytest.fixture
def pieces(model_file: Path) -> list[Piece]:
    return extract(keras.saving.load_model(model_file))


def test_mixed_precision_trains_about_as_well(
    model_file: Path, few: Dataset, uninterrupted: tuple[dict[str, Weights], dict[str, list[float]], Logged]
) -> None:
    keras.utils.set_random_seed(1)
    pieces = extract(keras.saving.load_model(model_file))
    student = descendant(pieces[1].model, 0.5)
    errors = distill(pieces, {"block2": [student]}, few, 3, 32, 3e-3, mixed_precision=True)
    assert {layer.compute_dtype for layer in (*student.layers, *pieces[1].model.layers)} == {"float32"}
    assert errors["block2"] == pytest.approx(uninterrupted[1]["block2"], rel=0.1)
    exact = float(Distiller(pieces, [Student("block2", 0, student)])(few.val.x)[0])
    assert errors["block2"][0] == pytest.approx(exact, rel=0.1)


def test_training_an_original_goes_on_as_if_it_had_not_been_interrupted(
    tiny_keras_file: Path, few: Dataset, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(**options: Any) -> tuple[Weights, list[float]]:
        model, losses = keras.saving.load_model(tiny_keras_file), list[float]()
        train_original(model, few, 2, 32, log=lambda tag, value, step: losses.append(value), **options)
        return model.get_weights(), losses

    expected, losses = train()
    assert losses[1] < losses[0]
    with monkeypatch.context() as patched:
        interrupt(patched, training_module, 8)
        with pytest.raises(Interrupted):
            train(checkpoint=checkpoint)
    weights, rest = train(checkpoint=checkpoint)
    assert rest == losses[1:]
    for a, b in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(a, b)


JAX = """
import json, sys

import keras
from legodnn.blocks.importing.data import load
from legodnn.blocks.training.distill import Distiller, Student, distill
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.pruning.prune import descendant

data = load("digits", image_size=12)
pieces = extract(keras.saving.load_model(sys.argv[1]))
student = descendant(pieces[1].model, 0.5)
before = float(Distiller(pieces, [Student("block2", 0, student)])(data.val.x[:256])[0])
errors = distill(pieces, {"block2": [student]}, data, epochs=2, batch_size=64, learning_rate=3e-3)
print(json.dumps([keras.backend.backend(), before, errors["block2"][0]]))
"""


@pytest.mark.slow
def test_a_block_is_trained_by_jax_as_well(model_file: Path) -> None:
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", JAX, str(model_file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    backend, before, after = json.loads(done.stdout.splitlines()[-1])
    assert backend == "jax"
    assert after < 0.7 * before
