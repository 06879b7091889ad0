"""Feeding systemd's watchdog by what the service is for: inferences. A service that cannot infer is restarted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from legodnn.errors import LegoError, SuspendedError
from legodnn.runtime.serving.notify import tell_systemd
from legodnn.runtime.serving.served_runtime import ServedRuntime

log = logging.getLogger("legodnn.serving")

_FEEDINGS = 3  # in the time that the watchdog allows: two may be late, or fail


async def feed_watchdog(current: Callable[[], ServedRuntime], within_s: float) -> None:
    """Tell systemd again and again that every model answers, until this is cancelled.

    Args:
        current: returns what answers now.
        within_s: the longest that systemd waits, in seconds.
    """
    ran: dict[str, int] = {}
    while True:
        try:
            ran = await prove_alive(current(), ran)
            tell_systemd("WATCHDOG=1", f"STATUS={current().status}")
        except LegoError as e:
            log.warning("the watchdog is not told that all models answer: %s", e)
        await asyncio.sleep(within_s / _FEEDINGS)


async def prove_alive(served: ServedRuntime, ran: dict[str, int]) -> dict[str, int]:
    """Return how many inferences each model has run, after one of zeros by every model that has run none since.

    Args:
        served: what is asked. A model that is suspended has nothing to prove.
        ran: what this returned before.

    Raises:
        LegoError: a model that has run nothing since cannot, as `Runtime.run` and `InferenceQueue.infer` say.
    """
    for name, queue in served.queues.items():
        if queue.served <= ran.get(name, 0):  # less: it was opened anew
            inputs = {spec.name: spec.zeros() for spec in served.runtime.stores[name].manifest.inputs}
            with suppress(SuspendedError):
                await queue.infer(inputs)
    return {name: queue.served for name, queue in served.queues.items()}
