"""Requests in a model's line: so many and no more, and nobody whose client went away."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime, Store
from legodnn.errors import ClosedError, OverloadedError
from legodnn.plan import ModelPlan
from legodnn.runtime.running_model import Inference
from legodnn.runtime.serving.inference_queue import InferenceQueue
from legodnn.runtime.serving.service import ServiceSettings
from tests.runtime.serving.served import Client, served

X = np.random.default_rng(0).random((12, 12, 1), np.float32)


class Slow:
    """A runtime that takes its time, and first waits until it may go on."""

    def __init__(self, seconds: float = 0.0, held: bool = False) -> None:
        self.seconds, self.ran, self.lock = seconds, 0, threading.Lock()
        self.begun, self.goes_on = threading.Event(), threading.Event()
        if not held:
            self.goes_on.set()

    def run(self, model: str, x: Any, *, observed: bool = True) -> Inference:
        assert self.lock.acquire(blocking=False), "two at a time"
        self.begun.set()
        assert self.goes_on.wait(60)
        time.sleep(self.seconds)
        self.ran += 1
        self.lock.release()
        return Inference({"y": np.zeros(1, np.float32)}, None, self.seconds * 1e3)  # type: ignore[arg-type]


def test_a_line_takes_so_many_and_no_more() -> None:
    async def ask() -> list[Any]:
        asked = [queue.infer(X) for _ in range(5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    slow = Slow(0.05)
    queue = InferenceQueue(slow, "m", length=3, timeout_s=60)
    results = asyncio.run(ask())
    full = [r for r in results if isinstance(r, OverloadedError)]
    assert len(full) == 2
    assert slow.ran == 3
    assert queue.served == 3
    assert queue.waiting == 0
    assert all(e.retry_after_s >= 1 and "try again" in str(e) for e in full)
    queue.close()
    queue = InferenceQueue(Slow(0.3), "m", length=9, timeout_s=0.07)
    results = asyncio.run(ask())
    late = [r for r in results if isinstance(r, OverloadedError)]
    assert late, "who waits too long is told so"
    assert "waited more than" in str(late[0])
    queue.close()


def test_who_goes_away_leaves_the_line() -> None:
    async def ask() -> None:
        first = asyncio.create_task(queue.infer(X))
        second = asyncio.create_task(queue.infer(X))
        assert await asyncio.to_thread(slow.begun.wait, 60)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second  # it has gone before the first one ends
        slow.goes_on.set()
        await first

    slow = Slow(held=True)
    queue = InferenceQueue(slow, "m", length=9, timeout_s=60)
    asyncio.run(ask())
    queue.close()
    assert slow.ran == 1
    assert queue.waiting == 0


def test_who_waits_in_a_line_that_is_closed_is_told_so() -> None:
    async def ask() -> None:
        first, second = (asyncio.create_task(queue.infer(X)) for _ in range(2))
        assert await asyncio.to_thread(slow.begun.wait, 60)
        closing = asyncio.create_task(asyncio.to_thread(queue.close))
        with pytest.raises(ClosedError, match="'m' is served no longer"):
            await second
        with pytest.raises(ClosedError, match="'m' is served no longer"):
            await queue.infer(X)
        slow.goes_on.set()
        await asyncio.gather(first, closing)

    slow = Slow(held=True)
    queue = InferenceQueue(slow, "m", length=9, timeout_s=60)
    asyncio.run(ask())
    assert slow.ran == 1
    assert queue.waiting == 0


def test_who_waits_too_long_is_told_so_in_time_and_keeps_no_inputs() -> None:
    async def ask() -> None:
        first = asyncio.create_task(queue.infer(X))
        assert await asyncio.to_thread(slow.begun.wait, 60)
        given = X.copy()
        kept, late = weakref.ref(given), asyncio.create_task(queue.infer(given))
        del given
        told = ""
        try:
            await late
        except OverloadedError as e:
            told = str(e)
        assert "waited more than 0.1 s" in told
        assert not first.done()
        del late
        gc.collect()
        assert kept() is None
        slow.goes_on.set()
        await first

    slow = Slow(held=True)
    queue = InferenceQueue(slow, "m", length=9, timeout_s=0.1)
    asyncio.run(ask())
    queue.close()
    assert slow.ran == 1


def test_a_client_that_goes_away_leaves_the_line(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime, served(runtime, ServiceSettings(governed=False)) as client:
        stay_and_go(runtime, client)


def stay_and_go(runtime: Runtime, client: Client) -> None:
    def waiting() -> int:
        return int(client.get("/v1/models").json["tiny"]["waiting"])

    def hold(plan: ModelPlan, latency_ms: float) -> None:
        released.wait(60)

    body, released = X.tobytes(), threading.Event()
    head = f"POST /v1/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    request = (head + "Content-Type: application/octet-stream\r\n\r\n").encode() + body
    runtime.on_inference = hold
    try:
        runs, waits, goes = (socket.create_connection(("127.0.0.1", client.port), 60) for _ in range(3))
        until = time.monotonic() + 50
        for number, connection in enumerate((runs, waits, goes), 1):
            connection.sendall(request)
            while waiting() < number and time.monotonic() < until:
                time.sleep(0.01)
        goes.close()
        while waiting() > 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert waiting() == 2
    finally:
        released.set()
    for connection in (runs, waits):
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.close()
