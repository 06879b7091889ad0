"""A service whose models can be replaced while it answers: the new ones take over, the old ones end what they began."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from legodnn.runtime.device.memory import release_freed_memory
from legodnn.runtime.governing.telemetry import Metrics
from legodnn.runtime.runtime import Runtime
from legodnn.runtime.serving.guards import AsgiReceive, AsgiScope, AsgiSend
from legodnn.runtime.serving.notify import tell_systemd, watchdog_s
from legodnn.runtime.serving.served_runtime import ServedRuntime
from legodnn.runtime.serving.service import ServiceSettings, application
from legodnn.runtime.serving.watchdog import feed_watchdog

log = logging.getLogger("legodnn.serving")

_LONGEST_INFERENCE_S = 30.0  # after the longest wait in line, so that draining ends


class _Generation:
    """One runtime with its application, and the requests that it answers at the moment."""

    def __init__(self, runtime: Runtime, settings: ServiceSettings, before: Metrics | None = None) -> None:
        self.runtime, self.app = runtime, application(runtime, settings, before)
        self.served: ServedRuntime = self.app.state.served
        self.answering = 0
        self.drained = asyncio.Event()
        self._running = AsyncExitStack()

    async def start(self) -> None:
        await self._running.enter_async_context(self.app.router.lifespan_context(self.app))

    async def end(self) -> None:
        try:
            await self._running.aclose()
        finally:
            await asyncio.to_thread(self.runtime.close)

    async def answer(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        self.answering += 1
        self.drained.clear()
        try:
            await self.app(scope, receive, send)
        finally:
            self.answering -= 1
            if self.answering == 0:
                self.drained.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until all requests are answered, event streams excepted: they end, and clients open new ones."""
        self.served.history.end()
        if self.answering:
            try:
                await asyncio.wait_for(self.drained.wait(), timeout_s)
            except asyncio.TimeoutError:
                log.warning("%d requests were not answered within %g s and are dropped", self.answering, timeout_s)


def _give_back_memory() -> None:
    """Drop what nothing uses any more now: models' tables refer to one another, and would wait for the next reloads."""
    gc.collect()
    release_freed_memory()


class ReloadableApplication:
    """An ASGI application that serves a runtime, and another one after `reload`.

    systemd is told of it where it is there (`notify`), and its watchdog is fed (`watchdog`).
    """

    def __init__(self, runtime: Runtime, reopen: Callable[[], Runtime], settings: ServiceSettings) -> None:
        """Serve a runtime.

        Args:
            runtime: the first runtime. This closes it when it ends, as those that follow.
            reopen: opens the runtime that is to follow; a LegoError keeps the one that runs.
            settings: the service's limits.
        """
        self._settings, self._reopen = settings, reopen
        self._current = _Generation(runtime, settings)
        self._asked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def served(self) -> ServedRuntime:
        """What answers new requests."""
        return self._current.served

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer a request by the current models, or start and end with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._current.answer(scope, receive, send)

    def ask_reload(self) -> None:
        """Have the models opened anew soon. Asking again before that has begun changes nothing."""
        self._asked.set()

    async def reload(self) -> bool:
        """Open the models anew and let them take over; if that fails, nothing changes and False is returned."""
        old = self._current
        tell_systemd("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=opening models anew")
        try:
            new = await self._opened_anew()
        except Exception as e:  # a LegoError, or no memory is left, say
            log.error("the models were not opened anew, those of before run on: %s", e)
            tell_systemd("READY=1", f"STATUS=not reloaded: {e}")
            return False
        self._current = new
        log.info("opened anew: %s; requests that came before are answered by the models of before", new.served.status)
        tell_systemd("READY=1", f"STATUS={new.served.status}")
        try:
            await old.drain(self._settings.queue_timeout_s + self._settings.body_timeout_s + _LONGEST_INFERENCE_S)
        finally:
            await old.end()
        del old
        await asyncio.to_thread(_give_back_memory)
        return True

    async def _opened_anew(self) -> _Generation:
        """Open the models anew and start what serves them; if that fails nothing of it stays open."""
        new = _Generation(await asyncio.to_thread(self._reopen), self._settings, self._current.served.metrics)
        # What the process held before the first models is no model's; the old ones are still among what it holds now.
        new.runtime.base_memory_bytes = self._current.runtime.base_memory_bytes
        try:
            await new.start()
        except BaseException:
            await new.end()
            raise
        return new

    async def _live(self, receive: AsgiReceive, send: AsgiSend) -> None:
        await receive()  # lifespan.startup
        await self._current.start()
        self._tasks.append(asyncio.create_task(self._keep_reloading()))
        if (within_s := watchdog_s()) is not None:
            self._tasks.append(asyncio.create_task(feed_watchdog(lambda: self.served, within_s)))
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        try:
            for task in self._tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        finally:
            await self._current.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep_reloading(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.reload()
            except Exception:  # the new models serve; without this no other would follow
                log.exception("the models of before did not end as they should")
