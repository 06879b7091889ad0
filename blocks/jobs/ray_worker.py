"""What runs on a cluster: `run_job`, a task of Ray, and the `Mailbox` that jobs tell their progress to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from legodnn.blocks.jobs.job import Job, Kind, Prepared, Send, Work, failure
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.jobs.packed import packed, unpacked
from legodnn.blocks.jobs.sent_modules import take_modules
from legodnn.blocks.jobs.versions import difference, versions_here
from legodnn.errors import LegoError, WorkerError

_STEPS_EVERY_S = 0.5  # least time between two messages about steps
Ended = tuple[Kind, Any]  # what a task returns: 'result' or 'failed', and the bytes of either


class Mailbox:
    """An actor beside the build: jobs put there what they tell, and the build takes it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._messages: list[tuple[str, int, Kind, bytes]] = []

    def put(self, job: str, attempt: int, kind: Kind, content: bytes) -> None:
        """Put what an attempt at a job tells; see `job.Kind`."""
        self._messages.append((job, attempt, kind, content))

    def take(self) -> list[tuple[str, int, Kind, bytes]]:
        """Return all messages since the last call."""
        taken, self._messages = self._messages, []
        return taken


class _Ready:
    """What does the jobs of the team whose job this process did last; the next one is likely to be of the same team."""

    team = ""
    does: Callable[[str, Any, bytes, Send], Ended] | None = None
    held = ExitStack()


def run_job(
    team: str,
    function: str,
    may_crash: bool,
    name: str,
    attempt: int,
    shared: Any,
    arguments: Any,
    state: bytes,
    mailbox: Any,
    versions: Mapping[str, str],
    modules: str,
) -> Ended:
    """Do one job, and return how it ended.

    Args:
        team: names the team; what is made ready for it is kept until a job of another comes.
        function, may_crash: see `Work`.
        name: of the job.
        attempt: how often it was tried before.
        shared, arguments: packed trees.
        state: what the job's checkpoint holds.
        mailbox: a `Mailbox`, as an actor.
        versions: of the machine that the build runs on, which must be those of this one.
        modules: of the user's own, see `sent_modules`.
    """
    told_at, untold = 0.0, b""

    def send(kind: Kind, content: Any) -> None:
        nonlocal told_at, untold
        if kind == "at":
            if time.monotonic() - told_at < _STEPS_EVERY_S:
                untold = content
                return
            told_at, untold = time.monotonic(), b""
        mailbox.put.remote(name, attempt, kind, content)

    try:
        if problem := difference("a machine of the cluster", versions_here(), versions):
            raise WorkerError(problem)
        if _Ready.team != team or _Ready.does is None:
            _Ready.held.close()
            _Ready.team, _Ready.does = "", None
            take_modules(modules)
            _Ready.does = _isolated(function, shared) if may_crash else _here(function, shared)
            _Ready.team = team
        ended = _Ready.does(name, arguments, state, send)
        if untold:
            mailbox.put.remote(name, attempt, "at", untold)
        return ended
    except Exception as e:  # whatever a job raises is told to the build
        return "failed", failure(e)


def _here(function: str, shared: Any) -> Callable[[str, Any, bytes, Send], Ended]:
    """Return what does jobs in this process."""
    prepared = Prepared(function, shared)

    def does(name: str, arguments: Any, state: bytes, send: Send) -> Ended:
        ended: list[Ended] = []

        def told(kind: Kind, content: Any) -> None:
            if kind == "result":
                ended.append((kind, np.concatenate(content)))
            else:
                send(kind, content)

        prepared.attempt(arguments, state, told)
        return ended[0]

    return does


def _isolated(function: str, shared: Any) -> Callable[[str, Any, bytes, Send], Ended]:
    """Return what does jobs that may end their process, in a process of their own on this machine."""
    team = _Ready.held.enter_context(LocalProcesses().team(Work(function, unpacked(shared), may_crash=True)))

    def does(name: str, arguments: Any, state: bytes, send: Send) -> Ended:
        [(_, outcome)] = team.run([Job(name, unpacked(arguments))])
        return ("failed", failure(outcome)) if isinstance(outcome, LegoError) else ("result", _joined(outcome))

    return does


def _joined(tree: Mapping[str, Any]) -> Any:
    return np.concatenate(packed(tree))
