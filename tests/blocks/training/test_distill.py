"""Descendants learn their blocks' features; the original is left as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import run_calls
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.distill import Distiller, _Distillation, distill
from legodnn.blocks.training.optimizer import compile_for
from legodnn.blocks.training.student import Student
from legodnn.errors import ModelError
from tests.blocks.training.interrupted import Interrupted, InterruptedCheckpoint

Weights = list[np.ndarray]


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


def test_training_that_diverges_is_refused_by_block_and_descendant(model_file: Path, digits: Dataset) -> None:
    with pytest.raises(ModelError, match=r"distillation of block\d, descendant \d, diverged; lower the learning rate"):
        run(model_file, digits, learning_rate=float("inf"))


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


def test_steps_are_those_of_a_plain_loop(model_file: Path, digits: Dataset) -> None:
    """The losses of five steps, against layers that run one by one, and an Adam for each student."""

    def made() -> tuple[list[Piece], dict[str, list[keras.Model]]]:
        pieces = extract(keras.saving.load_model(model_file))
        return pieces, {p.name: [descendant(p.model, s) for s in (0.25, 0.75)] for p in pieces if p.kind == "block"}

    batches = [digits.train.x[32 * i : 32 * i + 32] for i in range(5)]
    pieces, students = made()
    distiller = Distiller(pieces, [Student(b, i, m) for b, models in students.items() for i, m in enumerate(models)])
    distiller(batches[0])
    compile_for(distiller, 3e-3, 10)
    found = [float(distiller.train_on_batch(x)) for x in batches]

    pieces, students = made()
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, 10, alpha=0.01)
    optimizers = {id(m): keras.optimizers.Adam(schedule) for models in students.values() for m in models}
    wanted = []
    for x in batches:
        tensors, loss = {pieces[0].inputs[0]: x}, 0.0
        for piece in pieces:
            (target,) = piece.run(tensors)
            for student in students.get(piece.name, ()):
                with tf.GradientTape() as tape:
                    (y,) = run_calls(student, [tensors[name] for name in piece.inputs], training=True)
                    error = tf.reduce_mean((y - target) ** 2) / tf.math.reduce_variance(target)
                weights = [v.value for v in student.trainable_variables]
                optimizers[id(student)].apply(tape.gradient(error, weights), student.trainable_variables)
                loss += float(error)
            tensors[piece.outputs[0]] = target
        wanted.append(loss)
    np.testing.assert_allclose(found, wanted, rtol=2e-3)


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


@pytest.mark.parametrize("steps", [8, 10])
def test_training_goes_on_as_if_it_had_not_been_interrupted(
    model_file: Path,
    few: Dataset,
    uninterrupted: tuple[dict[str, Weights], dict[str, list[float]], Logged],
    tmp_path: Path,
    steps: int,
) -> None:
    with pytest.raises(Interrupted):
        run_students(model_file, few, epochs=3, checkpoint=InterruptedCheckpoint(tmp_path / "state.npz", steps))
    weights, errors, _ = run_students(model_file, few, epochs=3, checkpoint=Checkpoint(tmp_path / "state.npz"))
    assert errors == uninterrupted[1]
    for name, arrays in uninterrupted[0].items():
        for found, expected in zip(weights[name], arrays, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_state_of_other_blocks_is_refused(model_file: Path, few: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    run_students(model_file, few, ("block1",), epochs=1, checkpoint=Checkpoint(path, every_s=0))
    for options in ({"names": ("block2",)}, {"names": ("block1",), "exact": True}):
        with pytest.raises(ModelError, match=r"state\.npz holds the state of another training"):
            run_students(model_file, few, epochs=1, checkpoint=Checkpoint(path), **options)


def test_a_block_trained_alone_or_in_another_order_is_trained_the_same(
    model_file: Path, few: Dataset, uninterrupted: tuple[dict[str, Weights], dict[str, list[float]], Logged]
) -> None:
    for names in (("block1",), ("block2", "block1")):
        weights, errors, _ = run_students(model_file, few, names, epochs=3)
        for name in names:
            assert errors[name] == pytest.approx(uninterrupted[1][name], rel=1e-3)
            for found, expected in zip(weights[name], uninterrupted[0][name], strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pays", [True, False])
def test_each_option_stops_by_itself_and_the_others_go_on(
    model_file: Path, few: Dataset, monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    """A whole copy of a block has less to learn than its half."""
    pays_once_done = lambda self, steps_left: pays and any(s.done for s in self._live)  # noqa: E731
    monkeypatch.setattr(_Distillation, "_compiling_pays", pays_once_done)
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


JAX = """
import json, sys

import keras
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.training.distill import Distiller, distill
from legodnn.blocks.training.student import Student
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.pruning.prune import descendant

data = load_data("digits", image_size=12)
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
