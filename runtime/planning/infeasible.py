"""Why no plan is within the limits: which limits clash, what least relaxation would do, and which plan comes nearest.

Every question is put to the exact feasibility test of `solver.optimum`: are there compositions within these limits for
the models that must run? Since wider limits never make a plan impossible, the least relaxation of a latency or accuracy
limit is found by bisection over the values that compositions have, and is exact. All best-effort models are taken as
suspended, because they are never the reason why nothing fits.

The nearest plan breaks no limit that need not be broken: where memory alone is short, by a byte or altogether, it still
keeps all limits of latency, compute and accuracy that can be kept.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from legodnn.arrays import unique_values
from legodnn.plan import Infeasible, Limit, Plan
from legodnn.runtime.planning.solver.deadline import Deadline
from legodnn.runtime.planning.solver.instance import NANO, Instance, Limits, milliseconds
from legodnn.runtime.planning.solver.modes import loaded_in
from legodnn.runtime.planning.solver.optimum import Optimum, feasible, least_cores, least_memory, optimum
from legodnn.workload import Budget

MakePlan = Callable[[Instance, Limits, Budget, Optimum], Plan]

# The common relaxation of limits that clash is found by bisection, to this part of itself and in at most this many
# steps.
_NEAREST_PART = Fraction(1, 1_000_000)
_NEAREST_STEPS = 80
# The first common relaxation that is tried, and the greatest.
_FIRST_EXCESS = Fraction(1, 1024)
_MOST_EXCESS = Fraction(1 << 60)


@dataclass(frozen=True)
class _Key:
    """Which limit: its kind, and for latency and accuracy the model's index."""

    kind: Literal["memory", "cores", "latency", "accuracy"]
    model: int = -1


def infeasibility_report(
    instance: Instance, limits: Limits, budget: Budget, make_plan: MakePlan, deadline: Deadline
) -> Infeasible:
    """Return the report on limits that no plan is within.

    Args:
        instance: the problem.
        limits: limits under which `optimum` finds no plan.
        budget: the budget that the limits are of, for the report.
        make_plan: turns the nearest optimum into a plan.
        deadline: when to stop improving the nearest plan.
    """
    keys = _set_limits(instance, limits)
    clashing = _clash(instance, limits, keys)
    names = [m.table.name for m in instance.models]
    entries = tuple(
        Limit(
            kind=key.kind,
            model=None if key.model < 0 else names[key.model],
            quantile=limits.quantile[key.model] if key.kind == "latency" else None,
            limit=_value(limits, key),
            needed=_needed(instance, limits, key) if key in clashing else None,
            clashes=key in clashing,
        )
        for key in keys
    )
    excess, relaxed = _nearest(instance, limits, clashing, keys)
    nearest = None
    if relaxed is not None and (chosen := optimum(instance, relaxed, deadline)) is not None:
        nearest = make_plan(instance, limits, budget, chosen)
    return Infeasible(
        budget=budget,
        limits=entries,
        nearest=nearest,
        excess=None if nearest is None else float(excess),
        suspended=tuple(m.table.name for m in instance.models if not m.table.critical),
    )


def _set_limits(instance: Instance, limits: Limits) -> list[_Key]:
    """All limits that are set, but for those of models that may be suspended."""
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
    """The limits with one of them changed; None drops it."""
    if key.model >= 0:
        row = list(getattr(limits, key.kind))
        row[key.model] = value
        value = tuple(row)
    changes: dict[str, Any] = {key.kind: value}
    return replace(limits, **changes)


def _clash(instance: Instance, limits: Limits, keys: Sequence[_Key]) -> list[_Key]:
    """A minimal set of limits that cannot hold together: each limit in turn is left out if the others still clash."""
    clashing = list(keys)
    for key in keys:
        without = _with(limits, key, None)
        if not feasible(instance, without):
            limits = without
            clashing.remove(key)
    return clashing


def _needed(instance: Instance, limits: Limits, key: _Key) -> float | None:
    """The value of one limit at which a plan exists, relaxed as little as possible; None if no value would do."""
    freed = _with(limits, key, None)
    if not feasible(instance, freed):
        return None
    if key.kind == "memory":
        return float(least_memory(instance, freed) or 0)
    if key.kind == "cores":
        return (least_cores(instance, freed) or 0) / NANO
    model = instance.models[key.model]
    if key.kind == "latency":
        least = min(_needed_in(instance, limits, key, way) for way in model.ways)
        return None if least == math.inf else least
    levels = unique_values(model.frontier.accuracy)[::-1].tolist()
    return float(levels[_first(len(levels), lambda i: feasible(instance, _with(limits, key, levels[i])))])


def _needed_in(instance: Instance, limits: Limits, key: _Key, way: int) -> float:
    """The least limit of latency, of those that compositions that run in one way just hold, at which a plan exists.

    It is infinite if there is none.
    """
    frontier, factor = instance.models[key.model].frontier, instance.factor(key.model, way)
    if factor is None:
        return math.inf
    latencies = unique_values(frontier.latency[loaded_in(frontier.mode) == way])

    def scaled(i: int) -> float:
        return milliseconds(int(latencies[i]), factor)

    def would_do(i: int) -> bool:
        return feasible(instance, _with(limits, key, scaled(i)))

    return scaled(_first(len(latencies), would_do)) if would_do(len(latencies) - 1) else math.inf


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first of `count` indices that holds. The last one must hold, and all that follow one that does."""
    return bisect_left(range(count - 1), True, key=holds)


def _nearest(
    instance: Instance, limits: Limits, clashing: Sequence[_Key], keys: Sequence[_Key]
) -> tuple[Fraction, Limits | None]:
    """The limits of the nearest plan, and the greatest fraction by which one is relaxed; None if none would do.

    Limits that clash are relaxed by the same fraction, the least that will do. Where others clash without them, those
    are relaxed by a fraction of their own. All that do not clash are kept.
    """
    groups = [clashing]
    while not feasible(instance, _without(limits, groups)):
        free, rest = _without(limits, groups), [key for key in keys if all(key not in group for group in groups)]
        groups.append(_clash(instance, free, rest))
    most = Fraction(0)
    for i, group in enumerate(groups):
        excess = _least_excess(instance, _without(limits, groups[i + 1 :]), group)
        if excess is None:
            return most, None
        most, limits = max(most, excess), _relaxed(limits, group, excess)
    return most, limits


def _without(limits: Limits, groups: Sequence[Sequence[_Key]]) -> Limits:
    for key in (key for group in groups for key in group):
        limits = _with(limits, key, None)
    return limits


def _least_excess(instance: Instance, limits: Limits, keys: Sequence[_Key]) -> Fraction | None:
    """The least fraction by which some limits must be relaxed together for a plan to exist; None if none would do."""
    high = _FIRST_EXCESS
    while not feasible(instance, _relaxed(limits, keys, high)):
        high *= 2
        if high > _MOST_EXCESS:
            return None
    low = high / 2 if high > _FIRST_EXCESS else Fraction(0)
    for _ in range(_NEAREST_STEPS):
        middle = (low + high) / 2
        if feasible(instance, _relaxed(limits, keys, middle)):
            high = middle
        else:
            low = middle
        if high - low <= high * _NEAREST_PART:
            break
    return high


def _relaxed(limits: Limits, keys: Sequence[_Key], excess: Fraction) -> Limits:
    """The limits, of which some upper ones are multiplied by 1 + excess and least accuracies lowered by excess x their
    size.
    """
    factor = 1 + excess
    for key in keys:
        if key.kind == "memory":
            value: float = int((limits.memory or 0) * factor)
        elif key.kind == "cores":
            value = int((limits.cores or 0) * factor)
        elif key.kind == "latency":
            value = (limits.latency[key.model] or 0.0) * float(factor)
        else:
            least = limits.accuracy[key.model] or 0.0
            value = least - float(excess) * max(abs(least), 1e-9)
        limits = _with(limits, key, value)
    return limits
