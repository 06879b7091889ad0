"""Jobs in processes on this machine. They are started when there are jobs, and end with their team."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from legodnn.blocks.jobs.job import RETRIES, Heard, Job, Kind, Work, log, outcome_of, state_of
from legodnn.blocks.jobs.local_worker import read_told, write_frame
from legodnn.blocks.jobs.packed import packed
from legodnn.errors import LegoError, WorkerError
from legodnn.processes import start_module
from legodnn.progress import ProgressTask
from legodnn.runtime.device.allowance import free_memory_bytes, usable_processors


class LocalProcesses:
    """Processes on this machine, at most `at_once` at a time, which share its processors evenly."""

    def __init__(self, at_once: int = 1) -> None:
        """Start nothing yet: processes are started when there are jobs."""
        self._at_once = at_once

    @property
    def at_once(self) -> int:
        """Jobs that are done at a time."""
        return self._at_once

    @property
    def threads(self) -> int:
        """Processors that each job uses."""
        return max(1, usable_processors() // self.at_once)

    @property
    def memory_bytes(self) -> int:
        """Memory that is free for each job."""
        return free_memory_bytes() // self.at_once

    @property
    def divides(self) -> bool:
        """Whether there are several processes: one more than this is not worth its start."""
        return self.at_once > 1

    @contextmanager
    def team(self, work: Work) -> Iterator[_LocalTeam]:
        """Return what does the jobs of one kind; see `Workers.team`."""
        # Processes that are killed remove no temporary files of theirs, so these are all in a folder of this one's.
        with _in_memory(packed(work.shared)) as shared, tempfile.TemporaryDirectory(prefix="legodnn-") as folder:
            team = _LocalTeam(work, shared, self.at_once, self.threads, folder)
            try:
                yield team
            finally:
                team.end()


class _LocalTeam:
    """Processes that do jobs of one kind: a `Team`."""

    def __init__(self, work: Work, shared: IO[bytes], at_once: int, threads: int, folder: str) -> None:
        self._work, self._told = work, _Told()
        self._new = functools.partial(_Process, work.function, shared, threads, folder, self._told)
        self._idle, self._running = [self._new() for _ in range(at_once)], set[_Process]()

    def run(
        self, jobs: Iterable[Job], task: ProgressTask | None = None
    ) -> Iterator[tuple[Job, dict[str, Any] | LegoError]]:
        """Do jobs; see `Team.run`."""
        waiting, heard, deaths = iter(jobs), Heard(task), Counter[str]()
        try:
            ahead = next(waiting, None)
            while True:
                while self._idle and ahead is not None:
                    self._running.add(process := self._idle.pop())
                    process.start(ahead)
                    ahead = next(waiting, None)  # it is made ready while others are done
                if not self._running:
                    return
                process, kind, content = self._told.get()
                if process not in self._running:  # it was killed when an earlier run was ended, or while it waited
                    if kind is None:
                        process.forget()
                    continue
                job = process.job
                outcome: dict[str, Any] | LegoError
                if kind is None:
                    how = process.ending()
                    deaths[job.name] += 1
                    if process.was_killed and not self._work.may_crash and deaths[job.name] <= RETRIES:
                        log.warning(f"{job.name}: its process ended ({how}); the job is done anew")
                        process.start(job)
                        continue
                    outcome = WorkerError(f"{job.name}: its process ended ({how})")
                elif kind in ("result", "failed"):
                    outcome = outcome_of(job, kind, content)
                else:
                    heard.take(job, kind, content)
                    continue
                self._running.remove(process)
                self._idle.append(process)
                yield job, outcome
        finally:
            for process in self._running:
                process.kill()
                self._idle.append(self._new())
            self._running.clear()

    def end(self) -> None:
        """End the processes, those too whose run was not ended before."""
        for process in (*self._idle, *self._running):
            process.kill()


class _Told(queue.Queue[tuple["_Process", "Kind | None", bytes]]):
    """What processes tell, in the order in which it arrives; a kind of None says that the process has ended."""


class _Process:
    """A process that does one job after another; it is started for its first one, and again after it has ended."""

    def __init__(self, function: str, shared: IO[bytes], threads: int, folder: str, told: _Told) -> None:
        self._function, self._shared, self._threads, self._folder, self._told = function, shared, threads, folder, told
        self.was_killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `kill`)

    def start(self, job: Job) -> None:
        """Have a job done."""
        self.job = job
        if self._process is None:
            self._process = self._started()
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which its listener tells
            write_frame(self._process.stdin, packed(job.arguments))
            write_frame(self._process.stdin, [state_of(job)])

    def ending(self) -> str:
        """Return how the process ended: by which signal, or with what as its last line."""
        process, self._process = self._process, None
        assert process is not None
        status = self._ended(process)
        self.was_killed = status in (-signal.SIGKILL, -signal.SIGTERM)
        if status < 0:
            return _signal_name(-status)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"status {status}"

    def forget(self) -> None:
        """Take note that the process has ended without a job, so that the next job starts another one."""
        process, self._process = self._process, None
        if process is not None:
            self._ended(process)

    def kill(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._ended(self._process)
        self._errors.close()

    @staticmethod
    def _ended(process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a process, and return its status."""
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # of what it has not read
            process.stdin.close()
        return process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        threads = str(self._threads)
        fd = self._shared.fileno()
        size = os.fstat(fd).st_size
        self._errors.truncate(0)
        self._errors.seek(0)
        return start_module(
            "legodnn.blocks.jobs.local_worker",
            *(str(fd), str(size), self._function),
            environment={"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads, "TMPDIR": self._folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=[fd],
        )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            while (found := read_told(stream)) is not None:
                self._told.put((self, *found))
        self._told.put((self, None, b""))


def _in_memory(parts: Sequence[Any]) -> IO[bytes]:
    """Return a file in memory with this content, which processes can map, so that they share it."""
    file = os.fdopen(os.memfd_create("legodnn"), "w+b")
    for part in parts:
        file.write(part)
    file.flush()
    return file


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
