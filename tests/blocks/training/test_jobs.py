"""Training is divided without changing its result; what is finished is not done again; a failing job ends all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks import build
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece, compose_pieces, extract
from legodnn.blocks.importing.data import Dataset, load
from legodnn.blocks.importing.graph import calls, macs
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.pruning.criteria import reconstruction
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.training import jobs as jobs_module
from legodnn.blocks.training.jobs import divide, read_students, train_job
from legodnn.errors import ModelError, StoreError
from legodnn.recipe import Recipe
from legodnn.store import Store


def block(width: int) -> Piece:
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(layers.Conv2D(width, 3)(inputs)))
    return Piece("", "block", model, ("x",), ("y",), ())


KINDS = {width: block(width) for width in (1, 4, 20, 300)}
RECIPE = Recipe(model="x", name="x", sparsities=(0.25, 0.5), batch_size=8)
FIXED = Piece("fixed", "fixed", KINDS[1].model, ("x",), ("y",), ())


def feature_bytes(piece: Piece) -> float:
    """All that two descendants, with .75 and .5 of the channels, write for a batch of 8: features and gradients."""
    values = sum(int(np.prod(t.shape[1:])) for call in calls(piece.model) for t in call.outputs)
    return values * 4 * 2 * 8 * (0.75 + 0.5)


@given(
    widths=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12),
    jobs=st.integers(1, 15),
    memory=st.integers(1, 200_000) | st.just(10**12),
)
def test_every_block_is_in_one_job_in_order_and_jobs_are_more_than_asked_only_for_memory(
    widths: list[int], jobs: int, memory: int
) -> None:
    blocks = [replace(KINDS[width], name=f"block{i}") for i, width in enumerate(widths, start=1)]
    parts = divide([FIXED, *blocks, FIXED], RECIPE, jobs, memory)
    assert [name for part in parts for name in part] == [piece.name for piece in blocks]
    assert all(parts)
    needs = {piece.name: feature_bytes(piece) for piece in blocks}
    for part in parts:
        assert len(part) == 1 or sum(needs[name] for name in part) <= memory
    if sum(needs.values()) <= memory:
        assert len(parts) <= jobs
        work = {piece.name: macs(piece.model) for piece in blocks}
        share = sum(work.values()) / min(jobs, len(blocks))
        for part in parts:  # the middles of its blocks lie within one share
            assert sum(work[name] for name in part) - (work[part[0]] + work[part[-1]]) / 2 <= share * 1.001


def dropping() -> keras.Model:
    """Two blocks, each with dropout in it."""
    inputs = keras.Input((12, 12, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu")(inputs)
    for width in (6, 8):
        x = layers.Dropout(0.2)(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)), name="dropping")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load("digits", image_size=12)
    return replace(data, train=data.train.first(96), val=data.val.first(32))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("jobs") / "dropping.keras"
    dropping().save(path)
    settings: dict[str, Any] = {"sparsities": (0.5,), "precisions": ("float32",), "samples": 6, "evaluated_images": 20}
    return Recipe(model=str(path), name="jobs", image_size=12, batch_size=32, distill_epochs=2, **settings)


def trained(folder: Path, recipe: Recipe, data: Dataset, jobs: list[list[str]]) -> tuple[BuildState, dict[str, Any]]:
    """The work folder after training divided like this, and what it holds of each block."""
    work = BuildState(folder / "store", recipe)
    (work.path / "jobs.json").write_text(json.dumps(jobs))
    pieces = extract(model_of(recipe, data))
    students = train_job(work, pieces, data, 1, None)
    assert list(students) == ["block1", "block2"]
    return work, {name: work.read(name) for name in students}


@pytest.fixture(scope="module")
def together(
    recipe: Recipe, digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BuildState, dict[str, Any]]:
    return trained(tmp_path_factory.mktemp("together"), recipe, digits, [["block1", "block2"]])


def test_blocks_trained_apart_are_those_trained_together(
    recipe: Recipe, digits: Dataset, tmp_path: Path, together: tuple[BuildState, dict[str, Any]]
) -> None:
    _, apart = trained(tmp_path, recipe, digits, [["block2"], ["block1"]])
    for name, arrays in together[1].items():
        assert list(arrays) == list(apart[name])
        for key, array in arrays.items():
            np.testing.assert_allclose(apart[name][key], array, rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}")


def test_what_is_finished_is_read_not_trained_again(
    recipe: Recipe, digits: Dataset, together: tuple[BuildState, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(jobs_module, "distill", never)
    work, arrays = together
    assert not list(work.path.glob("*.state.npz"))
    students = train_job(work, extract(model_of(recipe, digits)), digits, 1, None)
    for name, [student] in students.items():
        for i, weight in enumerate(student.get_weights()):
            np.testing.assert_array_equal(weight, arrays[name][f"0/{i}"])
        assert student.count_params() < sum(a.size for a in arrays[name].values()) + 1


def test_blocks_that_are_not_finished_are_left_out(recipe: Recipe, digits: Dataset, tmp_path: Path) -> None:
    assert read_students(BuildState(tmp_path / "store", recipe), extract(model_of(recipe, digits))) == {}


def test_reconstruction_looks_at_the_features_that_each_block_reads(
    recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    changed = recipe.model_copy(update={"criterion": "reconstruction", "distill_epochs": 1})
    _, found = trained(tmp_path, changed, digits, [["block1", "block2"]])
    pieces = extract(model_of(recipe, digits))
    tensors = compose_pieces(pieces, {pieces[0].inputs[0]: digits.train.x[:500]})
    for piece in pieces:
        if piece.kind == "block":
            channels = analyse(piece.model)
            x = [np.asarray(tensors[name]) for name in piece.inputs]
            expected = choose(piece.model, channels, 0.5, reconstruction, x)
            np.testing.assert_array_equal(found[piece.name]["0/removed"], expected)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """What is started as jobs meanwhile: not training, but the program found in place of the blocks' names."""
    processes: list[subprocess.Popen[str]] = []

    def start(work: BuildState, number: int, *_: Any) -> subprocess.Popen[str]:
        with (work.path / f"job{number}.log").open("w") as log:
            [program] = json.loads((work.path / "jobs.json").read_text())[number]
            command = [sys.executable, "-c", program]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        processes.append(process)
        return process

    monkeypatch.setattr(jobs_module, "_start", start)
    return processes


def run_programs(folder: Path, recipe: Recipe, *programs: str) -> None:
    """Run these in place of jobs, two at a time."""
    work = BuildState(folder / "store", recipe)
    (work.path / "jobs.json").write_text(json.dumps([[program] for program in programs]))
    jobs_module._run_all(work, range(len(programs)), 64, 2, None)


def test_all_jobs_run_and_their_steps_are_counted(
    recipe: Recipe, tmp_path: Path, started: list[subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    run_programs(tmp_path, recipe, "print('step')", "print('step\\nstep')", "print('step')")
    assert [process.returncode for process in started] == [0, 0, 0]
    assert "distilling, 2 jobs at a time     4/12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; print('warning\\nblock1 diverged', file=sys.stderr); sys.exit(1)", "block1 diverged"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("import sys; sys.exit(3)", "exit status 3"),
        (
            "import os; os.write(2, b'warning'); os.kill(os.getpid(), 9)",
            "killed by signal 9",
        ),
    ],
)
def test_a_job_that_fails_says_why_and_ends_all_others(
    recipe: Recipe, tmp_path: Path, started: list[subprocess.Popen[str]], program: str, message: str
) -> None:
    sleeping = "import time; time.sleep(100)"
    with pytest.raises(ModelError) as caught:
        run_programs(tmp_path, recipe, sleeping, program, sleeping)
    assert f"a training job failed: {message}; " in str(caught.value)
    assert "what is finished is kept, the same command goes on" in str(caught.value)
    assert -9 in [process.wait() for process in started]
    assert len(started) == 2


def test_a_job_that_cannot_be_started_is_no_silence(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError):
        jobs_module._run_all(BuildState(tmp_path / "store", recipe), [0, 1], 64, 2, None)


def manifest(store: Store) -> dict[str, Any]:
    found = store.manifest.model_dump(mode="json")
    del found["built"]["created"]
    return found


@pytest.mark.slow
def test_processes_make_the_store_that_one_process_makes(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_too = recipe.model_copy(update={"train_epochs": 1})
    one = build(trained_too, tmp_path / "one", allow_chance=True)
    # Sums depend on the number of threads in their last bits: each of the two gets as many as the one had.
    threads = SimpleNamespace(environ=os.environ, cpu_count=lambda: 2 * (os.cpu_count() or 1))
    monkeypatch.setattr(jobs_module, "os", threads)
    two = build(trained_too, tmp_path / "two", jobs=2, allow_chance=True)
    assert manifest(two) == manifest(one)


@pytest.mark.slow
def test_a_worker_that_fails_tells_the_user(recipe: Recipe, digits: Dataset, tmp_path: Path) -> None:
    broken = recipe.model_copy(update={"data": f"npz:{tmp_path}/gone.npz"})
    work = BuildState(tmp_path / "store", broken)
    (work.path / "jobs.json").write_text('[["block1"], ["block2"]]')
    with pytest.raises(ModelError, match=r"a training job failed: cannot read .*gone.npz: No such file"):
        train_job(work, extract(model_of(recipe, digits)), digits, 2, None)


@pytest.mark.slow
def test_a_job_is_also_a_program_without_a_build_beside_it(recipe: Recipe, tmp_path: Path) -> None:
    """As docs/build.md has it run by hand: no standard input, no folder for logs."""
    work = BuildState(tmp_path / "store", recipe.model_copy(update={"data": f"npz:{tmp_path}/gone.npz"}))
    (work.path / "jobs.json").write_text('[["block1"], ["block2"]]')
    command = [sys.executable, "-m", "legodnn.blocks.training.jobs", str(work.path), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("cannot read ")


@pytest.mark.parametrize(
    "content", ["", "[[", '{"a": 1}', '[["block1", 2]]', '[["block1"]]', '[["block1", "block2"], ["block2"]]', "\xff"]
)
def test_a_damaged_list_of_jobs_is_refused_with_the_remedy(
    content: str, recipe: Recipe, digits: Dataset, tmp_path: Path
) -> None:
    work = BuildState(tmp_path / "store", recipe)
    (work.path / "jobs.json").write_text(content, encoding="latin-1")
    with pytest.raises(StoreError, match=r"jobs\.json .*; remove .*store\.work and build again"):
        train_job(work, extract(model_of(recipe, digits)), digits, 1, None)
