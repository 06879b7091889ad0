"""Feeding systemd's watchdog by what the service is for: inferences. A service that cannot infer is restarted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from legodnn.errors import SuspendedError
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
        served = current()
        try:
            ran = await prove_alive(served, ran)
            tell_systemd("WATCHDOG=1", f"STATUS={served.status}")
        except Exception as e:  # whatever it is: if nobody fed the watchdog any more, a service that works would end
            if current() is served:  # otherwise the models were opened anew meanwhile, and those closed
                log.warning("the watchdog is not told that all models answer: %s", e)
        await asyncio.sleep(within_s / _FEEDINGS)


async def prove_alive(served: ServedRuntime, ran: dict[str, int]) -> dict[str, int]:
    """Return how many inferences each model has run, after one of zeros by every model that has run none since.

    Args:
        served: what is asked. A model that the plan suspends has nothing to prove.
        ran: what this returned before.

    Raises:
        LegoError: a model that has run nothing since cannot, as `Runtime.run` and `InferenceQueue.infer` say.
    """
    for name, queue in served.queues.items():
        if queue.served <= ran.get(name, 0):  # less: it was opened anew
            inputs = {spec.name: spec.zeros() for spec in served.runtime.stores[name].manifest.inputs}
            try:  # it is told to nobody: after a long pause, and of zeros, it takes longer than what clients ask for
                await queue.infer(inputs, observed=False)
            except SuspendedError:
                if not served.runtime.plan[name].suspended:
                    raise  # it could not be put back after a switch that failed
    return {name: queue.served for name, queue in served.queues.items()}
