"""Local search: a feasible choice of a knapsack's items made better by changing one class or two at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legodnn.arrays import Indices
from legodnn.runtime.planning.solver.deadline import Deadline
from legodnn.runtime.planning.solver.lagrangian import Items
from legodnn.runtime.planning.solver.partial_sums import KnapsackProblem

# Two classes at a time are changed among this many items: those of the least gaps.
_EXCHANGED = 256


def changed_one_by_one(items: Items, chosen: Indices) -> Indices:
    """Return a feasible choice improved by changing one class at a time, for as long as that helps.

    Args:
        items: the knapsack.
        chosen: (C,) a choice within the limits; it is left as it is.
    """
    chosen = chosen.copy()
    classes = np.arange(len(chosen))
    while True:
        slack = items.limits - items.totals(chosen)[1]
        room = (slack[:, None] + items.weights[:, classes, chosen])[:, :, None]
        gain = (
            np.where((items.weights <= room).all(axis=0), items.value, -np.inf) - items.value[classes, chosen][:, None]
        )
        c, item = divmod(int(gain.argmax()), gain.shape[1])
        if gain[c, item] <= 0:
            return chosen
        chosen[c] = item


def changed_two_by_two(problem: KnapsackProblem, chosen: Sequence[int], deadline: Deadline) -> list[int]:
    """Return a feasible choice improved by changing two classes at a time, for as long as that helps.

    Only items of small gaps take the place of others.

    Args:
        problem: the knapsack.
        chosen: an item of each class, within the limits; it is left as it is.
        deadline: when to stop.
    """
    chosen = list(chosen)
    classes = np.repeat(np.arange(len(chosen)), [len(v) for v in problem.values])
    gaps, value = np.concatenate(problem.gaps), np.concatenate(problem.values)
    weights = np.stack([np.concatenate(ws) for ws in problem.weights])
    starts = np.searchsorted(classes, np.arange(len(chosen)))
    some = np.sort(np.argsort(gaps, kind="stable")[:_EXCHANGED])
    classes, items = classes[some], some - starts[classes[some]]
    value, weights = value[some], weights[:, some]
    different = classes[:, None] != classes
    while not deadline.passed():
        now = [int(v[i]) for v, i in zip(problem.values, chosen, strict=True)]
        used = [[int(w[i]) for w, i in zip(ws, chosen, strict=True)] for ws in problem.weights]
        more = value - np.array(now)[classes]
        fits = different.copy()
        for weight, own, limit in zip(weights, used, problem.limits, strict=True):
            extra = weight - np.array(own)[classes]
            fits &= np.add.outer(extra, extra) <= limit - sum(own)
        gain = np.where(fits, np.add.outer(more, more), 0)
        i, j = divmod(int(gain.argmax()), len(value))
        if gain[i, j] <= 0:
            break
        chosen[classes[i]], chosen[classes[j]] = int(items[i]), int(items[j])
    return chosen
