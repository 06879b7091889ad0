"""Six models of six tasks at once, governed, under a trace of the application's budgets.

    python benchmarks/six_tasks.py --data DATA --work DIR           (makes the stores)
    python benchmarks/together.py --work DIR --json > benchmarks/results/together.json
    python benchmarks/together.py --work DIR --quick
    python benchmarks/together.py --work DIR detection pose         (these alone)

Each model is asked for inferences at an even rate by a thread of its own, on its test images: under each budget of the
trace once for all of them, up to 200. A governor is given the budgets as the application's own, and narrows them as the
device has less to spare. Metrics are those of what ran under each budget, whole clips and pictures; `predicted` is the
mean of what the plans that ran had predicted. Shares of the budgets count from the least that plans can have to what
the originals take. Outputs are kept in memory that is there before models are opened, and rated when all is over, so
that measured memory is that of the models and of the threads that ask.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.console import text_table
from legodnn.errors import LegoError
from legodnn.plan import Plan
from legodnn.runtime.feeds.inputs import Inputs, read_inputs
from legodnn.runtime.feeds.model_scores import model_score
from legodnn.runtime.governing.governor import Governor
from legodnn.runtime.runtime import Runtime
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel
from support.limits import least
from support.report import Bars, Figures, bar, run

TASKS = ("classification", "segmentation", "detection", "pose", "anomaly", "action")
MOST_INPUTS = 200  # of a model under a budget; a multiple of the frames of a clip
# Shares of memory and of compute that the application allows; None: no limit.
TRACE: tuple[tuple[float | None, float | None], ...] = (
    (None, None),
    (0.5, None),
    (0.15, None),
    (0.15, 0.4),
    (None, 0.4),
    (None, None),
)


Outputs = dict[str, AnyArray]  # of many inferences, by name


class Asked(threading.Thread):
    """A thread that asks for an inference on each input at an even rate, and keeps what it found in arrays."""

    def __init__(self, runtime: Runtime, name: str, inputs: Inputs, kept: Outputs, seconds: float) -> None:
        super().__init__(name=name, daemon=True)
        self._runtime, self._inputs, self._kept, self._seconds = runtime, inputs, kept, seconds
        self._answered: list[int] = []
        self.latencies_ms: list[float] = []
        self.predicted: list[float] = []
        self.refused = 0

    def run(self) -> None:
        """Ask for the inferences."""
        count, start = min(len(self._inputs.x), MOST_INPUTS), time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, start + number * self._seconds / count - time.monotonic()))
            try:
                found = self._runtime.run(self.name, self._inputs.x[number])
            except LegoError:
                self.refused += 1
                continue
            self.latencies_ms.append(found.latency_ms)
            self.predicted.append(found.plan.accuracy)
            self._answered.append(number)
            for output, value in found.outputs.items():
                self._kept[output][number] = value

    def figures(self, store: Store) -> Figures:
        """Return what was measured of the model of this store."""
        score = model_score(store, self._inputs, self.name)
        if score and self._inputs.y is not None:
            for number in self._answered:
                score.add(
                    {output: values[number] for output, values in self._kept.items()}, self._inputs.y[number], number
                )
        return {
            "inferences": len(self.latencies_ms),
            "refused": self.refused,
            "metric": score.value() if score and self.latencies_ms else None,
            "predicted": statistics.mean(self.predicted) if self.predicted else None,
            "median_ms": statistics.median(self.latencies_ms) if self.latencies_ms else None,
            "p95_ms": float(np.percentile(self.latencies_ms, 95)) if self.latencies_ms else None,
        }


def budgets_of(runtime: Runtime) -> list[Budget]:
    """Return the trace for the models of a runtime."""
    widest = runtime.scheduler.plan(Budget())
    low = (
        least(runtime.scheduler, Budget(memory_bytes=1)),
        least(runtime.scheduler, Budget(cores=1e-6)),
    )
    budgets = []
    for memory, cores in TRACE:
        limits: dict[str, Any] = {}
        if memory is not None:
            limits["memory_bytes"] = int(low[0] + memory * (widest.memory_bytes - low[0]))
        if cores is not None:
            limits["cores"] = low[1] + cores * (widest.cores - low[1])
        budgets.append(Budget(**limits))
    return budgets


def step(
    runtime: Runtime,
    governor: Governor,
    budget: Budget,
    inputs: Mapping[str, Inputs],
    kept: Mapping[str, Outputs],
    seconds: float,
) -> tuple[Figures, list[Asked]]:
    """Give the governor a budget, ask all models for inferences, and return what was measured, and who asked."""
    decisions: list[dict[str, Any]] = []
    governor.on_decision = decisions.append
    governor.set_budget(budget)
    asked = [Asked(runtime, name, inputs[name], kept[name], seconds) for name in inputs]
    for thread in asked:
        thread.start()
    memory, plans = [], list[Plan]()
    while any(thread.is_alive() for thread in asked):
        time.sleep(0.5)
        memory.append(runtime.memory_bytes)
        plans.append(runtime.plan)
    figures: Figures = {
        "budget": budget.model_dump(mode="json", exclude_none=True),
        "planned_bytes": max(plan.memory_bytes for plan in plans),
        "measured_bytes": max(memory),
        "cores": statistics.mean(plan.cores for plan in plans),
        "plans": 1 + sum(a.models != b.models for a, b in itertools.pairwise(plans)),
        "decisions": [[change["what"] for change in decision["changes"]] for decision in decisions],
    }
    return figures, asked


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Open the stores of six tasks, and run the trace."""
    folder: Path | None = args.work
    names = args.tasks or list(TASKS)
    if folder is None or not all((folder / name / "test.npz").exists() for name in names):
        sys.exit(f"give --work DIR, the folder in which six_tasks.py has made the stores of {', '.join(names)}")
    seconds = 3.0 if args.quick else args.seconds
    inputs: dict[str, Inputs] = {}
    kept: list[dict[str, Outputs]] = [{} for _ in TRACE]
    models = []
    for name in names:
        store = folder / name / "store"  # inputs are read before models are opened, whose memory they are not
        inputs[name] = read_inputs(folder / name / "test.npz", Store(store).manifest.inputs)
        count = min(len(inputs[name].x), MOST_INPUTS)
        manifest = Store(store).manifest
        specs = [manifest.specs[output] for output in manifest.outputs]
        for outputs in kept:
            outputs[name] = {spec.name: np.ones((count, *spec.shape), spec.dtype) for spec in specs}
        rate_hz = count / seconds
        models.append(WorkloadModel(name=name, store=str(store), rate_hz=rate_hz))
    with Runtime(Workload(models=tuple(models))) as runtime:
        budgets = budgets_of(runtime)
        with Governor(runtime) as governor:
            ran = [step(runtime, governor, b, inputs, k, seconds) for b, k in zip(budgets, kept, strict=True)]
    stores, steps = runtime.stores, []
    for found, asked in ran:
        steps.append({**found, "models": {a.name: a.figures(stores[a.name]) for a in asked}})
    metrics = {name: store.manifest.accuracy.metric for name, store in stores.items()}
    refused = sum(model["refused"] for s in steps for model in s["models"].values())
    return {"seconds": seconds, "metrics": metrics, "steps": steps}, [bar("inferences that failed", refused, 0)]


def table(figures: Figures) -> str:
    """Return a row for each budget: memory, cores, and each model's metric, predicted and measured."""
    rows = []
    for s in figures["steps"]:
        limits = f"{s['budget'].get('memory_bytes', 0) / 1e6:.2f} MB, {s['budget'].get('cores', 0):.2f} cores"
        shown = (f"{m['predicted']:.3f} / {m['metric']:.3f}" for m in s["models"].values())
        memory = f"{s['planned_bytes'] / 1e6:.2f} / {s['measured_bytes'] / 1e6:.2f}"
        rows.append((limits, memory, f"{s['cores']:.2f}", str(s["plans"]), *shown))
    return text_table(rows, ("limits (0: none)", "MB planned / measured", "cores", "plans", *figures["metrics"]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark's own."""
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of: {', '.join(TASKS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=25.0, help="under each budget (default: 25)")


if __name__ == "__main__":
    run("together", __doc__, measure, folders=("work",), add_arguments=add_arguments, table=table)
