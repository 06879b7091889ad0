"""What a service remembers of the last ten minutes, and tells as events: samples of its state, decisions, switches.

Events are kept as the text that clients get (server-sent events). It is made once, not again for every client, and many
are sent as one piece: a client that begins to watch does not hold up requests for long.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from legodnn.arrays import percentiles
from legodnn.runtime.runtime import Runtime
from legodnn.runtime.serving.inference_queue import InferenceQueue

log = logging.getLogger("legodnn.serving")

_REMEMBERED_S = 600.0
_WINDOW_S = 10.0  # latencies of so many seconds make up a percentile
_MOST_UNSENT = 100  # a client that reads more slowly than this misses events
_AT_ONCE = 50  # events of some 1 KB that are sent as one piece; more of them would wait in memory for slow clients


class History:
    """Samples and decisions, and the clients that are told of new ones."""

    def __init__(self, runtime: Runtime, queues: Sequence[InferenceQueue]) -> None:
        """Remember nothing yet."""
        self._runtime, self._queues = runtime, queues
        self._events: deque[tuple[float, str]] = deque()
        self._clients: set[asyncio.Queue[str | None]] = set()
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def sample(self) -> dict[str, Any]:
        """Return the state of the moment: what is measured and predicted of memory, and of each model's latency."""
        plan, since = self._runtime.plan, time.monotonic() - _WINDOW_S
        models = {}
        for queue in self._queues:
            planned = plan[queue.model]
            recent = [ms for ended, ms in list(queue.latencies_ms) if ended >= since]
            median_ms, p95_ms = percentiles(recent, 50, 95) if recent else (None, None)
            models[queue.model] = {
                "options": None if planned.suspended else dict(planned.options),
                "streamed": planned.streamed,
                "compact": planned.compact,
                "accuracy": planned.accuracy,
                "predicted_ms": planned.latency_ms,
                "limit_ms": planned.latency_limit_ms,
                "quantile": planned.quantile,
                "predicted_quantile_ms": planned.quantile_ms,
                "median_ms": median_ms,
                "p95_ms": p95_ms,
                "served": queue.served,
                "waiting": queue.waiting,
            }
        return {
            "event": "sample",
            "memory_bytes": self._runtime.memory_bytes,
            "predicted_memory_bytes": plan.memory_bytes,
            "budget": plan.budget.model_dump(mode="json"),
            "models": models,
        }

    def add(self, event: dict[str, Any]) -> None:
        """Remember an event and tell the clients. To be called in the event loop's thread."""
        now = time.monotonic()  # a clock that is set back would have everything remembered until it is there again
        text = f"event: {event['event']}\ndata: {json.dumps({**event, 'time': time.time()})}\n\n"
        self._events.append((now, text))
        while self._events[0][0] < now - _REMEMBERED_S:
            self._events.popleft()
        for client in self._clients:
            with suppress(asyncio.QueueFull):
                client.put_nowait(text)

    async def follow(self) -> AsyncIterator[str]:
        """Yield what is remembered, the oldest first, and then every new event when it comes, until `end`."""
        client: asyncio.Queue[str | None] = asyncio.Queue(_MOST_UNSENT)
        self._clients.add(client)
        try:
            remembered = [text for _, text in self._events]
            for first in range(0, len(remembered), _AT_ONCE):
                yield "".join(remembered[first : first + _AT_ONCE])
            while not self._ended and (news := await client.get()) is not None:
                yield news
        finally:
            self._clients.discard(client)

    def end(self) -> None:
        """Let everyone who follows go. To be called in the event loop's thread."""
        self._ended = True
        for client in self._clients:
            with suppress(asyncio.QueueFull):  # whoever has that much to read finds out after the next event
                client.put_nowait(None)

    async def keep_sampling(self, interval_s: float = 1.0) -> None:
        """Take a sample again and again, until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            try:
                # Memory is read from the kernel, which takes milliseconds: not in the event loop.
                self.add(await asyncio.to_thread(self.sample))
            except Exception as e:  # no file descriptors are left, say: the next one may succeed
                log.warning("no sample was taken: %s", e)
            await asyncio.sleep(interval_s)

    def add_soon(self, event: dict[str, Any]) -> None:
        """Like `add`, from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.add, event)
