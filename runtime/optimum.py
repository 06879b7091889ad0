"""The optimal plan under given limits, and the least that plans need: each model becomes one class of a knapsack.

The optimum without the compute limit is tried first: if it happens to hold the limit, it is the optimum with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from legodnn.runtime import knapsack
from legodnn.runtime.candidates import Candidates, Instance, compositions, in_space, on_staircase
from legodnn.runtime.problem import Composition, Limits
from legodnn.runtime.switching import charged_classes

UNLIMITED = 1 << 60


def optimum(instance: Instance, limits: Limits) -> list[Composition | None] | None:
    """What each model runs in the optimal plan (None: suspended); None if no plan holds the limits."""
    caps = [UNLIMITED if limits.memory is None else limits.memory]
    if instance.charged:
        caps += [] if limits.cores is None else [limits.cores]
        classes = _all(on_staircase if limits.cores is None else in_space, instance, limits)
        charged = classes and charged_classes(instance, limits, classes, caps)
        return None if not charged else _choose(instance, charged, caps)
    classes = _all(on_staircase, instance, limits)
    if classes is None:
        return None
    found = _choose(instance, classes, caps)
    if found is None or limits.cores is None or _cores(instance, found) <= limits.cores:
        return found
    classes = _all(in_space, instance, limits)
    return None if classes is None else _choose(instance, classes, [*caps, limits.cores])


def _all(
    candidates: Callable[[Instance, Limits, int], Candidates], instance: Instance, limits: Limits
) -> list[Candidates] | None:
    """Every model's candidates; None if one has none."""
    classes = [candidates(instance, limits, m) for m in range(len(instance.models))]
    return None if any(len(c.value) == 0 for c in classes) else classes


def _choose(instance: Instance, classes: Sequence[Candidates], caps: Sequence[int]) -> list[Composition | None] | None:
    weights = [[c.memory for c in classes], [c.cores for c in classes]][: len(caps)]
    chosen = knapsack.solve([c.value for c in classes], weights, caps)
    return None if chosen is None else compositions(instance, classes, chosen)


def _cores(instance: Instance, chosen: Sequence[Composition | None]) -> int:
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
    return knapsack.least([c.memory for c in classes], [c.cores for c in classes], limits.cores)


def least_cores(instance: Instance, limits: Limits) -> int | None:
    """The least compute (billionths of a core) of any plan that holds the other limits; None if no plan does."""
    classes = _critical(instance, limits)
    if classes is None:
        return None
    memory = UNLIMITED if limits.memory is None else limits.memory
    return knapsack.least([c.cores for c in classes], [c.memory for c in classes], memory)


def feasible(instance: Instance, limits: Limits) -> bool:
    """Whether any plan holds the limits."""
    least = least_memory(instance, limits)
    return least is not None and (limits.memory is None or least <= limits.memory)


def _critical(instance: Instance, limits: Limits) -> list[Candidates] | None:
    """The candidates of the models that must run (all others can be suspended); None if one has none."""
    critical = [m for m, model in enumerate(instance.models) if model.table.critical]
    classes = [in_space(instance, limits, m) for m in critical]
    return None if any(len(c.value) == 0 for c in classes) else classes
