"""The process that runs a store for an `IsolatedExecutor`.

    worker STORE ID EXECUTOR SOCKET MEMORY

It answers the messages that come through a socket until the other end is closed. ID is the id that the store must have;
EXECUTOR is capi or interpreter; SOCKET and MEMORY are file descriptors that it inherits. A message names one of
`_Worker`'s methods and its arguments.
"""

from __future__ import annotations

import json
import mmap
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from legodnn.errors import LegoError, StoreError
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice, Executor, Runnable
from legodnn.runtime.executors.isolated import shared_arrays, slots
from legodnn.runtime.executors.select import open_executor, warm_up
from legodnn.store import Store


class _Worker:
    def __init__(self, path: str, identity: str, kind: str, memory: int) -> None:
        self._path, self._id, self._kind, self._memory = path, identity, kind, memory
        self._composed: dict[int, Runnable] = {}

    def open(self) -> None:
        store = Store(self._path)
        if store.id != self._id:
            raise StoreError(f"{store.path} was replaced after it was opened; open it again")
        self._inputs, self._outputs = shared_arrays(store.manifest, mmap.mmap(self._memory, slots(store.manifest)[2]))
        warm_up(store, self._kind)
        release_freed_memory()
        self._base = process_memory_bytes()
        self._executor: Executor = open_executor(store, self._kind)

    def to_load(self, choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [vars(c) for c in self._executor.to_load(_choices(choices))]

    def compose(self, number: int, choices: list[dict[str, Any]]) -> None:
        self._composed[number] = self._executor.compose(_choices(choices))

    def retain(self, numbers: list[int], choices: list[dict[str, Any]]) -> None:
        self._composed = {n: c for n, c in self._composed.items() if n in numbers}
        self._executor.retain(_choices(choices))

    def run(self, number: int) -> None:
        for name, value in self._composed[number].run(self._inputs).items():
            self._outputs[name][...] = value

    def memory(self) -> int:
        release_freed_memory()
        return max(0, process_memory_bytes() - self._base)


def _choices(entries: list[dict[str, Any]]) -> tuple[Choice, ...]:
    return tuple([Choice(**entry) for entry in entries])


def serve(connection: Connection, worker: _Worker) -> None:
    """Answer messages until the other end of the connection is closed."""
    while True:
        try:
            message = json.loads(connection.recv_bytes())
        except (EOFError, ConnectionError):
            return
        try:
            answer = {"value": getattr(worker, message.pop("do"))(**message)}
        except LegoError as e:
            answer = {"error": type(e).__name__, "message": str(e)}
        except Exception as e:  # told to the process that asks, instead of printed here
            answer = {"error": "ExecutionError", "message": f"{type(e).__name__}: {e}"}
        try:
            connection.send_bytes(json.dumps(answer).encode())
        except ConnectionError:
            return


if __name__ == "__main__":
    # A service manager sends these to all processes of a service, which may still have requests to answer, or go on.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    serve(Connection(int(sys.argv[4])), _Worker(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[5])))
