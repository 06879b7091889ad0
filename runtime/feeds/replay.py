"""Replaying a trace of budgets on real inputs: at each budget the runtime re-plans, switches and runs all inputs.

`legodnn run` and the demo do this. An application that has its own inputs uses `Runtime` directly.
"""

from __future__ import annotations

import functools
import itertools
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from legodnn.arrays import AnyArray, percentiles
from legodnn.by_model import given_to
from legodnn.errors import InfeasibleError
from legodnn.plan import Plan
from legodnn.progress import Progress, no_progress
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.model_scores import model_score
from legodnn.runtime.governing.governor import Governor
from legodnn.runtime.running_model import Inference
from legodnn.runtime.runtime import Runtime
from legodnn.schema import Schema
from legodnn.workload import Budget

_GOVERNED_S = 0.1  # between readings of the device, which take some milliseconds each


class MeasuredModel(Schema):
    """What was measured of one model under one budget. `accuracy` (see `model_scores`) is None if labels are not known;
    it is that of the inputs that were run, where a governor had suspended the model meanwhile.

    `quantile_ms` is what the share of inferences that its limit is for took at most (`ModelPlan.quantile`), and
    `above_limit` the share of those above the limit (`Step.latency_limits_ms`); None where it has none.
    """

    inferences: int
    accuracy: float | None
    median_ms: float
    quantile_ms: float
    above_limit: float | None


class Step(Schema):
    """One budget of a trace, and what was measured under it.

    `latency_limits_ms` are the limits of models under this budget: the tighter one of the budget's and the model's own.
    `plan` is the plan that ran: the one before if no plan holds the new budget, which is `refused` then; the last one,
    if a governor has made others meanwhile, `replanned` times. `governed` is what came of its last decision ("applied";
    "nearest" where no plan holds the budget on the device as it is now, and the nearest one to it ran; "kept" where a
    block could not be loaded, and the plan before ran on), and `why` the reason. `loaded` are the segments that began
    to run other options at once, as MODEL/SEGMENT. `memory_bytes` is the memory that the runtime measured (see
    `Runtime.memory_bytes`).
    """

    budget: Budget
    plan: Plan
    refused: str | None
    latency_limits_ms: dict[str, float] = Field(default={})
    loaded: tuple[str, ...]
    replanned: int = 0
    governed: Literal["applied", "nearest", "kept"] | None = None
    why: str | None = None
    plan_ms: float
    switch_ms: float
    memory_bytes: int
    models: dict[str, MeasuredModel]

    @property
    def outcome(self) -> str:
        """What came of the budget if it does not hold: "refused", "nearest" or "kept"; else ""."""
        governed = "" if self.governed in (None, "applied") else str(self.governed)
        return "refused" if self.refused else governed

    @property
    def switched(self) -> str:
        """The number of blocks that were switched at once and, behind a plus, of the plans that followed meanwhile."""
        return f"{len(self.loaded)}" + (f" + {self.replanned}" if self.replanned else "")


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
    seconds: float = 0.0,
    governor: Governor | None = None,
) -> list[Step]:
    """Run all inputs under each budget of a trace.

    Args:
        runtime: an open runtime.
        inputs: the inputs of each model of the workload, by name.
        budgets: the trace. A budget that no plan holds is refused, and the plan before still runs.
        watch: is called after every inference.
        progress: shows how many budgets have been replayed.
        keep: is called after every inference with what it gave, the first time that an input is run under a budget.
        seconds: inputs are run again and again until so many have passed under a budget, so that one moment in which
            the device did something else does not make up all that was measured. 0 for once.
        governor: of this runtime, not started, to make the budgets hold as the device is now. It reads the device
            between two inferences, ten times a second, so that none is held up. None for the budgets alone.

    Raises:
        InputError: inputs or labels do not fit their model.
    """
    steps: list[Step] = []
    governing = _Governing(governor) if governor else None
    with progress("replaying budgets", len(budgets)) as task:
        for number, budget in enumerate(budgets):
            # The first budget is usually the one that the runtime was opened with.
            refused = _go_to(runtime, budget, governing) if steps or runtime.budget != budget else None
            switch = runtime.last_switch
            switched = refused is None and not (governing and governing.outcome == "kept")
            loaded = tuple(f"{model}/{c.segment}" for model, chosen in switch.loaded.items() for c in chosen)
            kept = functools.partial(keep, number) if keep else None
            limits = _latency_limits(runtime, budget)
            measured, memory_bytes = _measure(runtime, inputs, limits, watch, kept, seconds, governing)
            steps.append(
                Step(
                    budget=budget,
                    plan=runtime.plan,
                    refused=refused,
                    latency_limits_ms=limits,
                    loaded=loaded if switched else (),
                    replanned=governing.replanned if governing else 0,
                    governed=governing.outcome if governing and refused is None else None,
                    why=governing.why if governing and refused is None else None,
                    plan_ms=switch.plan_ms if switched else 0.0,
                    switch_ms=switch.switch_ms if switched else 0.0,
                    memory_bytes=memory_bytes,
                    models=measured,
                )
            )
            task.step()
    return steps


class _Governing:
    """Has a governor follow the budgets of a trace, watch inferences, and decide between them."""

    def __init__(self, governor: Governor) -> None:
        self._governor, self._told, self._read_s = governor, governor.on_decision, 0.0
        self._ran = _what_runs(governor.runtime.plan)
        self.replanned, self.why = 0, None
        self.outcome: Literal["applied", "nearest", "kept"] = "applied"
        governor.on_decision = self._decided

    def go_to(self, budget: Budget) -> None:
        """Have the governor decide on a budget; InfeasibleError if no plan holds it on an idle device."""
        try:
            self._governor.set_budget(budget)
        finally:
            self.replanned, self._read_s = 0, time.monotonic()

    def note(self, inference: Inference) -> None:
        """Note an inference, and let the governor decide if it is time."""
        self._governor.observe(inference.plan, inference.latency_ms)
        self.look()

    def look(self) -> None:
        """Let the governor decide if it is time: also where no model runs, and one is to come back."""
        if time.monotonic() - self._read_s >= _GOVERNED_S:
            self._governor.attempt()
            self._read_s = time.monotonic()

    def _decided(self, line: dict[str, Any]) -> None:
        runs = _what_runs(self._governor.runtime.plan)
        self.replanned += runs != self._ran
        self._ran, self.outcome, self.why = runs, line["outcome"], line.get("message")
        if self._told is not None:
            self._told(line)


def _what_runs(plan: Plan) -> list[Any]:
    """Return what each model of a plan runs, and how."""
    return [(m.name, m.suspended, m.options, m.threads, m.streamed, m.compact) for m in plan.models]


def _go_to(runtime: Runtime, budget: Budget, governing: _Governing | None) -> str | None:
    """Set a runtime's budget; returns why no plan holds it, or None if one does."""
    try:
        if governing:
            governing.go_to(budget)
        else:
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
    limits: Mapping[str, float],
    watch: Watch | None,
    keep: Callable[[str, int, Any, Mapping[str, AnyArray]], None] | None,
    seconds: float,
    governing: _Governing | None,
) -> tuple[dict[str, MeasuredModel], int]:
    """Run every input through every model that is not suspended, and again within the seconds; models take turns.

    An input is scored and kept when it is run first: in a later round, where its model was suspended before.

    Returns:
        What was measured of each model, and the memory after all inputs were run once, in bytes.
    """
    times = {m.name: array("d") for m in runtime.plan.models}  # compact: memory is measured meanwhile
    scores = {name: model_score(runtime.stores[name], inputs[name], name) for name in times}
    known = {name: bytearray(len(inputs[name].x)) for name in times}  # 1 where it is known what an input gives
    end, memory_bytes = time.monotonic() + seconds, 0
    for number in itertools.count():
        before = sum(map(len, times.values()))
        for i, name in _turns({name: len(inputs[name].x) for name in times}):
            if name in runtime.resting:  # suspended, or not put back after a switch that failed
                if governing:
                    governing.look()
                continue
            x = inputs[name].x[i]
            inference = runtime.run(name, x)
            times[name].append(inference.latency_ms)
            if governing:
                governing.note(inference)
            if watch:
                watch(runtime, times)
            if known[name][i]:
                continue
            known[name][i] = 1
            if keep:
                keep(name, i, x, inference.outputs)
            score, labels = scores[name], inputs[name].y
            if score and labels is not None:
                score.add(inference.outputs, labels[i], i)
        if not number:
            memory_bytes = runtime.memory_bytes
        idle = sum(map(len, times.values())) == before
        if time.monotonic() >= end or (idle and not governing):
            break
        if idle:
            time.sleep(_GOVERNED_S)  # the device is not read again sooner
    measured = {}
    for name, values in times.items():
        if not values:
            continue
        ms, score, planned = np.sort(values), scores[name], runtime.plan[name]
        limit_ms = limits.get(name)
        measured[name] = MeasuredModel(
            inferences=len(ms),
            accuracy=score.value() if score else None,
            median_ms=percentiles(ms, 50)[0],
            quantile_ms=float(ms[int(planned.quantile * len(ms))]),
            above_limit=None if limit_ms is None else float((ms > limit_ms).mean()),
        )
    return measured, memory_bytes


def _turns(counts: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Yield the number of an input and its model, the models in turn, given how many inputs each has."""
    for i in range(max(counts.values(), default=0)):
        yield from ((i, name) for name, count in counts.items() if i < count)
