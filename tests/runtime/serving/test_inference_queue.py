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
from legodnn.errors import OverloadedError
from legodnn.plan import ModelPlan
from legodnn.runtime.running_model import Inference
from legodnn.runtime.serving.inference_queue import InferenceQueue
from legodnn.runtime.serving.service import ServiceSettings
from tests.runtime.serving.served import Client, served

X = np.random.default_rng(0).random((12, 12, 1), np.float32)


class Slow:
    """A runtime that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.ran, self.lock = seconds, 0, threading.Lock()

    def run(self, model: str, x: Any) -> Inference:
        assert self.lock.acquire(blocking=False), "two at a time"
        time.sleep(self.seconds)
        self.ran += 1
        self.lock.release()
        return Inference({"y": np.zeros(1, np.float32)}, None, self.seconds * 1e3)  # type: ignore[arg-type]


def test_a_line_takes_so_many_and_no_more() -> None:
    async def ask() -> list[Any]:
        asked = [queue.infer(X) for _ in range(5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    slow = Slow(0.05)
    queue = InferenceQueue(slow, "m", length=3, timeout_s=10)
    results = asyncio.run(ask())
    full = [r for r in results if isinstance(r, OverloadedError)]
    assert len(full) == 2
    assert slow.ran == 3
    assert queue.served == 3
    assert queue.waiting == 0
    assert all(e.retry_after_s >= 1 and "try again" in str(e) for e in full)
    queue.close()
    queue = InferenceQueue(slow, "m", length=9, timeout_s=0.07)
    results = asyncio.run(ask())
    late = [r for r in results if isinstance(r, OverloadedError)]
    assert late, "who waits too long is told so"
    assert "waited more than" in str(late[0])
    queue.close()


def test_who_goes_away_leaves_the_line() -> None:
    async def ask() -> None:
        first = asyncio.create_task(queue.infer(X))
        second = asyncio.create_task(queue.infer(X))
        await asyncio.sleep(0.02)
        second.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second

    slow = Slow(0.1)
    queue = InferenceQueue(slow, "m", length=9, timeout_s=10)
    asyncio.run(ask())
    queue.close()
    assert slow.ran == 1
    assert queue.waiting == 0


def test_who_waits_too_long_is_told_so_in_time_and_keeps_no_inputs() -> None:
    async def ask() -> float:
        first, began = asyncio.create_task(queue.infer(X)), time.monotonic()
        await asyncio.sleep(0.02)
        given = X.copy()
        kept, late = weakref.ref(given), asyncio.create_task(queue.infer(given))
        del given
        told = ""
        try:
            await late
        except OverloadedError as e:
            told = str(e)
        assert "waited more than 0.1 s" in told
        waited = time.monotonic() - began
        assert not first.done()
        del late
        gc.collect()
        assert kept() is None
        await first
        return waited

    slow = Slow(3)
    queue = InferenceQueue(slow, "m", length=9, timeout_s=0.1)
    assert asyncio.run(ask()) < 3
    queue.close()
    assert slow.ran == 1


def test_a_client_that_goes_away_leaves_the_line(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime, served(runtime, ServiceSettings(governed=False)) as client:
        stay_and_go(runtime, client)


def stay_and_go(runtime: Runtime, client: Client) -> None:
    def waiting() -> int:
        return int(client.get("/v1/models").json["tiny"]["waiting"])

    def hold(plan: ModelPlan, latency_ms: float) -> None:
        released.wait(20)

    body, released = X.tobytes(), threading.Event()
    head = f"POST /v1/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    request = (head + "Content-Type: application/octet-stream\r\n\r\n").encode() + body
    runtime.on_inference = hold
    try:
        runs, waits, goes = (socket.create_connection(("127.0.0.1", client.port), 20) for _ in range(3))
        for number, connection in enumerate((runs, waits, goes), 1):
            connection.sendall(request)
            until = time.monotonic() + 10
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
