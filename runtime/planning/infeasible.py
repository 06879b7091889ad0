"""Why no plan holds the limits: which clash, what least relaxation would do, and the plan that comes nearest.

Every question is put to the exact feasibility test of `optimum`: can the models that must run be given compositions
within these limits? Since wider limits never make a plan impossible, the least relaxation of a latency or accuracy
limit is found by bisection over the values that compositions take, and is exact. Best-effort models are all taken as
suspended: that they run is never a reason for nothing to fit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from legodnn.plan import Infeasible, Limit, Plan
from legodnn.runtime.planning.solver.candidates import Instance
from legodnn.runtime.planning.solver.deadline import Clock
from legodnn.runtime.planning.solver.instance import NANO, NS_PER_MS, Limits
from legodnn.runtime.planning.solver.optimum import Optimum, feasible, least_cores, least_memory, optimum
from legodnn.workload import Budget

MakePlan = Callable[[Instance, Limits, Budget, Optimum], Plan]

# The common relaxation of the nearest plan is found to this fraction of itself.
_NEAREST_STEPS = 80
_MOST_EXCESS = Fraction(1 << 60)


@dataclass(frozen=True)
class _Key:
    """Names one limit: kind, and the model's index for latency and accuracy."""

    kind: Literal["memory", "cores", "latency", "accuracy"]
    model: int = -1


def infeasibility_report(
    instance: Instance, limits: Limits, budget: Budget, make_plan: MakePlan, clock: Clock
) -> Infeasible:
    """The report on limits that no plan holds; the nearest plan is improved until the clock is over."""
    keys = _set_limits(instance, limits)
    clashing = _clash(instance, limits, keys)
    names = [m.table.name for m in instance.models]
    entries = tuple(
        Limit(
            kind=key.kind,
            model=None if key.model < 0 else names[key.model],
            limit=_value(limits, key),
            needed=_needed(instance, limits, key) if key in clashing else None,
            clashes=key in clashing,
        )
        for key in keys
    )
    excess, relaxed = _nearest(instance, limits)
    nearest = None
    if relaxed is not None and (chosen := optimum(instance, relaxed, clock)) is not None:
        nearest = make_plan(instance, limits, budget, chosen)
    return Infeasible(
        budget=budget,
        limits=entries,
        nearest=nearest,
        excess=None if nearest is None else float(excess),
        suspended=tuple(m.table.name for m in instance.models if not m.table.critical),
    )


def _set_limits(instance: Instance, limits: Limits) -> list[_Key]:
    """Every limit that is set and concerns a model that must run."""
    critical = [m for m, model in enumerate(instance.models) if model.table.critical]
    keys = [_Key("memory")] if limits.memory is not None else []
    keys += [_Key("cores")] if limits.cores is not None else []
    keys += [_Key("latency", m) for m in critical if limits.latency[m] is not None]
    keys += [_Key("accuracy", m) for m in critical if limits.accuracy[m] is not None]
    return keys


def _value(limits: Limits, key: _Key) -> float:
    if key.kind == "memory":
        return float(limits.memory or 0)
    if key.kind == "cores":
        return (limits.cores or 0) / NANO
    found = limits.latency[key.model] if key.kind == "latency" else limits.accuracy[key.model]
    return float(found or 0.0)


def _with(limits: Limits, key: _Key, value: Any) -> Limits:
    """The limits with one of them changed, or dropped (None)."""
    if key.model >= 0:
        row = list(getattr(limits, key.kind))
        row[key.model] = value
        value = tuple(row)
    changes: dict[str, Any] = {key.kind: value}
    return replace(limits, **changes)


def _clash(instance: Instance, limits: Limits, keys: Sequence[_Key]) -> list[_Key]:
    """Limits that cannot hold together, of which none can be spared: each in turn is dropped if they still clash."""
    clashing = list(keys)
    for key in keys:
        without = _with(limits, key, None)
        if not feasible(instance, without):
            limits = without
            clashing.remove(key)
    return clashing


def _needed(instance: Instance, limits: Limits, key: _Key) -> float | None:
    """The least relaxation of one limit alone that lets a plan exist."""
    freed = _with(limits, key, None)
    if not feasible(instance, freed):
        return None
    if key.kind == "memory":
        return float(least_memory(instance, freed) or 0)
    if key.kind == "cores":
        return (least_cores(instance, freed) or 0) / NANO
    model, slowdown = instance.models[key.model], instance.slowdown[key.model]
    if key.kind == "latency":
        latencies = np.unique(model.frontier.latency)

        def scaled(i: int) -> Fraction:
            return Fraction(int(latencies[i]), NS_PER_MS) * slowdown

        return _at_least(scaled(_first(len(latencies), lambda i: feasible(instance, _with(limits, key, scaled(i))))))
    levels = np.unique(model.frontier.accuracy)[::-1].tolist()
    return float(levels[_first(len(levels), lambda i: feasible(instance, _with(limits, key, levels[i])))])


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first of `count` indices that holds, where the last one does, and all after one that does."""
    return bisect_left(range(count - 1), True, key=holds)


def _at_least(exact: Fraction) -> float:
    """The least float that is no less than a fraction."""
    nearest = float(exact)
    return nearest if Fraction(nearest) >= exact else float(np.nextafter(nearest, np.inf))


def _nearest(instance: Instance, limits: Limits) -> tuple[Fraction, Limits | None]:
    """The least fraction by which all limits must be relaxed at once, and the relaxed limits."""
    high = Fraction(1, 1024)
    while not feasible(instance, _relaxed(limits, high)):
        high *= 2
        if high > _MOST_EXCESS:
            return high, None
    low = high / 2 if high > Fraction(1, 1024) else Fraction(0)
    for _ in range(_NEAREST_STEPS):
        middle = (low + high) / 2
        if feasible(instance, _relaxed(limits, middle)):
            high = middle
        else:
            low = middle
        if high - low <= high / 1_000_000:
            break
    return high, _relaxed(limits, high)


def _relaxed(limits: Limits, excess: Fraction) -> Limits:
    """Upper limits x (1 + excess); least accuracies lowered by excess x their size."""
    factor = 1 + excess
    return Limits(
        memory=None if limits.memory is None else int(limits.memory * factor),
        cores=None if limits.cores is None else int(limits.cores * factor),
        latency=tuple(None if t is None else t * factor for t in limits.latency),
        accuracy=tuple(None if a is None else a - float(excess) * max(abs(a), 1e-9) for a in limits.accuracy),
    )
