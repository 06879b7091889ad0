"""A load of HTTP requests by asyncio alone: what arrives is decided beforehand, whatever the service does.

Latencies count from when a request was to be sent, so that a service that stalls cannot hide it by holding up the
client. Besides those who behave there are clients that send nonsense, too much or too slowly, go away, or watch.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import selectors
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrivals = Mapping[str, NDArray[np.float64]]


@dataclass
class Answers:
    """What came back: answers by kind of request and status ("closed" for a connection without one), and latencies.

    Attributes:
        statuses: numbers of answers by "kind status".
        seconds: by model, from when a request was to be sent to its whole answer, of those that were accepted.
        inference_ms: by model, how long the service says that these inferences took.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    inference_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def arrivals(rates_hz: Mapping[str, float], seconds: float, seed: int) -> Arrivals:
    """Return by model when its requests come, in seconds from the start: at random, as many clients make them."""
    rng = np.random.default_rng(seed)
    return {name: np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds))) for name, rate in rates_hz.items()}


class _Connections:
    """Connections that are kept for the next request."""

    def __init__(self, port: int) -> None:
        self.port, self._idle = port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()

    async def ask(self, request: bytes) -> tuple[int, dict[bytes, bytes]]:
        """Send a request and return the answer's status and headers; OSError or EOFError if there is none."""
        while self._idle and self._idle[-1][0].at_eof():  # the service closes connections that idle
            self._idle.pop()[1].close()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            headers = {key.lower(): value.strip() for key, _, value in (line.partition(b":") for line in lines[1:])}
            await reader.readexactly(int(headers.get(b"content-length", b"0")))
        except BaseException:
            writer.close()
            raise
        if headers.get(b"connection") == b"close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(lines[0].split()[1]), headers

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


def request(method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream") -> bytes:
    """Return the bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def load(
    port: int, due: Arrivals, images: Mapping[str, bytes], budgets: Sequence[int], seconds: float, nuisance: bool = True
) -> Answers:
    """Ask a service for inferences when they are due, beside a new budget every second and all kinds of nuisance.

    Args:
        port: where it listens.
        due: by model, when its requests are to be sent.
        images: by model, a raw input tensor.
        budgets: limits of memory in bytes, one after the other.
        seconds: when the nuisance ends.
        nuisance: whether there are budgets and nuisance.
    """
    # Timers of asyncio's usual loop are rounded up to milliseconds, which would count as the service's time.
    with closing(asyncio.SelectorEventLoop(selectors.SelectSelector())) as loop:
        return loop.run_until_complete(_load(port, due, images, budgets, seconds, nuisance))


async def _load(
    port: int, due: Arrivals, images: Mapping[str, bytes], budgets: Sequence[int], seconds: float, nuisance: bool
) -> Answers:
    answers, connections, start = Answers(), _Connections(port), time.monotonic()

    async def infer(model: str, at: float, content: bytes) -> None:
        await asyncio.sleep(max(0.0, start + at - time.monotonic()))
        status, headers = await _counted(answers, "infer", connections.ask(content))
        if status == 200:
            answers.seconds[model].append(time.monotonic() - start - at)
            answers.inference_ms[model].append(float(headers[b"x-latency-ms"]))

    async def again(interval_s: float, what: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        for number in itertools.count():
            if time.monotonic() - start > seconds:
                return
            await what(number)
            await asyncio.sleep(interval_s)

    async def budget(number: int) -> None:
        body = json.dumps({"memory_bytes": int(budgets[number % len(budgets)])}).encode()
        await _counted(answers, "budget", connections.ask(request("PUT", "/v1/budget", body)))
        await _counted(answers, "metrics", connections.ask(request("GET", "/metrics")))

    name, image = next(iter(images.items()))
    nonsense = _nonsense(f"/v1/models/{name}/infer", image)

    async def malformed(number: int) -> None:
        await _alone(answers, port, "malformed", [nonsense[number % len(nonsense)]])

    async def oversized(number: int) -> None:
        head = f"POST /v1/models/{name}/infer HTTP/1.1\r\nHost: localhost\r\n".encode()
        declared = [head + b"Content-Length: 100000000\r\n\r\n" + bytes(100_000)]
        chunked = [head + b"Transfer-Encoding: chunked\r\n\r\n", *[b"40000\r\n" + bytes(0x40000) + b"\r\n"] * 16]
        await _alone(answers, port, "oversized", chunked if number % 2 else declared)

    async def slow(number: int) -> None:
        whole = request("POST", f"/v1/models/{name}/infer", image)
        begun = whole.index(b"\r\n\r\n") + 4
        parts = [whole[:begun]] if number % 2 else []
        rest = whole[begun:] if number % 2 else whole
        await _alone(answers, port, "slow", [*parts, *(rest[i : i + 1] for i in range(60))], pause_s=0.5)

    async def gone(_: int) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request("POST", f"/v1/models/{name}/infer", image))
            await writer.drain()
            writer.close()

    async def watch(_: int) -> None:
        with suppress(OSError, asyncio.TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.wait_for(reader.read(-1), 5)
            writer.close()

    clients = [infer(m, at, request("POST", f"/v1/models/{m}/infer", images[m])) for m in due for at in due[m]]
    if nuisance:
        clients += [again(1.0, budget), again(0.2, malformed), again(1.0, oversized), again(1.0, gone)]
        clients += [again(0.5, slow) for _ in range(8)] + [again(0.5, watch) for _ in range(2)]
    await asyncio.gather(*clients)
    connections.close()
    return answers


async def _counted(
    answers: Answers, kind: str, asked: Coroutine[Any, Any, tuple[int, dict[bytes, bytes]]]
) -> tuple[int, dict[bytes, bytes]]:
    try:
        status, headers = await asked
    except (OSError, EOFError):
        status, headers = 0, {}
    answers.statuses[f"{kind} {status or 'closed'}"] += 1
    return status, headers


async def _alone(answers: Answers, port: int, kind: str, parts: Sequence[bytes], pause_s: float = 0.0) -> None:
    """Send parts on a connection of their own until an answer comes, and note its status."""

    async def send(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)

    async def ask() -> tuple[int, dict[bytes, bytes]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sending = asyncio.create_task(send(writer))
        try:
            line = await asyncio.wait_for(reader.readline(), 60)
            return (int(line.split()[1]) if line else 0), {}
        finally:
            sending.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await sending
            writer.close()

    await _counted(answers, kind, ask())


def _nonsense(path: str, image: bytes) -> list[bytes]:
    """Return requests that make no sense, each in a way of its own."""
    return [
        b"no HTTP at all\r\n\r\n",
        b"POST " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        request("POST", path, image[:-1]),
        request("POST", path, b"{", "application/json"),
        request("POST", path, b"[" * 50_000, "application/json"),
        request("POST", path, b"\x93NUMPY\x01\x00\xff\xff{", "application/x-npy"),
        request("POST", path, b"\xff\xd8\xff\xe0 no picture", "image/jpeg"),
        request("POST", "/v2" + path.removeprefix("/v1"), b'{"inputs": 3}', "application/json"),
        request("POST", "/v1/models/nobody/infer", image),
        request("PUT", "/v1/budget", b'{"memory_bytes": -1}'),
        request("DELETE", path),
    ]
