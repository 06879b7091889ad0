"""An executor that runs in a process of its own: if that crashes, one request is lost and nothing else.

The process (`worker`) is started with the executor. When it has ended, it is started again and composes the same models
anew. Inputs and outputs are copied through memory that both processes map; requests and answers are short JSON
messages. An inference takes some 0.1 ms more than in the application's own process. Each worker takes the memory of a
Python process with NumPy (some 30 MB), which is not counted as the model's.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from legodnn import errors, processes
from legodnn.arrays import AnyArray
from legodnn.errors import ClosedError, ExecutionError, LegoError
from legodnn.lifetime import Lifetime, release_with
from legodnn.manifest import Manifest, TensorSpec
from legodnn.runtime.executors.base import Choice, ExecutorKind, check_choices
from legodnn.runtime.executors.select import executor_kind, prepare
from legodnn.store import Store
from legodnn.turn import turn

_TIMEOUT_S, _END_S = 60.0, 0.5  # how long an answer may take, and ending


def slots(manifest: Manifest) -> tuple[tuple[TensorSpec, ...], list[int], int]:
    """Lay out the memory that a model's inputs and outputs are passed through.

    Returns:
        The inputs and outputs; the offset in bytes of each; and the size of the whole in bytes.
    """
    places = [0]
    for spec in manifest.ends:
        places.append(places[-1] + -(-spec.bytes // 64) * 64)
    return manifest.ends, places[:-1], max(places[-1], mmap.PAGESIZE)


def shared_arrays(manifest: Manifest, memory: mmap.mmap) -> tuple[dict[str, AnyArray], dict[str, AnyArray]]:
    """Return a model's inputs and its outputs, each by name, as arrays in shared memory laid out by `slots`."""
    specs, places, _ = slots(manifest)
    arrays = {
        spec.name: np.frombuffer(memory, spec.dtype, math.prod(spec.shape), place).reshape(spec.shape)
        for spec, place in zip(specs, places, strict=True)
    }
    names = [spec.name for spec in manifest.inputs]
    return {n: arrays[n] for n in names}, {n: arrays[n] for n in manifest.outputs}


class IsolatedExecutor:
    """Runs a store in a process of its own. Fulfils `Executor`, and may be used by several threads."""

    def __init__(self, store: Store, kind: str | None = None) -> None:
        """Start a worker for a store.

        Args:
            store: the store.
            kind: what runs it there, as for `select.executor_kind`.

        Raises:
            ExecutionError: the worker cannot be started, or ended at its start.
            LegoError: as `select.open_executor`.
        """
        # What runs it is decided once: a worker that is started again has no other environment variables to go by.
        self._kind = executor_kind(kind)
        prepare(store, self._kind)  # here and not in the worker, which is killed when an answer takes long
        self._store, self._life = store, Lifetime(f"the executor of {store.name!r}")
        self._lock = threading.RLock()
        self._live: dict[int, tuple[Choice, ...]] = {}
        self._next = 0
        self._worker: _Worker | None = None
        self._inputs: dict[str, AnyArray] = {}
        self._outputs: dict[str, AnyArray] = {}
        self._close_memory: Callable[[], Any] | None = None
        size = slots(store.manifest)[2]
        try:
            self._memory = os.memfd_create("legodnn", os.MFD_CLOEXEC)
            self._close_memory = release_with(self, os.close, self._memory)
            os.ftruncate(self._memory, size)
            self._inputs, self._outputs = shared_arrays(store.manifest, mmap.mmap(self._memory, size))
            self._start()
        except (OSError, OverflowError, ValueError) as e:
            self.close()
            problem = getattr(e, "strerror", None) or e
            raise ExecutionError(f"{store.name!r} cannot be given memory of its own: {problem}") from None
        except BaseException:
            self.close()
            raise

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """Return the choices for which `compose` would take memory now (see `Executor.to_load`)."""
        wanted = sorted(choices, key=lambda c: c.segment)
        with self._turn():
            return tuple([Choice(**c) for c in self._answer({"do": "to_load", "choices": [asdict(c) for c in wanted]})])

    def compose(self, choices: tuple[Choice, ...]) -> IsolatedComposition:
        """Load what is missing and compose a model (see `Executor.compose`)."""
        with self._turn():
            check_choices(self._store, choices)
            self._next += 1
            number = self._next
            self._answer({"do": "compose", "number": number, "choices": [asdict(c) for c in choices]})
            self._live[number] = choices
        return IsolatedComposition(self, number)

    def run(self, number: int, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the model that was composed under a number (see `Runnable.run`)."""
        with self._turn():
            self._life.check()  # it may have been closed while this waited
            if number not in self._live:
                raise ClosedError("this composition was let go; compose again")
            for name, value in inputs.items():
                self._inputs[name][...] = value
            self._answer({"do": "run", "number": number})
            return {name: value.copy() for name, value in self._outputs.items()}

    def retain(self, choices: Collection[Choice]) -> None:
        """Give back the memory of all other choices (see `Executor.retain`)."""
        with self._turn():
            self._live = {number: live for number, live in self._live.items() if set(live) <= set(choices)}
            self._answer({"do": "retain", "numbers": [*self._live], "choices": [asdict(c) for c in choices]})

    def elsewhere_bytes(self) -> int:
        """Return the memory of models outside this process (see `Executor.elsewhere_bytes`)."""
        with self._turn():
            return int(self._answer({"do": "memory"}))

    def close(self) -> None:
        """Give back everything (see `Executor.close`)."""
        if self._life.end():
            with turn(self._lock, f"the executor of {self._store.name!r}"):
                self._end()
                self._inputs, self._outputs = {}, {}  # the last references to the memory
                if self._close_memory:
                    self._close_memory()

    @property
    def pid(self) -> int | None:
        """The process id of the worker; None if there is none."""
        return self._worker.process.pid if self._worker else None

    def _turn(self) -> threading.RLock:
        """Return what gives one thread the worker for itself. ClosedError if this executor has been closed."""
        self._life.check()
        return turn(self._lock, f"the executor of {self._store.name!r}")

    def _answer(self, message: dict[str, Any]) -> Any:
        """Ask the worker; return its answer. If it has ended since its last answer, it is started again first.

        Raises:
            ClosedError: this executor was closed while its turn was awaited.
            ExecutionError: it ended or did not answer, and was started again.
            LegoError: the error that the request raised in the worker.
        """
        self._life.check()
        worker = self._worker
        if worker is None or worker.process.poll() is not None:
            worker = self._start()
        try:
            return worker.answer(message)
        except (EOFError, OSError, TimeoutError):
            how = self._end()
        except LegoError:
            raise
        except BaseException:  # such as Ctrl-C: the answer that is still to come must not be taken for another's
            self._end()
            raise
        self._start()
        raise ExecutionError(
            f"the process that ran {self._store.name!r} {how}; it was started again and only this request is lost"
        )

    def _start(self) -> _Worker:
        """Start a worker and have it compose every model that may still be run."""
        self._end()
        self._worker = worker = _Worker(self._store, self._kind, self._memory)
        try:
            worker.answer({"do": "open"})
            for number, choices in self._live.items():
                worker.answer({"do": "compose", "number": number, "choices": [asdict(c) for c in choices]})
        except (EOFError, OSError, TimeoutError):
            how = self._end()
            raise ExecutionError(f"the process that was to run {self._store.name!r} {how} at its start") from None
        except BaseException:
            self._end()
            raise
        return worker

    def _end(self) -> str:
        """End the worker if there is one; return how it ended."""
        worker, self._worker = self._worker, None
        return worker.end() if worker else "was not there"


class _Worker:
    """A process that runs a store, and the socket to it. It ends when this object is dropped, at the latest."""

    def __init__(self, store: Store, kind: ExecutorKind, memory: int) -> None:
        """Start the process. ExecutionError if that cannot be done.

        Args:
            store: the store.
            kind: what runs it there.
            memory: file descriptor of the shared memory.
        """
        try:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                fds = (theirs.fileno(), memory)
                arguments = (str(store.folder), store.id, kind, *map(str, fds))
                self.process = processes.start_module("legodnn.runtime.executors.worker", *arguments, pass_fds=fds)
                self._connection = Connection(ours.detach())
        except OSError as e:
            raise ExecutionError(f"no process can be started for {store.name!r}: {e.strerror or e}") from None
        self._end = release_with(self, _end_process, self.process, self._connection)

    def answer(self, message: dict[str, Any]) -> Any:
        """Send a message; return the answer.

        Raises:
            EOFError, OSError, TimeoutError: there is no answer.
            LegoError: the error that the message raised in the worker.
        """
        self._connection.send_bytes(json.dumps(message).encode())
        if not self._connection.poll(_TIMEOUT_S):
            raise TimeoutError
        answer = json.loads(self._connection.recv_bytes())
        if "error" in answer:
            raise getattr(errors, answer["error"], ExecutionError)(answer["message"])
        return answer["value"]

    def end(self) -> str:
        """End the process, unless that has been done; return how it ended."""
        return str(self._end())


def _end_process(process: subprocess.Popen[bytes], connection: Connection) -> str:
    """Close the socket to a worker, wait for its end or kill it; return how it ended."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)  # processes that were forked off keep it open
    connection.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    hangs = process.poll() is None
    if hangs:
        process.kill()
    code = process.wait()
    if hangs:
        return "did not answer and was ended"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


@dataclass(frozen=True, eq=False)
class IsolatedComposition:
    """A model that was composed in the worker, under a number. Fulfils `Runnable`."""

    executor: IsolatedExecutor
    number: int

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the model once (see `Runnable.run`)."""
        return self.executor.run(self.number, inputs)
