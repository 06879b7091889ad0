"""The optimal plan under given limits, and the least that plans need: each model becomes one class of a knapsack.

The optimum without the compute limit is tried first: if it happens to hold the limit, it is the optimum with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.runtime.planning.solver import knapsack
from legodnn.runtime.planning.solver.candidates import (
    Candidates,
    Instance,
    candidate_compositions,
    in_space,
    on_staircase,
)
from legodnn.runtime.planning.solver.charged_optimum import charged_answer
from legodnn.runtime.planning.solver.deadline import NO_END, Clock
from legodnn.runtime.planning.solver.instance import CompositionSums, Limits

UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Optimum:
    """What each model runs (None: suspended), what that is worth, and what no plan is worth more than."""

    chosen: list[CompositionSums | None]
    value: int
    bound: float


def optimum(instance: Instance, limits: Limits, clock: Clock = NO_END) -> Optimum | None:
    """The optimal plan, or the best that is found in time; None if no plan holds the limits."""
    caps = [_cap(limits.memory)]
    if instance.charged:
        caps += [] if limits.cores is None else [_cap(limits.cores)]
        classes = _all(on_staircase if limits.cores is None else in_space, instance, limits)
        charged = classes and charged_answer(instance, limits, classes, caps, clock)
        return None if not charged else _optimum(instance, *charged)
    classes = _all(on_staircase, instance, limits)
    if classes is None:
        return None
    found = _choose(instance, classes, caps, clock)
    if found is None or limits.cores is None or _cores(instance, found.chosen) <= limits.cores:
        return found
    classes = _all(in_space, instance, limits)
    return None if classes is None else _choose(instance, classes, [*caps, _cap(limits.cores)], clock)


def _cap(limit: int | None) -> int:
    return UNLIMITED if limit is None else min(limit, UNLIMITED)


def _all(
    candidates: Callable[[Instance, Limits, int], Candidates], instance: Instance, limits: Limits
) -> list[Candidates] | None:
    """Every model's candidates; None if one has none."""
    classes = [candidates(instance, limits, m) for m in range(len(instance.models))]
    return None if any(len(c.value) == 0 for c in classes) else classes


def _choose(instance: Instance, classes: Sequence[Candidates], caps: Sequence[int], clock: Clock) -> Optimum | None:
    weights = [[c.memory for c in classes], [c.cores for c in classes]][: len(caps)]
    answer = knapsack.solve([c.value for c in classes], weights, caps, clock)
    return None if answer is None else _optimum(instance, classes, answer)


def _optimum(instance: Instance, classes: Sequence[Candidates], answer: knapsack.Answer) -> Optimum:
    return Optimum(candidate_compositions(instance, classes, answer.chosen), answer.value, answer.bound)


def _cores(instance: Instance, chosen: Sequence[CompositionSums | None]) -> int:
    """Billionths of a core that a plan takes."""
    return sum(
        int(model.cores(np.array([c.latency]), np.array([c.threads]), slowdown)[0])
        for model, c, slowdown in zip(instance.models, chosen, instance.slowdown, strict=True)
        if c is not None
    )


def least_memory(instance: Instance, limits: Limits) -> int | None:
    """The least memory of any plan that holds the other limits; None if no plan does."""
    classes = _critical(instance, limits)
    if classes is None:
        return None
    if limits.cores is None:
        return sum(int(c.memory.min()) for c in classes)
    return knapsack.least([c.memory for c in classes], [c.cores for c in classes], _cap(limits.cores))


def least_cores(instance: Instance, limits: Limits) -> int | None:
    """The least compute (billionths of a core) of any plan that holds the other limits; None if no plan does."""
    classes = _critical(instance, limits)
    if classes is None:
        return None
    return knapsack.least([c.cores for c in classes], [c.memory for c in classes], _cap(limits.memory))


def feasible(instance: Instance, limits: Limits) -> bool:
    """Whether any plan holds the limits."""
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
    """The candidates of the models that must run (all others can be suspended); None if one has none."""
    critical = [m for m, model in enumerate(instance.models) if model.table.critical]
    classes = [in_space(instance, limits, m) for m in critical]
    return None if any(len(c.value) == 0 for c in classes) else classes
