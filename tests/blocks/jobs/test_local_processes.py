"""Jobs in processes: results, failures, deaths, and what is left when the caller stops.

Covers also: blocks.jobs.job, blocks.jobs.local_worker, blocks.jobs.workers.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.export.conversion_job import converted_files
from legodnn.blocks.jobs.job import Job, Work
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.jobs.workers import workers_of
from legodnn.errors import LegoError, ModelError, WorkerError, WriteError
from legodnn.runtime.device.allowance import usable_processors

TRYING = "trying"


@pytest.fixture(autouse=True)
def found_by_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children do not look in the current folder, so they find `trying` by its own."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


class Steps:
    def __init__(self) -> None:
        self.told: list[float] = []

    def step(self, note: str = "") -> None:
        raise AssertionError

    def at(self, done: float, note: str = "") -> None:
        self.told.append(done)


def run(work: Work, jobs: list[Job], at_once: int = 1, steps: Steps | None = None) -> dict[str, Any]:
    with LocalProcesses(at_once).team(work) as team:
        return {job.name: outcome for job, outcome in team.run(jobs, steps)}


def test_every_job_gets_its_arguments_and_what_all_share_and_tells_its_steps() -> None:
    scalars: list[tuple[str, float, int]] = []
    jobs = [Job(str(i), {"x": np.full(i, i)}, log=lambda *scalar: scalars.append(scalar)) for i in range(5)]
    steps = Steps()
    found = run(Work(f"{TRYING}:doubling", {"factor": 3}), jobs, 2, steps)
    assert {name: outcome["x"].tolist() for name, outcome in found.items()} == {str(i): [3 * i] * i for i in range(5)}
    assert len({int(outcome["process"]) for outcome in found.values()}) <= 2
    assert steps.told[-1] == 10
    assert scalars == [("value", 0.5, 1)] * 5


def test_a_team_keeps_its_processes_and_takes_one_job_more_than_there_is_room_for() -> None:
    taken: list[int] = []

    def jobs(count: int) -> Any:
        for i in range(count):
            taken.append(i)
            yield Job(str(i), {"x": np.zeros(1)})

    with LocalProcesses().team(Work(f"{TRYING}:doubling", {"factor": 2})) as team:
        processes, ahead = set(), []
        for _, outcome in team.run(jobs(3)):
            assert isinstance(outcome, dict)
            ahead.append(len(taken))
            processes.add(int(outcome["process"]))
        [(_, outcome)] = team.run(jobs(1))
        assert isinstance(outcome, dict)
        assert processes == {int(outcome["process"])}
        assert ahead == [2, 3, 3]
    assert not psutil.pid_exists(processes.pop())


def test_errors_keep_their_type_and_others_say_where_they_were_raised() -> None:
    found = run(Work(f"{TRYING}:failing"), [Job("a", {"own": 1}), Job("b", {"own": 0})])
    assert isinstance(found["a"], ModelError)
    assert str(found["a"]) == "block1 diverged"
    assert isinstance(found["b"], WorkerError)
    assert str(found["b"]).startswith("b: ZeroDivisionError: by nothing (")
    assert "trying.py" in str(found["b"])


def test_a_full_disk_is_told_as_such_and_not_as_a_failure_of_the_job() -> None:
    found = run(Work(f"{TRYING}:filling", may_crash=True), [Job("a", {})])
    assert isinstance(found["a"], WriteError)
    assert "No space left on device" in str(found["a"])
    with pytest.raises(WriteError):  # a conversion is not left out of the store for it
        converted_files(found["a"])


def test_a_job_whose_process_is_killed_goes_on_from_its_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def job(deaths: int, by: signal.Signals = signal.SIGKILL) -> Job:
        checkpoint = Checkpoint(tmp_path / f"{deaths}{by.name}.npz")
        return Job(f"{deaths} {by.name}", {"deaths": deaths, "signal": int(by)}, checkpoint)

    work, steps = Work(f"{TRYING}:dying"), Steps()
    found = run(work, [job(2)], steps=steps)
    assert found["2 SIGKILL"]["began"] == 2
    assert steps.told == [1, 2, 3]
    assert "2 SIGKILL: its process ended (SIGKILL); the job is done anew" in caplog.text
    for outcome in run(work, [job(3), job(1, signal.SIGSEGV)], 2).values():
        assert isinstance(outcome, WorkerError)
        assert ": its process ended (SIG" in str(outcome)
    crashed = run(Work(f"{TRYING}:dying", may_crash=True), [job(1)])["1 SIGKILL"]
    assert isinstance(crashed, LegoError)


def test_what_cannot_be_imported_is_told() -> None:
    found = run(Work("legodnn.no_such_room:nothing"), [Job("a", {})])
    assert "ModuleNotFoundError: No module named 'legodnn.no_such_room'" in str(found["a"])


def written(file: Path) -> int:
    """The number that a job writes to a file, which it may not have begun to do."""
    deadline = time.monotonic() + 100
    while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(file.read_text())


def test_jobs_end_when_the_caller_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, temporary = tmp_path / "process", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked up again

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    def alarm_once_begun(thread: int) -> None:
        written(file)
        signal.pthread_kill(thread, signal.SIGALRM)

    with LocalProcesses().team(Work(f"{TRYING}:sleeping")) as team:
        jobs = team.run([Job("asleep", {"file": str(file), "seconds": 600})])
        before = signal.signal(signal.SIGALRM, interrupt)
        threading.Thread(target=alarm_once_begun, args=(threading.get_ident(),), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            next(jobs)
        signal.signal(signal.SIGALRM, before)
        assert not psutil.pid_exists(written(file))
    assert not list(temporary.iterdir())


def test_jobs_end_when_the_caller_fails_on_another_one(tmp_path: Path) -> None:
    asked = [Job(name, {"file": str(tmp_path / name), "seconds": s}) for name, s in (("slow", 600), ("quick", 0))]
    kept: list[Any] = []

    def fail() -> None:
        with LocalProcesses(2).team(Work(f"{TRYING}:sleeping")) as team:
            kept.append(jobs := team.run(asked))
            assert next(jobs)[0].name == "quick"
            kept.append(written(tmp_path / "slow"))
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert not psutil.pid_exists(kept[1])


def test_a_process_that_is_killed_while_it_has_nothing_to_do_is_started_again(tmp_path: Path) -> None:
    def job(name: str, seconds: float) -> Job:
        return Job(name, {"file": str(tmp_path / name), "seconds": seconds})

    done: list[str] = []
    with LocalProcesses(2).team(Work(f"{TRYING}:sleeping")) as team:
        for finished, _ in team.run([job("quick", 0), job("slow", 3)]):
            if finished.name == "quick":
                os.kill(written(tmp_path / "quick"), signal.SIGKILL)

        def go_on() -> None:
            done.extend(finished.name for finished, _ in team.run([job("one", 0), job("other", 0)]))

        again = threading.Thread(target=go_on, daemon=True)
        again.start()
        again.join(100)
        assert sorted(done) == ["one", "other"]


def test_without_a_cluster_workers_are_processes_and_one_does_not_divide() -> None:
    with workers_of() as one, workers_of(3) as three:
        assert (one.at_once, one.divides) == (1, False)
        assert (three.at_once, three.divides) == (3, True)
        assert three.threads <= one.threads == usable_processors()
        assert three.memory_bytes < one.memory_bytes
