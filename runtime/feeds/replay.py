"""Replaying a trace of budgets on real inputs: at each budget re-plan, switch, run the inputs, and measure.

This is what `legodnn run` and the demo do; an application that has its own inputs uses `Runtime` directly.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from legodnn.console import ProgressLine
from legodnn.errors import InfeasibleError, InputError
from legodnn.plan import Plan
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.scores import Score, score_for
from legodnn.runtime.runtime import Runtime
from legodnn.schema import Schema
from legodnn.workload import Budget


class MeasuredModel(Schema):
    """What was measured of one model under one budget; accuracy (see `scores`) only where labels are known."""

    inferences: int
    accuracy: float | None
    median_ms: float
    p95_ms: float


class Step(Schema):
    """One budget of a trace.

    `plan` is what ran (the old plan where the new budget was `refused`); `loaded` the blocks whose files were opened,
    as MODEL/SEGMENT; `memory_bytes` the runtime's measured memory (`Runtime.memory_bytes`).
    """

    budget: Budget
    plan: Plan
    refused: str | None
    loaded: tuple[str, ...]
    plan_ms: float
    switch_ms: float
    memory_bytes: int
    models: dict[str, MeasuredModel]


# What may watch a replay: it is called after every inference with the milliseconds of this step's by model.
Watch = Callable[[Runtime, Mapping[str, Sequence[float]]], None]


def replay(
    runtime: Runtime, inputs: Mapping[str, Inputs], budgets: Sequence[Budget], watch: Watch | None = None
) -> list[Step]:
    """Run a trace of budgets.

    Args:
        runtime: an open runtime.
        inputs: for each model of the workload.
        budgets: one step each; a budget that nothing fits is refused and the old plan runs on.
        watch: see `Watch`; if there is none, a progress line is shown.
    """
    steps: list[Step] = []
    with contextlib.nullcontext() if watch else ProgressLine("replaying budgets", len(budgets)) as progress:
        for budget in budgets:
            refused: str | None = None
            loaded: tuple[str, ...] = ()
            try:
                if steps or runtime.budget != budget:  # the first budget is usually the one it was opened with
                    runtime.budget = budget
                loaded = tuple(f"{m}/{c.segment}" for m, chosen in runtime.last_switch.loaded.items() for c in chosen)
            except InfeasibleError as e:
                refused = str(e)
            measured = _measure(runtime, inputs, watch)
            steps.append(
                Step(
                    budget=budget,
                    plan=runtime.plan,
                    refused=refused,
                    loaded=loaded,
                    plan_ms=runtime.last_switch.plan_ms if refused is None else 0.0,
                    switch_ms=runtime.last_switch.switch_ms if refused is None else 0.0,
                    memory_bytes=runtime.memory_bytes,
                    models=measured,
                )
            )
            if progress:
                progress.step()
    return steps


def _measure(runtime: Runtime, inputs: Mapping[str, Inputs], watch: Watch | None) -> dict[str, MeasuredModel]:
    """Run every input through every model that is not suspended, the models in turn."""
    running = [m.name for m in runtime.plan.models if not m.suspended]
    times: dict[str, list[float]] = {name: [] for name in running}
    scores: dict[str, Score | None] = {}
    for i in range(max((len(inputs[name].x) for name in running), default=0)):
        for name in running:
            if i >= len(inputs[name].x):
                continue
            start = time.perf_counter_ns()
            output = runtime.infer(name, inputs[name].x[i])
            times[name].append((time.perf_counter_ns() - start) / 1e6)
            if watch:
                watch(runtime, times)
            labels = inputs[name].y
            if labels is not None and isinstance(output, np.ndarray):
                score = scores.setdefault(name, score_for(output, labels))
                if score is None:
                    raise InputError(
                        f"each label of {name} has shape {labels.shape[1:]}, its output has {output.shape}: "
                        "give class numbers, or what the output should be, or leave y out"
                    )
                score.add(output, labels[i])
    return {
        name: MeasuredModel(
            inferences=len(times[name]),
            accuracy=score.value() if (score := scores.get(name)) else None,
            median_ms=statistics.median(times[name]),
            p95_ms=sorted(times[name])[int(0.95 * len(times[name]))],
        )
        for name in running
    }
