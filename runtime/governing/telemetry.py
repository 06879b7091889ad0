"""What a governor reports: a JSON log line for every decision, and metrics that Prometheus scrapes.

Log lines go to the logger `legodnn.governor`, one JSON object each: the readings, the decision with its reasons, and
the outcome. An application attaches its own handlers. Metrics need prometheus-client (`pip install
'legodnn[metrics]'`):

    metrics = Metrics()
    metrics.serve(9100)                                 # http://HOST:9100/metrics
    with Governor(runtime, metrics=metrics): ...
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from legodnn.errors import ConfigError, DependencyError
from legodnn.plan import ModelPlan, Plan
from legodnn.runtime.device.monitor import Readings
from legodnn.runtime.governing.policy import Decision

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry

Observer = Callable[[ModelPlan, float], None]  # of inferences: what the model ran, and how many milliseconds it took

LOGGER = logging.getLogger("legodnn.governor")
_LATENCY_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_CHANGE_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


def told_to_all(*observers: Observer | None) -> Observer:
    """Return an observer of inferences (`Runtime.on_inference`) that tells others, those left out that are None."""
    listening = [each for each in observers if each is not None]

    def tell(plan: ModelPlan, latency_ms: float) -> None:
        for each in listening:
            each(plan, latency_ms)

    return tell


def log_decision(decision: Decision, readings: Readings, outcome: str, message: str, plan: Plan) -> dict[str, Any]:
    """Log one decision as a JSON object, and return it: at level INFO if it was applied, otherwise WARNING.

    Args:
        decision: what was decided, with reasons.
        readings: the state of the device that the decision rests on.
        outcome: "applied"; "nearest" if no plan holds the limits and the nearest one runs; "kept" if the plan before
            still runs, because a block could not be loaded, say.
        message: what was wrong; "" if nothing was.
        plan: the plan that runs now.
    """
    line = {
        "event": "decision",
        "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "outcome": outcome,
        **({"message": message} if message else {}),
        **decision.as_dict(),
        "readings": readings.as_dict(),
        "plan": {m.name: None if m.suspended else m.options for m in plan.models},
        "predicted": {
            "objective": plan.objective,
            "memory_bytes": plan.memory_bytes,
            "accuracy": {m.name: m.accuracy for m in plan.models if not m.suspended},
            "latency_ms": {m.name: m.latency_ms for m in plan.models if not m.suspended},
            "quantile_ms": {m.name: m.quantile_ms for m in plan.models if not m.suspended},
        },
    }
    LOGGER.log(logging.INFO if outcome == "applied" else logging.WARNING, json.dumps(line, allow_nan=False))
    return line


def log_unread(error: Exception) -> None:
    """Log a warning that the device could not be read."""
    LOGGER.warning(json.dumps({"event": "unread", "message": f"the device could not be read: {error}"}))


def log_failed(error: Exception) -> None:
    """Log, with its traceback, that a step of a governor failed."""
    problem = f"a step of the governor failed: {type(error).__name__}: {error}"
    LOGGER.error(json.dumps({"event": "failed", "message": problem}), exc_info=error)


def log_stalls(stalled: Mapping[str, float], readings: Readings) -> None:
    """Log a warning that inferences waited because memory is short.

    Args:
        stalled: by model, the milliseconds of its longest inference.
        readings: the state of the device.
    """
    longest = max(stalled, key=stalled.__getitem__)
    message = (
        f"an inference of {longest} took {stalled[longest] / 1e3:.1f} s while processes wait for memory "
        f"{readings.memory_pressure or 0:.0%} of the time: the kernel drops packed weights and code, which are pages "
        "of files, and reads them again; leave more memory free, by a greater reserve or a budget"
    )
    line = {"event": "stalled", "message": message, "latency_ms": dict(stalled), "readings": readings.as_dict()}
    LOGGER.warning(json.dumps(line, allow_nan=False))


class _Counted(NamedTuple):
    """What only grows: counters and histograms."""

    inference: Any
    late: Any
    decisions: Any
    changes: Any
    apply: Any


def _new_counted(prometheus: Any, registry: CollectorRegistry) -> _Counted:
    here: dict[str, Any] = {"namespace": "legodnn", "registry": registry}
    of_model: dict[str, Any] = {**here, "labelnames": ["model"]}
    return _Counted(
        prometheus.Histogram("inference_seconds", "Latency of inferences", buckets=_LATENCY_S, **of_model),
        prometheus.Counter("late_inferences", "Inferences above their limit of latency", **of_model),
        prometheus.Counter("decisions", "Decisions by what came of them", labelnames=["outcome"], **here),
        prometheus.Counter("changes", "Limits, speeds and tails changed", labelnames=["what"], **here),
        prometheus.Histogram("apply_seconds", "Time to re-plan and switch", buckets=_CHANGE_S, **here),
    )


class Metrics:
    """Counters, gauges and histograms for Prometheus. Names begin with `legodnn_`; units are seconds and bytes.

    Attributes:
        registry: holds them.
    """

    def __init__(self, registry: CollectorRegistry | None = None, before: Metrics | None = None) -> None:
        """Register the metrics.

        Args:
            registry: the registry; prometheus-client's own if None.
            before: metrics, of another registry, whose counters and histograms go on in these; if None they are new.

        Raises:
            DependencyError: prometheus-client is not installed.
            ConfigError: the registry has the metrics of another governor already.
        """
        try:
            import prometheus_client as prometheus
        except ImportError:
            raise DependencyError("metrics need prometheus-client: pip install 'legodnn[metrics]'") from None
        self.registry: CollectorRegistry = prometheus.REGISTRY if registry is None else registry
        try:
            if before is None:
                self._counted: _Counted = _new_counted(prometheus, self.registry)
            else:
                self._counted = before._counted
                for each in self._counted:
                    self.registry.register(each)
            self._register_gauges(prometheus)
        except ValueError:  # the first name is registered already
            raise ConfigError(
                "this registry has the metrics of another governor: give each a CollectorRegistry() of its own"
            ) from None

    def _register_gauges(self, prometheus: Any) -> None:
        here: dict[str, Any] = {"namespace": "legodnn", "registry": self.registry}
        of_model: dict[str, Any] = {**here, "labelnames": ["model"]}
        self._available = prometheus.Gauge("memory_available_bytes", "Memory that the device can spare", **here)
        self._pressure = prometheus.Gauge(
            "memory_pressure_ratio", "Share of time some process waits for memory", **here
        )
        self._throttled = prometheus.Gauge("throttled", "1 while the processor is held back", **here)
        self._limit = prometheus.Gauge("memory_limit_bytes", "What models may hold; infinite for no limit", **here)
        self._planned = prometheus.Gauge("memory_planned_bytes", "What models are predicted to hold", **here)
        self._accuracy = prometheus.Gauge("accuracy", "Predicted accuracy; 0 while suspended", **of_model)
        self._slowdown = prometheus.Gauge(
            "slowdown_ratio", "Latency over what was profiled, as planned for", **of_model
        )

    def serve(self, port: int, address: str = "127.0.0.1") -> tuple[WSGIServer, Thread]:
        """Answer scrapes over HTTP at a port, and return the server and its thread.

        Only this machine can reach the default address.

        Raises:
            ConfigError: the address cannot be listened at.
        """
        from prometheus_client import start_http_server

        try:
            return start_http_server(port, address, self.registry)
        except (OSError, OverflowError) as e:
            reason = getattr(e, "strerror", None) or e
            raise ConfigError(f"cannot listen at {address}:{port}: {reason}; name another place") from None

    def inferred(self, plan: ModelPlan, latency_ms: float) -> None:
        """Count one inference of a model, given what it ran; and whether it was above its limit."""
        self._counted.inference.labels(plan.name).observe(latency_ms / 1e3)
        if plan.latency_limit_ms is not None and latency_ms > plan.latency_limit_ms:
            self._counted.late.labels(plan.name).inc()

    def read(self, readings: Readings) -> None:
        """Show the state of the device."""
        self._available.set(readings.memory_available_bytes)
        self._pressure.set(readings.memory_pressure or 0.0)
        self._throttled.set(bool(readings.throttled))

    def decided(self, decision: Decision, outcome: str, seconds: float) -> None:
        """Count one decision, and the seconds that it took to re-plan and switch."""
        self._counted.decisions.labels(outcome).inc()
        for change in decision.changes:
            self._counted.changes.labels(change.what.split()[0]).inc()
        self._counted.apply.observe(seconds)

    def runs(self, plan: Plan, slowdown: Mapping[str, float]) -> None:
        """Show the plan that runs, and by model the slow-down that it was made for."""
        limit = plan.budget.memory_bytes
        self._limit.set(float("inf") if limit is None else limit)
        self._planned.set(plan.memory_bytes)
        for model in plan.models:
            self._accuracy.labels(model.name).set(model.accuracy)
            self._slowdown.labels(model.name).set(slowdown.get(model.name, 1.0))
