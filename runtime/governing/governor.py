"""Keeps a runtime's budget in step with what the device can spare.

    with Runtime.open(["stores/faces", "stores/scenes"]) as runtime, Governor(runtime):
        while True:
            logits = runtime.infer("faces", image)

Every second the device is read (`monitor`), a budget is decided on (`policy`), and if anything is new in it the runtime
re-plans and switches. Inferences are watched, so that contention and heat are noticed. The budget that the runtime had
when the governor started is the application's own: what is decided is never wider. Where nothing fits the nearest plan
runs; where a block cannot be loaded the old plan runs on, and it is tried again. Every decision is a log line with its
reason (`metrics`).
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import psutil
from typing_extensions import Self

from legodnn.errors import ClosedError, LegoError, WorkloadError
from legodnn.lifetime import Lifetime
from legodnn.plan import Infeasible, ModelPlan, Plan
from legodnn.printable import shown
from legodnn.runtime.device.monitor import Monitor, Readings
from legodnn.runtime.governing.policy import Decision, Policy, Situation, State, Task, decide
from legodnn.runtime.governing.slowdown_tracker import Observed
from legodnn.runtime.governing.telemetry import LOGGER, Metrics, log_decision
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget

_RETRY_S = 10.0


class Governed(Protocol):
    """What a governor needs of a runtime."""

    scheduler: Scheduler
    on_inference: Callable[[ModelPlan, float], None] | None

    @property
    def plan(self) -> Plan:
        """What runs."""

    def replan(self, budget: Budget, slowdown: Mapping[str, float], nearest: bool = False) -> Infeasible | None:
        """See `Runtime.replan`."""


class Reads(Protocol):
    """What a governor needs of a monitor."""

    def read(self) -> Readings:
        """The state of the device."""


class Governor:
    """A thread that reads, decides and applies, once in a while."""

    def __init__(
        self,
        runtime: Governed,
        policy: Policy | None = None,
        monitor: Reads | None = None,
        metrics: Metrics | None = None,
        interval_s: float = 1.0,
    ) -> None:
        """A governor of a runtime; it starts with `start`, or as a context manager.

        Args:
            runtime: what is governed. Its present budget is the widest it will have.
            policy: how to decide.
            monitor: what reads the device; a `Monitor` of this one if None.
            metrics: figures to keep; none if None.
            interval_s: time between readings.

        Raises:
            WorkloadError: the interval is no time.
            ClosedError: the runtime has been closed.
        """
        if not (isinstance(interval_s, int | float) and 0 < interval_s <= threading.TIMEOUT_MAX):
            raise WorkloadError(f"interval_s must be a positive number of seconds, not {shown(interval_s)}")
        self._life = Lifetime("this governor")
        self.runtime = runtime
        self.policy = policy or Policy()
        self.task = task_of(runtime.scheduler, runtime.plan.budget)
        self._monitor = monitor or Monitor()
        self._metrics = metrics
        self._interval_s = interval_s
        self._observed = Observed(runtime.scheduler.tables)
        self._state = State()
        self._retry_s = math.inf
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="legodnn-governor", daemon=True)

    def observe(self, plan: ModelPlan, latency_ms: float) -> None:
        """Note an inference: what its model ran, and for how long."""
        self._observed.add(plan, latency_ms)
        if self._metrics is not None:
            self._metrics.inferred(plan.name, latency_ms)

    def step(self) -> Decision:
        """Read, decide, and do what is decided; the thread does nothing else.

        ClosedError if this or the runtime has been closed, or was made before this process was forked off.
        """
        self._life.check()
        readings = self._monitor.read()
        held, ratios = self.runtime.plan.memory_bytes, self._observed.ratios(self.policy.observations)
        self._state, decision = decide(self.policy, self.task, self._state, Situation(readings, held, ratios))
        if self._metrics is not None:
            self._metrics.read(readings)
        if decision.changes or readings.time_s >= self._retry_s:
            self._do(decision, readings)
        return decision

    def _do(self, decision: Decision, readings: Readings) -> None:
        start = time.perf_counter()
        outcome, message = self._applied(decision)
        seconds = time.perf_counter() - start
        self._retry_s = readings.time_s + _RETRY_S if outcome == "kept" else math.inf
        log_decision(decision, readings, outcome, message, self.runtime.plan)
        if self._metrics is not None:
            self._metrics.decided(decision, outcome, seconds)
            self._metrics.runs(self.runtime.plan, {**self.task.expected, **decision.slowdown})

    def _applied(self, decision: Decision) -> tuple[str, str]:
        """Go to a decision as far as that is possible: what came of it, and what was wrong."""
        try:
            why = self.runtime.replan(decision.budget, decision.slowdown, nearest=True)
        except LegoError as e:
            return "kept", str(e)
        return ("applied", "") if why is None else ("nearest", str(why))

    def start(self) -> None:
        """Start watching inferences, and the thread, unless that has been done; the first decision is taken at once."""
        self._life.check()
        if not self._thread.is_alive():
            self.runtime.on_inference = self.observe
            self._thread.start()

    def close(self) -> None:
        """End both, unless that has been done; the runtime keeps the budget that it has."""
        if not self._life.end():
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.runtime.on_inference == self.observe:
            self.runtime.on_inference = None

    def _loop(self) -> None:
        while not self._ended.is_set():
            try:
                self.step()
            except ClosedError:
                return
            except (OSError, psutil.Error) as e:  # such as no file descriptors left: perhaps the next time
                LOGGER.warning(json.dumps({"event": "unread", "message": f"the device could not be read: {e}"}))
            self._ended.wait(self._interval_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def task_of(scheduler: Scheduler, budget: Budget) -> Task:
    """What the models of a scheduler can take at the most, under an application's own budget."""
    memory, cores = 0, 0.0
    for table in scheduler.tables:
        segments = (*table.blocks, *table.fixed)
        memory += sum(max(o.memory_bytes for o in segment.options) for segment in segments)
        latency_ms = max(
            n * sum(max(o.latency_ms[n] for o in segment.options) for segment in segments) for n in table.thread_counts
        )
        cores += math.inf if table.rate_hz is None else table.rate_hz * latency_ms / 1e3
    expected = {table.name: table.slowdown for table in scheduler.tables}
    return Task(budget, memory, cores if math.isfinite(cores) else None, expected)
