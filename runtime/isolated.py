"""An executor in a process of its own: should it crash, one request is lost and nothing else.

The process (`worker`) is started with the executor and started again on the same compositions whenever it has ended.
Inputs and outputs are copied through memory that both map; requests and answers are short JSON messages.
An inference takes some 0.1 ms more than in the application's own process, and each worker the memory of a Python
process with NumPy (some 30 MB), which is not counted as the model's.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from legodnn import errors
from legodnn.errors import ExecutionError, LegoError
from legodnn.runtime import processes
from legodnn.runtime.executor import Array, Choice, prepare
from legodnn.store import Manifest, Store, TensorSpec

_TIMEOUT_S = 60.0


def slots(manifest: Manifest) -> tuple[list[TensorSpec], list[int], int]:
    """What is passed through shared memory: the model's inputs and outputs, where each lies, and bytes of the whole."""
    specs = [*manifest.inputs, *(manifest.specs[name] for name in manifest.outputs)]
    places = [0]
    for spec in specs:
        places.append(places[-1] + -(-int(np.prod(spec.shape, dtype=np.int64)) * 4 // 64) * 64)
    return specs, places[:-1], max(places[-1], mmap.PAGESIZE)


def shared_arrays(manifest: Manifest, memory: mmap.mmap) -> tuple[dict[str, Array], dict[str, Array]]:
    """The model's inputs and outputs as arrays in shared memory."""
    specs, places, _ = slots(manifest)
    arrays = {
        spec.name: np.frombuffer(memory, np.float32, int(np.prod(spec.shape, dtype=np.int64)), place).reshape(
            spec.shape
        )
        for spec, place in zip(specs, places, strict=True)
    }
    names = [spec.name for spec in manifest.inputs]
    return {n: arrays[n] for n in names}, {n: arrays[n] for n in manifest.outputs}


class IsolatedExecutor:
    """See `Executor`."""

    def __init__(self, store: Store, kind: str | None = None) -> None:
        """Start a worker for a store; errors as `open_executor` raises them, and ExecutionError if it cannot start."""
        prepare(store, kind)  # a worker that takes its time to answer is ended
        self._store, self._kind = store, kind
        _, _, size = slots(store.manifest)
        self._shared = os.memfd_create("legodnn", os.MFD_CLOEXEC)
        os.ftruncate(self._shared, size)
        self._inputs, self._outputs = shared_arrays(store.manifest, mmap.mmap(self._shared, size))
        self._lock = threading.Lock()
        self._live: dict[int, tuple[Choice, ...]] = {}
        self._next = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        try:
            self._start()
        except LegoError:
            self.close()
            raise

    def to_load(self, choices: Collection[Choice]) -> tuple[Choice, ...]:
        """See `Executor.to_load`."""
        wanted = sorted(choices, key=lambda c: c.segment)
        return tuple(Choice(**c) for c in self._ask({"do": "to_load", "choices": [asdict(c) for c in wanted]}))

    def compose(self, choices: tuple[Choice, ...]) -> IsolatedComposition:
        """See `Executor.compose`."""
        with self._lock:
            self._next += 1
            number = self._next
            self._answer({"do": "compose", "number": number, "choices": [asdict(c) for c in choices]})
            self._live[number] = choices
        return IsolatedComposition(self, number)

    def run(self, number: int, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a composition; see `Runnable.run`."""
        with self._lock:
            for name, value in inputs.items():
                self._inputs[name][...] = value
            self._answer({"do": "run", "number": number})
            return {name: value.copy() for name, value in self._outputs.items()}

    def retain(self, choices: Collection[Choice]) -> None:
        """See `Executor.retain`."""
        with self._lock:
            self._live = {number: live for number, live in self._live.items() if set(live) <= set(choices)}
            self._answer({"do": "retain", "numbers": [*self._live], "choices": [asdict(c) for c in choices]})

    def elsewhere_bytes(self) -> int:
        """See `Executor.elsewhere_bytes`."""
        return int(self._ask({"do": "memory"}))

    def close(self) -> None:
        """See `Executor.close`."""
        with self._lock:
            self._end()
            if self._shared >= 0:
                os.close(self._shared)
                self._shared = -1

    @property
    def pid(self) -> int | None:
        """The worker's process number."""
        return self._process.pid if self._process else None

    def _ask(self, message: dict[str, Any]) -> Any:
        with self._lock:
            return self._answer(message)

    def _answer(self, message: dict[str, Any]) -> Any:
        """The worker's answer; one that has ended since its last answer is first started again.

        Raises:
            ExecutionError: it ended, or did not answer; it was started again where that could be done.
            LegoError: what it raised.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        try:
            return self._exchange(message)
        except (EOFError, OSError, TimeoutError):
            how = self._end()
        self._start()
        raise ExecutionError(
            f"the process that ran {self._store.name!r} {how}; it was started again and only this request is lost"
        )

    def _exchange(self, message: dict[str, Any]) -> Any:
        connection = self._connection
        if connection is None:
            raise EOFError
        connection.send_bytes(json.dumps(message).encode())
        if not connection.poll(_TIMEOUT_S):
            raise TimeoutError
        answer = json.loads(connection.recv_bytes())
        if "error" in answer:
            raise getattr(errors, answer["error"], ExecutionError)(answer["message"])
        return answer["value"]

    def _start(self) -> None:
        """Start a worker on everything that is live."""
        self._end()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            fds = (theirs.fileno(), self._shared)
            arguments = (str(self._store.path), self._kind or "auto", *map(str, fds))
            try:
                self._process = processes.start("legodnn.runtime.worker", *arguments, pass_fds=fds)
            except OSError as e:
                raise ExecutionError(f"no process can be started for {self._store.name!r}: {e.strerror}") from None
            self._connection = Connection(ours.detach())
        try:
            self._exchange({"do": "open"})
            for number, choices in self._live.items():
                self._exchange({"do": "compose", "number": number, "choices": [asdict(c) for c in choices]})
        except (EOFError, OSError, TimeoutError):
            how = self._end()
            raise ExecutionError(f"the process that was to run {self._store.name!r} {how} at its start") from None
        except LegoError:
            self._end()
            raise

    def _end(self) -> str:
        """End the worker if there is one; how it ended."""
        process, self._process = self._process, None
        if self._connection:
            self._connection.close()
            self._connection = None
        if process is None:
            return "was not there"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        asked = process.poll() is None
        if asked:
            process.kill()
        code = process.wait()
        if asked:
            return "did not answer and was ended"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


@dataclass(frozen=True, eq=False)
class IsolatedComposition:
    """See `Runnable`."""

    executor: IsolatedExecutor
    number: int

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runnable.run`."""
        return self.executor.run(self.number, inputs)
