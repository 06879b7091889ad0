"""What is behind an application of the service, for what runs beside its addresses: reloads, watchdog, status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from legodnn.runtime.governing.telemetry import Metrics
from legodnn.runtime.runtime import Runtime
from legodnn.runtime.serving.history import History
from legodnn.runtime.serving.inference_queue import InferenceQueue


@dataclass(frozen=True)
class ServedRuntime:
    """What is behind an application: it is at its `state.served`.

    Attributes:
        runtime: runs the models.
        queues: the lines in which requests wait for them, by name.
        history: what is told to those who watch.
        metrics: figures for Prometheus.
    """

    runtime: Runtime
    queues: Mapping[str, InferenceQueue]
    history: History
    metrics: Metrics

    @property
    def status(self) -> str:
        """The models, those that are suspended, and the memory of the plan, in a line."""
        plan, resting = self.runtime.plan, self.runtime.resting
        models = ", ".join(f"{m.name} (suspended)" if m.name in resting else m.name for m in plan.models)
        return f"{models}; {plan.memory_bytes / 1e6:.1f} MB planned"
