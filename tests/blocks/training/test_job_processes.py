"""Training is divided without changing its result; what is finished is not done again; a failing job ends all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from legodnn.blocks import build
from legodnn.blocks.array_tree import flatten
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.training import job_processes
from legodnn.blocks.training.job_processes import train_descendants
from legodnn.console import ProgressLine
from legodnn.errors import ModelError
from legodnn.progress import no_progress
from legodnn.recipe import Recipe
from legodnn.store import Store
from tests.blocks.training.dropping import jobs_recipe, ninety_six_digits, trained


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return ninety_six_digits()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return jobs_recipe(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def together(
    recipe: Recipe, digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BuildState, dict[str, Any]]:
    return trained(tmp_path_factory.mktemp("together"), recipe, digits, [["block1", "block2"]])


def test_blocks_trained_apart_are_those_trained_together(
    recipe: Recipe, digits: Dataset, tmp_path: Path, together: tuple[BuildState, dict[str, Any]]
) -> None:
    _, apart = trained(tmp_path, recipe, digits, [["block2"], ["block1"]])
    for name, saved in together[1].items():
        flat, other = flatten(saved), flatten(apart[name])
        assert list(flat) == list(other)
        for key, array in flat.items():
            np.testing.assert_allclose(other[key], array, rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}")


def test_what_is_finished_is_read_not_trained_again(
    recipe: Recipe, digits: Dataset, together: tuple[BuildState, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(job_processes, "run_job", never)
    work, saved = together
    assert not list(work.path.glob("*.state.npz"))
    students = train_descendants(work, extract(model_of(recipe, digits)), digits, 1, None)
    for name, [student] in students.items():
        [descendant] = saved[name]["descendants"]
        for found, weight in zip(student.get_weights(), descendant["weights"], strict=True):
            np.testing.assert_array_equal(found, weight)


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

    monkeypatch.setattr(job_processes, "_start", start)
    return processes


def run_programs(folder: Path, recipe: Recipe, *programs: str) -> None:
    """Run these in place of jobs, two at a time."""
    work = BuildState(folder / "store", recipe)
    (work.path / "jobs.json").write_text(json.dumps([[program] for program in programs]))
    job_processes._run_all(work, range(len(programs)), 64, 2, None, ProgressLine)


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
        job_processes._run_all(BuildState(tmp_path / "store", recipe), [0, 1], 64, 2, None, no_progress)


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
    monkeypatch.setattr(job_processes, "os", threads)
    two = build(trained_too, tmp_path / "two", jobs=2, allow_chance=True)
    assert manifest(two) == manifest(one)


@pytest.mark.slow
def test_a_worker_that_fails_tells_the_user(recipe: Recipe, digits: Dataset, tmp_path: Path) -> None:
    broken = recipe.model_copy(update={"data": f"npz:{tmp_path}/gone.npz"})
    work = BuildState(tmp_path / "store", broken)
    (work.path / "jobs.json").write_text('[["block1"], ["block2"]]')
    with pytest.raises(ModelError, match=r"a training job failed: cannot read .*gone.npz: No such file"):
        train_descendants(work, extract(model_of(recipe, digits)), digits, 2, None)
