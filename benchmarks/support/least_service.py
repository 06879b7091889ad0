"""The least service that answers inferences over HTTP: what any service by asyncio takes, to set ours against.

    python benchmarks/support/least_service.py WORKLOAD.toml PORT

It knows one request, `POST /v1/models/NAME/infer` with a raw float32 tensor, and trusts that it is whole and well made.
There is no framework, no check, no governor and no budget. As in `legodnn serve` each model has a line and a thread.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from legodnn.runtime.runtime import Runtime


class _Protocol(asyncio.Protocol):
    """One connection, whose requests come one after the other."""

    transport: asyncio.Transport

    def __init__(self, runtime: Runtime, lines: dict[str, ThreadPoolExecutor]) -> None:
        self._runtime, self._lines, self._received = runtime, lines, bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol; hand a request that is whole to its model's line."""
        self._received += data
        head, _, body = bytes(self._received).partition(b"\r\n\r\n")
        if len(body) < int(head.partition(b"Content-Length: ")[2].split()[0]):
            return
        self._received.clear()
        name = head.split(b"/", 5)[3].decode()
        self._lines[name].submit(self._answer, name, body)

    def _answer(self, name: str, body: bytes) -> None:
        shape = self._runtime.stores[name].manifest.inputs[0].shape
        inference = self._runtime.run(name, np.frombuffer(body, np.float32).reshape(shape))
        content = next(iter(inference.outputs.values())).tobytes()
        head = f"HTTP/1.1 200 OK\r\nX-Latency-Ms: {inference.latency_ms:.3f}\r\nContent-Length: {len(content)}\r\n\r\n"
        self._loop.call_soon_threadsafe(self.transport.write, head.encode() + content)


async def serve(workload: str, port: int) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    with Runtime.open([workload]) as runtime:
        lines = {name: ThreadPoolExecutor(1) for name in runtime.stores}
        await asyncio.get_running_loop().create_server(lambda: _Protocol(runtime, lines), "127.0.0.1", port)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
