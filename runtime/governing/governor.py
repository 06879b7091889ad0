"""The governor keeps a runtime's budget in step with what the device can spare.

    with Runtime.open(["stores/faces", "stores/scenes"]) as runtime, Governor(runtime):
        while True:
            logits = runtime.infer("faces", image)

Once a second it reads the device (`device.monitor`) and decides on a budget (`policy`); if the budget has changed, the
runtime re-plans and switches. It also watches how long inferences take (`slowdown_tracker`), the slowest ones too
(`tail_tracker`), so that contention and heat count, and limits hold for the share of inferences that they are for. The
budget that the runtime has when the governor is made is the application's own, and no decision is ever wider. Where no
plan holds the limits, the nearest plan runs; where a block cannot be loaded, the old plan runs on and the switch is
tried again later. Every decision is logged with its reason (`telemetry`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import psutil
from typing_extensions import Self

from legodnn.errors import ClosedError, ConfigError, LegoError
from legodnn.lifetime import Lifetime
from legodnn.plan import Infeasible, ModelPlan, Plan
from legodnn.printable import shown
from legodnn.runtime.device.monitor import Monitor, Readings
from legodnn.runtime.governing.policy import Decision, Demand, Policy, Situation, State, decide
from legodnn.runtime.governing.slowdown_tracker import SlowdownTracker
from legodnn.runtime.governing.tail_tracker import TailTracker
from legodnn.runtime.governing.telemetry import Metrics, log_decision, log_failed, log_stalls, log_unread
from legodnn.runtime.planning.as_profiled import most_of
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.tail import Tail
from legodnn.turn import turn
from legodnn.workload import Budget

_RETRY_S = 10.0
# An inference that takes so long, and so many times longer than profiled, has waited for something.
_STALL_MS, _STALL_RATIO = 1000.0, 10.0
_TOLD_AGAIN_S = 60.0


class Governed(Protocol):
    """What a governor needs of a runtime."""

    scheduler: Scheduler
    on_inference: Callable[[ModelPlan, float], None] | None
    own_budget: Budget | None

    @property
    def plan(self) -> Plan:
        """The plan that runs."""

    def check_free(self) -> None:
        """See `Runtime.check_free`."""

    def replan(
        self,
        budget: Budget,
        slowdown: Mapping[str, float],
        nearest: bool = False,
        tail: Mapping[str, float] | None = None,
    ) -> Infeasible | None:
        """See `Runtime.replan`."""


class Reads(Protocol):
    """What a governor needs of a monitor."""

    def read(self) -> Readings:
        """The state of the device."""


class Governor:
    """A thread that reads the device, decides on a budget and applies it, again and again.

    Attributes:
        on_decision: a function that is called after each decision with what is logged of it, in the thread that
            decided; it may set another budget, or close the governor. None for none.
    """

    def __init__(
        self,
        runtime: Governed,
        policy: Policy | None = None,
        monitor: Reads | None = None,
        metrics: Metrics | None = None,
        interval_s: float = 1.0,
    ) -> None:
        """Make a governor, which starts with `start` or as a context manager.

        Args:
            runtime: the runtime to govern. Its present budget, or the one that a governor before made it of, is the
                widest that it will have, until `set_budget` sets another one.
            policy: how to decide; the default `Policy` if None.
            monitor: reads the device; a `Monitor` of this device if None.
            metrics: metrics to keep up to date; none if None.
            interval_s: seconds between readings.

        Raises:
            ConfigError: the interval is not a positive number of seconds, or the policy is none.
            ClosedError: the runtime has been closed.
        """
        number = isinstance(interval_s, int | float) and not isinstance(interval_s, bool)
        if not (number and 0 < interval_s <= threading.TIMEOUT_MAX):
            raise ConfigError(f"interval_s must be a positive number of seconds, not {shown(interval_s)}")
        if policy is not None and not isinstance(policy, Policy):
            raise ConfigError(f"a policy is a legodnn.runtime.Policy, not {type(policy).__name__}")
        self._life = Lifetime("this governor")
        self.runtime = runtime
        self.policy: Policy = Policy() if policy is None else policy
        left = runtime.own_budget  # by another governor, whose last decision runs still
        self.demand: Demand = demand_of(runtime.scheduler, runtime.plan.budget if left is None else left)
        self._monitor, self._metrics, self._interval_s = monitor or Monitor(), metrics, interval_s
        self._slowdowns = SlowdownTracker(runtime.scheduler.tables)
        self._tails = TailTracker(runtime.scheduler.tables)
        self._state = State()
        self.on_decision: Callable[[dict[str, Any]], None] | None = None
        self._told_before: Callable[[ModelPlan, float], None] | None = None
        self._retry_s = math.inf if left is None else -math.inf
        # Other threads write here: it has all keys from the start, since it is walked meanwhile.
        self._stalled_ms = dict.fromkeys((table.name for table in runtime.scheduler.tables), 0.0)
        self._told_s = -math.inf
        self._ended, self._stepping = threading.Event(), threading.RLock()
        self._thread = threading.Thread(target=self._loop, name="legodnn-governor", daemon=True)

    def observe(self, plan: ModelPlan, latency_ms: float) -> None:
        """Note one inference, for the slow-down and the tail of its model and the metrics.

        Args:
            plan: what the model ran.
            latency_ms: how long the inference took.
        """
        if (ratio := self._slowdowns.add(plan, latency_ms)) is not None:
            self._tails.add(plan, ratio)
            if latency_ms >= _STALL_MS and ratio >= _STALL_RATIO:
                self._stalled_ms[plan.name] = max(latency_ms, self._stalled_ms[plan.name])
        if self._metrics is not None:
            self._metrics.inferred(plan, latency_ms)

    def step(self) -> Decision:
        """Read the device, decide, and apply the decision if it changes anything. The thread calls this repeatedly.

        Raises:
            ClosedError: the governor or the runtime has been closed, or was made before this process was forked off.
            OSError, psutil.Error: the device could not be read.
            ExecutionError: this is a signal handler that has interrupted a step.
        """
        self._life.check()
        with turn(self._stepping, "this governor"):
            decision, line = self._step(anew=False)
        return self._told(decision, line)

    def attempt(self) -> None:
        """Take a step as the thread does: what fails is logged, since the next step may work."""
        try:
            self.step()
        except ClosedError:
            self._ended.set()
        except (OSError, psutil.Error) as e:  # no file descriptors are left, say
            log_unread(e)
        except Exception as e:  # of an application's own monitor, say; without the thread nothing would govern
            log_failed(e)

    def set_budget(self, budget: Budget) -> Decision:
        """Take another budget as the application's own, decide, and apply the decision; on errors nothing changes.

        Args:
            budget: the widest that the runtime is to have from now on. If a block cannot be loaded it is taken all the
                same: the plan before runs on (`kept`, see `log_decision`), and that is tried again ten seconds later.

        Raises:
            InfeasibleError: no plan holds the budget, whatever the device can spare.
            WorkloadError: it is no budget, or names models that are not here.
            ClosedError, OSError, psutil.Error, ExecutionError: as for `step`.
        """
        self._life.check()
        with turn(self._stepping, "this governor"):
            self.runtime.scheduler.plan(budget)
            before, self.demand = self.demand, demand_of(self.runtime.scheduler, budget)
            try:
                decision, line = self._step(anew=True)
            except BaseException:
                self.demand = before
                raise
        return self._told(decision, line)

    def _told(self, decision: Decision, line: dict[str, Any] | None) -> Decision:
        """Tell of a decision, once the next one may be taken: who is told of it may ask for another."""
        if line is not None and self.on_decision is not None:
            self.on_decision(line)
        return decision

    def _step(self, anew: bool) -> tuple[Decision, dict[str, Any] | None]:
        """Read, decide and apply; `anew` applies even what changes nothing of what the device can spare.

        Returns:
            The decision, and what was logged of it; None if nothing changed.
        """
        readings, plan = self._monitor.read(), self.runtime.plan
        for name in plan.suspended:
            self._slowdowns.rest(name)
            self._tails.rest(name)
        limited = (m for m in plan.models if m.latency_limit_ms is not None)
        excesses = {m.name: excess for m in limited if (excess := self._tails.excess(m)) is not None}
        ratios = self._slowdowns.ratios(self.policy.observations)
        for tracker in (self._slowdowns, self._tails):
            tracker.judged()
        situation = Situation(readings, plan.memory_bytes, ratios, excesses, frozenset(plan.suspended))
        self._state, decision = decide(self.policy, self.demand, self._state, situation)
        if changed := anew or decision.changes or readings.time_s >= self._retry_s:
            self._retry_s = readings.time_s + _RETRY_S  # unless it is applied: whatever fails, the decision is not lost
        if self._metrics is not None:
            self._metrics.read(readings)
        self._tell_stalls(readings)
        line = self._apply_and_report(decision, readings) if changed else None
        if self._metrics is not None:
            self._metrics.runs(self.runtime.plan, {**self.demand.expected, **decision.slowdown})
        return decision, line

    def _tell_stalls(self, readings: Readings) -> None:
        """Warn of inferences that stalled since the last reading, if processes wait for memory; once a minute."""
        stalled = {name: ms for name, ms in self._stalled_ms.items() if ms}
        self._stalled_ms.update(dict.fromkeys(stalled, 0.0))
        pressed = readings.memory_pressure is not None and readings.memory_pressure >= self.policy.pressure
        if stalled and pressed and readings.time_s - self._told_s >= _TOLD_AGAIN_S:
            self._told_s = readings.time_s
            log_stalls(stalled, readings)

    def _apply_and_report(self, decision: Decision, readings: Readings) -> dict[str, Any]:
        start = time.perf_counter()
        outcome, message = self._apply(decision)
        if self._metrics is not None:
            self._metrics.decided(decision, outcome, time.perf_counter() - start)
        if outcome != "kept":
            self._retry_s = math.inf
        return log_decision(decision, readings, outcome, message, self.runtime.plan)

    def _apply(self, decision: Decision) -> tuple[str, str]:
        """Apply a decision as far as possible; returns the outcome (see `log_decision`) and what was wrong."""
        try:
            why = self.runtime.replan(decision.budget, decision.slowdown, nearest=True, tail=decision.tail)
        except LegoError as e:
            return "kept", str(e)
        self.runtime.own_budget = self.demand.budget
        return ("applied", "") if why is None else ("nearest", str(why))

    def learned(self, name: str) -> tuple[Tail, ...]:
        """Return what was learned of a model's tail in use, by thread count; empty if it ran too seldom.

        `legodnn.runtime.governing.keep_learned.save_learned` keeps it beside the profile.
        """
        return self._tails.tails(name)

    def start(self) -> None:
        """Start the thread, which takes its first decision at once, and watching inferences; once is enough.

        What the runtime's `on_inference` was before is called as well.

        Raises:
            ClosedError: it has been closed.
            ConfigError: another governor governs this runtime; two would undo each other's decisions.
        """
        self._life.check()
        if self._thread.ident is not None:
            return
        before = self.runtime.on_inference
        if isinstance(getattr(before, "__self__", None), Governor):
            raise ConfigError("another governor governs this runtime; close it first, or use it")
        self._told_before, self.runtime.on_inference = before, self._inferred
        self._thread.start()

    def _inferred(self, plan: ModelPlan, latency_ms: float) -> None:
        self.observe(plan, latency_ms)
        if self._told_before is not None:
            self._told_before(plan, latency_ms)

    def close(self) -> None:
        """Stop the thread and watching inferences; once is enough. The runtime keeps the budget that it has.

        Raises:
            ExecutionError: this is a signal handler that has interrupted what uses the governor or its runtime, for
                which the thread may be waiting. It stays open.
        """
        if not self._life.lasts():
            return
        turn(self._stepping, "this governor")
        self.runtime.check_free()
        if not self._life.end():
            return
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        if self.runtime.on_inference == self._inferred:
            self.runtime.on_inference = self._told_before

    def _loop(self) -> None:
        while not self._ended.is_set():
            self.attempt()
            self._ended.wait(self._interval_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def demand_of(scheduler: Scheduler, budget: Budget) -> Demand:
    """The application's own budget, and the most memory and compute that a scheduler's models can use."""
    most = [(table.rate_hz, most_of(table)) for table in scheduler.tables]
    memory = sum(of.memory_bytes for _, of in most)
    cores = sum(math.inf if rate is None else rate * of.busy_ms / 1e3 for rate, of in most)
    expected = {table.name: table.slowdown for table in scheduler.tables}
    return Demand(budget, memory, cores if math.isfinite(cores) else None, expected)
