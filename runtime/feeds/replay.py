"""Replaying a trace of budgets on real inputs: at each budget the runtime re-plans, switches and runs all inputs.

`legodnn run` and the demo do this. An application that has its own inputs uses `Runtime` directly.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from legodnn.arrays import AnyArray
from legodnn.by_model import given_to
from legodnn.errors import InfeasibleError
from legodnn.plan import Plan
from legodnn.progress import Progress, no_progress
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.model_scores import model_score
from legodnn.runtime.runtime import Runtime
from legodnn.schema import Schema
from legodnn.workload import Budget


class MeasuredModel(Schema):
    """What was measured of one model under one budget. `accuracy` (see `model_scores`) is None if labels are not known.

    `quantile_ms` is what the share of inferences that its limit is for took at most (`ModelPlan.quantile`), and
    `above_limit` the share of those above the limit; None where it has none.
    """

    inferences: int
    accuracy: float | None
    median_ms: float
    quantile_ms: float
    above_limit: float | None


class Step(Schema):
    """One budget of a trace, and what was measured under it.

    `latency_limits_ms` are the limits of models under this budget: the tighter one of the budget's and the model's own.
    `plan` is the plan that ran: the one before if no plan holds the new budget, which is `refused` then. `loaded` are
    the segments that began to run other options, as MODEL/SEGMENT. `memory_bytes` is the memory that the runtime
    measured (see `Runtime.memory_bytes`).
    """

    budget: Budget
    plan: Plan
    refused: str | None
    latency_limits_ms: dict[str, float] = Field(default={})
    loaded: tuple[str, ...]
    plan_ms: float
    switch_ms: float
    memory_bytes: int
    models: dict[str, MeasuredModel]


# Is called after every inference with the runtime and, by model, the milliseconds of its inferences under this budget.
Watch = Callable[[Runtime, Mapping[str, Sequence[float]]], None]
# Is called after every inference: with the number of the budget, the model, the number of the input, the input itself,
# and the outputs.
Keep = Callable[[int, str, int, Any, Mapping[str, AnyArray]], None]


def replay(
    runtime: Runtime,
    inputs: Mapping[str, Inputs],
    budgets: Sequence[Budget],
    watch: Watch | None = None,
    progress: Progress = no_progress,
    keep: Keep | None = None,
) -> list[Step]:
    """Run all inputs under each budget of a trace.

    Args:
        runtime: an open runtime.
        inputs: the inputs of each model of the workload, by name.
        budgets: the trace. A budget that no plan holds is refused, and the plan before still runs.
        watch: is called after every inference.
        progress: shows how many budgets have been replayed.
        keep: is called after every inference with what it gave.

    Raises:
        InputError: inputs or labels do not fit their model.
    """
    steps: list[Step] = []
    with progress("replaying budgets", len(budgets)) as task:
        for number, budget in enumerate(budgets):
            # The first budget is usually the one that the runtime was opened with.
            refused = _go_to(runtime, budget) if steps or runtime.budget != budget else None
            switch = runtime.last_switch
            loaded = tuple(f"{model}/{c.segment}" for model, chosen in switch.loaded.items() for c in chosen)
            measured = _measure(runtime, inputs, watch, functools.partial(keep, number) if keep else None)
            steps.append(
                Step(
                    budget=budget,
                    plan=runtime.plan,
                    refused=refused,
                    latency_limits_ms=_latency_limits(runtime, budget),
                    loaded=loaded if refused is None else (),
                    plan_ms=switch.plan_ms if refused is None else 0.0,
                    switch_ms=switch.switch_ms if refused is None else 0.0,
                    memory_bytes=runtime.memory_bytes,
                    models=measured,
                )
            )
            task.step()
    return steps


def _go_to(runtime: Runtime, budget: Budget) -> str | None:
    """Set a runtime's budget; returns why no plan holds it, or None if one does."""
    try:
        runtime.budget = budget
    except InfeasibleError as e:
        return str(e)
    return None


def _latency_limits(runtime: Runtime, budget: Budget) -> dict[str, float]:
    """Return the latency limits of the models that have one under a budget."""
    limits = {}
    for model in runtime.workload.models:
        asked = (given_to(model.name, budget.latency_ms), model.latency_ms)
        if found := [limit for limit in asked if limit is not None]:
            limits[model.name] = min(found)
    return limits


def _measure(
    runtime: Runtime,
    inputs: Mapping[str, Inputs],
    watch: Watch | None,
    keep: Callable[[str, int, Any, Mapping[str, AnyArray]], None] | None,
) -> dict[str, MeasuredModel]:
    """Run every input through every model that is not suspended; the models take turns."""
    running = [m.name for m in runtime.plan.models if not m.suspended]
    times: dict[str, list[float]] = {name: [] for name in running}
    scores = {name: model_score(runtime.stores[name], inputs[name], name) for name in running}
    for i in range(max((len(inputs[name].x) for name in running), default=0)):
        for name in running:
            if i >= len(inputs[name].x):
                continue
            x = inputs[name].x[i]
            inference = runtime.run(name, x)
            times[name].append(inference.latency_ms)
            if watch:
                watch(runtime, times)
            if keep:
                keep(name, i, x, inference.outputs)
            score, labels = scores[name], inputs[name].y
            if score and labels is not None:
                score.add(inference.outputs, labels[i])
    return {
        name: MeasuredModel(
            inferences=len(values),
            accuracy=score.value() if (score := scores[name]) else None,
            median_ms=statistics.median(values),
            quantile_ms=sorted(values)[int(runtime.plan[name].quantile * len(values))],
            above_limit=_share_above(values, runtime.plan[name].latency_limit_ms),
        )
        for name, values in times.items()
    }


def _share_above(values_ms: Sequence[float], limit_ms: float | None) -> float | None:
    return None if limit_ms is None else sum(value > limit_ms for value in values_ms) / len(values_ms)
