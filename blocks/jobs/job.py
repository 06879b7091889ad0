"""What a job is, and what does jobs: the seam between the stages of a build and where their work is done.

A stage describes its `Work`: a function by its name, what all of its jobs have in common, and what they need.
`Workers`, which are processes on this machine (`local_processes`) or a cluster (`ray_cluster`), give it a `Team`. The
stage gives jobs to the team, and takes their outcomes as they come. Only names and arrays go to a job, and only arrays
come back.

The function is called once in each process with what jobs have in common, and returns the function that does a job:

    def doubling(shared: Mapping[str, Any]) -> DoesJob:
        factor = shared["factor"]

        def double(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
            return {"x": factor * arguments["x"]}

        return double

    with workers.team(Work("mymodule:doubling", {"factor": 2})) as team:
        for job, outcome in team.run([Job("one", {"x": np.ones(3)})]): ...
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from legodnn import errors
from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.jobs.packed import packed, unpacked
from legodnn.errors import LegoError, WorkerError, WriteError
from legodnn.files import write_atomic
from legodnn.progress import ProgressTask

log = logging.getLogger("legodnn.blocks")

# What a job tells while it runs: the steps that it has done (a number), a scalar for the log (JSON), or the content of
# its checkpoint. It ends with its result (a packed tree) or with why there is none (JSON).
Kind = Literal["at", "log", "state", "result", "failed"]
Send = Callable[[Kind, Any], None]  # the second argument is bytes, or a list of parts of them
RETRIES = 2  # times that a job is done anew because its process or machine has ended


@dataclass(frozen=True, eq=False)
class Job:
    """One job.

    Attributes:
        name: what messages call it; unique among the jobs of one `Team.run`.
        arguments: what the function gets.
        checkpoint: where its state is kept on this machine, and from where it goes on.
        log: takes its scalars: tag, value and step.
    """

    name: str
    arguments: ArrayTree
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    log: Callable[[str, float, int], None] | None = None


@dataclass(frozen=True, eq=False)
class Work:
    """What jobs of one kind have in common.

    Attributes:
        function: `module:function` in this package; see the module's example.
        shared: what the function is called with in each process.
        memory_bytes: what a job takes at most, by which a cluster places it.
        one_cpu: whether a job cannot use more than one processor; otherwise it gets `Workers.threads` of them.
        may_crash: whether a job can end the process that it runs in. Then it gets one of its own, and is not done anew.
    """

    function: str
    shared: ArrayTree = field(default_factory=dict)
    memory_bytes: int = 0
    one_cpu: bool = False
    may_crash: bool = False

    def processors(self, threads: int) -> int:
        """Return how many processors a job uses where others use `threads` of them."""
        return 1 if self.one_cpu else threads


class Workers(Protocol):
    """What does jobs.

    Attributes:
        at_once: jobs that are done at a time.
        threads: processors that each of them uses.
        memory_bytes: memory that each of them has.
        divides: whether work should be divided into jobs at all. Otherwise the caller does better to do it itself,
            except for what may crash.
    """

    @property
    def at_once(self) -> int: ...  # noqa: D102

    @property
    def threads(self) -> int: ...  # noqa: D102

    @property
    def memory_bytes(self) -> int: ...  # noqa: D102

    @property
    def divides(self) -> bool: ...  # noqa: D102

    def team(self, work: Work) -> AbstractContextManager[Team]:
        """Return what does the jobs of one kind, to be opened by a `with` statement.

        Raises:
            WorkerError: no machine has what a job needs.
        """
        ...


class Team(Protocol):
    """Does the jobs of one kind."""

    def run(
        self, jobs: Iterable[Job], task: ProgressTask | None = None
    ) -> Iterator[tuple[Job, dict[str, Any] | LegoError]]:
        """Do jobs, and yield each with its result as soon as it is done, or with the error that it ended with.

        Jobs are taken from the iterable one by one, in this thread, when there is room for them; a team may take one
        more, so that it is ready when others are done. A job whose process or machine ends is done anew from its
        checkpoint, a few times. If the caller stops early, or is interrupted, the jobs that run are ended.

        Args:
            jobs: the jobs.
            task: is told how many steps all jobs have done.

        Raises:
            WorkerError: nothing is left that could do the jobs.
        """
        ...


@dataclass(frozen=True)
class Attempt:
    """One attempt to do a job, as its function sees it.

    Attributes:
        at: is told how many steps are done.
        log: takes scalars: tag, value and step.
        checkpoint: keeps the state, from which the next attempt goes on.
    """

    at: Callable[[int], None]
    log: Callable[[str, float, int], None]
    checkpoint: Checkpoint


DoesJob = Callable[[Mapping[str, Any], Attempt], ArrayTree]


class Heard:
    """What the jobs of a run have told while they ran, on the side that waits for them."""

    def __init__(self, task: ProgressTask | None) -> None:
        """`task` is told how many steps all jobs have done together."""
        self._task, self._steps = task, dict[str, int]()

    def take(self, job: Job, kind: Kind, content: bytes) -> None:
        """Take what a job tells: count its steps, log its scalar, or keep its state."""
        if kind == "at":
            self._steps[job.name] = int(content)
            if self._task is not None:
                self._task.at(sum(self._steps.values()))
        elif kind == "log" and job.log is not None:
            tag, value, step = json.loads(content)
            job.log(tag, value, step)
        elif kind == "state" and job.checkpoint.path is not None:
            write_atomic(job.checkpoint.path, content)


def state_of(job: Job) -> bytes:
    """Return the content of the job's checkpoint; nothing if there is none."""
    path = job.checkpoint.path
    return path.read_bytes() if path is not None and path.exists() else b""


def outcome_of(job: Job, kind: Kind, content: Any) -> dict[str, Any] | LegoError:
    """Return the result that a job ended with, or its error."""
    if kind == "result":
        return unpacked(content)
    told = json.loads(bytes(content))
    if told["error"] is None:
        return WorkerError(f"{job.name}: {told['message']}")
    error: LegoError = getattr(errors, told["error"])(told["message"])
    return error


class Prepared:
    """The function that does jobs, made ready in this process."""

    def __init__(self, function: str, shared: Any) -> None:
        """Import the function, and call it with what jobs have in common.

        Args:
            function: `module:function`.
            shared: the packed tree of what jobs have in common.
        """
        module, _, name = function.partition(":")
        self._does: DoesJob = getattr(importlib.import_module(module), name)(unpacked(shared))

    def attempt(self, arguments: Any, state: bytes, send: Send) -> None:
        """Do one job, and send what it tells; the last is its result or its failure.

        Args:
            arguments: its packed arguments.
            state: what its checkpoint holds.
            send: takes what the job tells.
        """
        with tempfile.TemporaryDirectory(prefix="legodnn-") as folder:
            checkpoint = _SentCheckpoint(Path(folder) / "job.state.npz", state, send)
            told = Attempt(
                at=lambda steps: send("at", str(steps).encode()),
                log=lambda *scalar: send("log", json.dumps(scalar).encode()),
                checkpoint=checkpoint,
            )
            result = self._does(unpacked(arguments), told)
        send("result", packed(result))


def failure(error: BaseException) -> bytes:
    """Return an error as the content of what a failed job tells: errors of this package keep their type.

    A full disk is a WriteError, since it says nothing about the job.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = WriteError(f"cannot write {error.filename or tempfile.gettempdir()}: {error.strerror}")
    if isinstance(error, LegoError):
        return json.dumps({"error": type(error).__name__, "message": str(error)}).encode()
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    what = str(error).strip().partition("\n")[0]
    return json.dumps({"error": None, "message": f"{type(error).__name__}: {what:.300}{where}"}).encode()


class _SentCheckpoint(Checkpoint):
    """A checkpoint whose content is sent whenever it is written."""

    def __init__(self, path: Path, state: bytes, send: Send) -> None:
        super().__init__(path)
        self._send = send
        if state:
            path.write_bytes(state)

    def write(self, state: ArrayTree) -> None:
        super().write(state)
        assert self.path is not None
        self._send("state", self.path.read_bytes())
