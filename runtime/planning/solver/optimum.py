"""The optimal plan under given limits, and the least memory and compute that any plan needs.

Each model becomes one class of a knapsack. If compute is limited, the optimum without that limit is found first: if it
holds the limit all the same, it is the optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.runtime.planning.solver import knapsack
from legodnn.runtime.planning.solver.candidates import (
    Candidates,
    candidate_compositions,
    on_frontier,
    on_staircase,
)
from legodnn.runtime.planning.solver.charged_optimum import best_of_classes, charged_answer
from legodnn.runtime.planning.solver.composition_sums import CompositionSums
from legodnn.runtime.planning.solver.deadline import NO_DEADLINE, Deadline
from legodnn.runtime.planning.solver.instance import Instance, Limits, is_within

# The cap that stands for no limit.
UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Optimum:
    """The best plan that was found.

    Attributes:
        chosen: by model, the composition to run; None to suspend it.
        value: the plan's value.
        bound: no plan within the limits has a greater value; equal to `value` if the plan is proven to be optimal.
    """

    chosen: list[CompositionSums | None]
    value: int
    bound: float


def optimum(instance: Instance, limits: Limits, deadline: Deadline = NO_DEADLINE) -> Optimum | None:
    """Return the optimal plan, or the best that is found in time; None if no plan is within the limits."""
    caps = [_cap(limits.memory)]
    if instance.charged:
        caps += [] if limits.cores is None else [_cap(limits.cores)]
        classes = _all(on_staircase if limits.cores is None else on_frontier, instance, limits)
        charged = classes and charged_answer(instance, limits, classes, caps, deadline)
        return None if not charged else _optimum(instance, *charged)
    classes = _all(on_staircase, instance, limits)
    if classes is None:
        return None
    found = _choose(instance, classes, caps, deadline)
    if found is None or limits.cores is None or _cores(instance, found.chosen) <= limits.cores:
        return found
    classes = _all(on_frontier, instance, limits)
    return None if classes is None else _choose(instance, classes, [*caps, _cap(limits.cores)], deadline)


def holds(instance: Instance, limits: Limits, chosen: Sequence[CompositionSums | None]) -> bool:
    """Return whether a plan is within the limits; None stands for a suspended model."""
    running = [(m, c) for m, c in enumerate(chosen) if c is not None]
    return (
        all(c is not None or not model.table.critical for model, c in zip(instance.models, chosen, strict=True))
        and sum(c.memory for _, c in running) <= _cap(limits.memory)
        and (limits.cores is None or _cores(instance, chosen) <= _cap(limits.cores))
        and all(is_within(c, instance, limits, m) for m, c in running)
    )


def _cap(limit: int | None) -> int:
    return UNLIMITED if limit is None else min(limit, UNLIMITED)


def _all(
    candidates: Callable[[Instance, Limits, int], Candidates], instance: Instance, limits: Limits
) -> list[Candidates] | None:
    """The candidates of every model; None if some model has none."""
    classes = [candidates(instance, limits, m) for m in range(len(instance.models))]
    return None if any(len(c.value) == 0 for c in classes) else classes


def _choose(
    instance: Instance, classes: Sequence[Candidates], caps: Sequence[int], deadline: Deadline
) -> Optimum | None:
    answer = best_of_classes(classes, caps, deadline)
    return None if answer is None else _optimum(instance, classes, answer)


def _optimum(instance: Instance, classes: Sequence[Candidates], answer: knapsack.Answer) -> Optimum:
    return Optimum(candidate_compositions(instance, classes, answer.chosen), answer.value, answer.bound)


def _cores(instance: Instance, chosen: Sequence[CompositionSums | None]) -> int:
    """The compute that a plan takes, in billionths of a core."""
    return sum(
        int(model.cores(np.array([c.latency]), np.array([c.mode]), slowdown)[0])
        for model, c, slowdown in zip(instance.models, chosen, instance.slowdown, strict=True)
        if c is not None
    )


def least_memory(instance: Instance, limits: Limits) -> int | None:
    """Return the least memory, in bytes, of any plan within the other limits; None if there is no such plan."""
    classes = _critical(instance, limits)
    if classes is None:
        return None
    if limits.cores is None:
        return sum(int(c.memory.min()) for c in classes)
    return knapsack.least([c.memory for c in classes], [c.cores for c in classes], _cap(limits.cores))


def least_cores(instance: Instance, limits: Limits) -> int | None:
    """Return the least compute, in billionths of a core, of any plan within the other limits; None if there is none."""
    classes = _critical(instance, limits)
    if classes is None:
        return None
    return knapsack.least([c.cores for c in classes], [c.memory for c in classes], _cap(limits.memory))


def feasible(instance: Instance, limits: Limits) -> bool:
    """Return whether any plan is within the limits. Models that may be suspended do not count."""
    classes = _critical(instance, limits)
    if classes is None:
        return False
    memory, cores = [c.memory for c in classes], [c.cores for c in classes]
    if sum(int(c.min()) for c in memory) > _cap(limits.memory):
        return False
    if limits.cores is None:
        return True
    return knapsack.within(cores, memory, _cap(limits.cores), _cap(limits.memory)) is not None


def _critical(instance: Instance, limits: Limits) -> list[Candidates] | None:
    """The candidates of the models that may not be suspended; None if one of them has none."""
    critical = [m for m, model in enumerate(instance.models) if model.table.critical]
    classes = [on_frontier(instance, limits, m) for m in critical]
    return None if any(len(c.value) == 0 for c in classes) else classes
