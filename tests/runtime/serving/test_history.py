"""What a service remembers of its events, and tells those who begin to watch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from legodnn import Runtime, Store
from legodnn.runtime.serving.history import History


@pytest.fixture(scope="module")
def runtime(tiny_store: Store) -> Iterator[Runtime]:
    with Runtime.open([tiny_store.path]) as opened:
        yield opened


def test_what_is_remembered_does_not_grow_while_a_clock_that_was_set_back_catches_up(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, clock = History(runtime, []), SimpleNamespace(time=lambda: 1e9, monotonic=lambda: 0.0)
    monkeypatch.setattr("legodnn.runtime.serving.history.time", clock)
    history.add({"event": "decision", "number": 1})
    clock.time, clock.monotonic = lambda: 0.0, lambda: 601.0
    history.add({"event": "decision", "number": 2})

    async def first() -> str:
        pieces = history.follow()
        try:
            return await anext(pieces)
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]

    assert asyncio.run(first()) == 'event: decision\ndata: {"event": "decision", "number": 2, "time": 0.0}\n\n'


def test_who_begins_to_watch_gets_what_is_remembered_and_then_what_comes_once_each(runtime: Runtime) -> None:
    history = History(runtime, [])

    async def watch() -> str:
        for number in range(120):
            history.add({"event": "decision", "number": number})
        pieces = history.follow()
        found = await anext(pieces)
        for number in range(120, 125):  # while the client has not read all of it
            history.add({"event": "decision", "number": number})
        while '"number": 124' not in found:
            found += await anext(pieces)
        history.end()
        assert [piece async for piece in pieces] == []
        return found

    events = asyncio.run(watch()).removesuffix("\n\n").split("\n\n")
    told = [json.loads(event.removeprefix("event: decision\ndata: ")) for event in events]
    assert [event["number"] for event in told] == list(range(125))


def test_a_sample_that_fails_is_not_the_last_one(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    history, taken = History(runtime, []), []

    def sample() -> dict[str, str]:
        taken.append(1)
        if len(taken) == 1:
            raise OSError("no file descriptors are left")
        return {"event": "sample"}

    async def watch() -> str:
        monkeypatch.setattr(history, "sample", sample)
        sampling = asyncio.create_task(history.keep_sampling(0.01))
        try:
            return await anext(history.follow())
        finally:
            sampling.cancel()

    assert asyncio.run(asyncio.wait_for(watch(), 30)).startswith("event: sample\n")
    assert "no sample was taken: no file descriptors are left" in caplog.text
