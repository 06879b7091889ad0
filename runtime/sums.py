"""Sums of one item of each class, kept only while they can still be the best.

The last step of `legodnn.runtime.knapsack`, whose docstring has the terms: gap, price, margin. Small classes are added
up all at once; then class by class, dropping what the margin, the limits or dominance rule out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from legodnn.runtime.dominance import earlier_min
from legodnn.runtime.frontier import Floats, Indices, Ints

Number = TypeVar("Number", np.int64, np.float64)

# So many combinations are simply added up.
AT_ONCE = 4096


@dataclass(frozen=True)
class _Sums:
    """Partial sums over some classes, (n,) each: value, gap, and every weight."""

    value: Ints
    gap: Floats
    weights: list[Ints]

    def take(self, kept: Indices) -> _Sums:
        return _Sums(self.value[kept], self.gap[kept], [w[kept] for w in self.weights])


def best_sums(
    values: Sequence[Ints],
    weights: Sequence[Sequence[Ints]],
    gaps: Sequence[Floats],
    limits: Sequence[int],
    prices: Sequence[float],
    margin: float,
) -> list[int] | None:
    """The best choice that holds the limits among those whose gaps and priced slack add up to at most the margin.

    Args:
        values, weights, gaps: for each class, (n_c,); weights for each limit first. No class is empty.
        limits, prices: one for each limit.
        margin: None is returned if nothing feasible lies within it.
    """
    order = sorted(range(len(values)), key=lambda c: len(values[c]))
    sizes = [len(values[c]) for c in order]
    small = int(np.searchsorted(np.cumprod(sizes, dtype=np.float64), AT_ONCE, side="right")) or 1
    first, later = order[:small], order[small:]
    rest_least = [sum(int(ws[c].min()) for c in later) for ws in weights]
    rest_most = [sum(int(ws[c].max()) for c in later) for ws in weights]

    def prune(sums: _Sums) -> Indices:
        if not later:  # nothing to come: whatever holds the limits
            return np.flatnonzero(np.logical_and.reduce([w <= x for w, x in zip(sums.weights, limits, strict=True)]))
        waste = sums.gap
        possible = np.ones(len(sums.gap), dtype=np.bool_)
        for w, price, limit, low, high in zip(sums.weights, prices, limits, rest_least, rest_most, strict=True):
            possible &= w <= limit - low
            waste = waste + price * np.maximum(0, limit - high - w)
        kept = np.flatnonzero(possible & (waste <= margin))
        return kept[_undominated(sums.value[kept], [w[kept] for w in sums.weights])]

    sums = _Sums(
        _outer([values[c] for c in first]),
        _outer([gaps[c] for c in first]),
        [_outer([ws[c] for c in first]) for ws in weights],
    )
    start = prune(sums)
    sums = sums.take(start)
    trail: list[tuple[Indices, Indices]] = []
    while later:
        c = later.pop(0)
        for i, ws in enumerate(weights):
            rest_least[i] -= int(ws[c].min())
            rest_most[i] -= int(ws[c].max())
        parents, options = _pairs(sums.gap, gaps[c], margin)
        sums = _Sums(
            sums.value[parents] + values[c][options],
            sums.gap[parents] + gaps[c][options],
            [w[parents] + ws[c][options] for w, ws in zip(sums.weights, weights, strict=True)],
        )
        kept = prune(sums)
        sums = sums.take(kept)
        trail.append((parents[kept], options[kept]))
    if len(sums.value) == 0:
        return None
    at = _best(sums.value, sums.weights)
    answer = [0] * len(values)
    for c, (parents, options) in zip(reversed(order), reversed(trail), strict=False):
        answer[c] = int(options[at])
        at = int(parents[at])
    for c, item in zip(first, np.unravel_index(start[at], sizes[:small]), strict=True):
        answer[c] = int(item)
    return answer


def _outer(columns: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
    """All sums of one entry of each column, the last column's fastest."""
    total = columns[0]
    for column in columns[1:]:
        total = total + column[0] if len(column) == 1 else np.add.outer(total, column).ravel()
    return total


def _pairs(gap: Floats, item_gap: Floats, margin: float) -> tuple[Indices, Indices]:
    """All pairs (sum, item) whose gaps add up to at most the margin."""
    order = np.argsort(gap, kind="stable")
    counts = np.searchsorted(gap[order], margin - item_gap, side="right")
    items = np.repeat(np.arange(len(item_gap)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.arange(len(items)) - starts], items


def _undominated(value: Ints, weights: Sequence[Ints]) -> Indices:
    """Indices of what nothing else beats in value and all weights, by ascending first weight."""
    if len(weights) == 1:
        order = np.lexsort((-value, weights[0]))
        ascending = value[order]
        keep = np.ones(len(order), dtype=np.bool_)
        keep[1:] = ascending[1:] > np.maximum.accumulate(ascending)[:-1]
        return order[keep]
    order = np.lexsort((-value, weights[1], weights[0]))
    second = weights[1][order]
    return order[earlier_min((-value[order]).astype(np.float64), second) > second]


def _best(value: Ints, weights: Sequence[Ints]) -> int:
    """The index of the greatest value, then of the least first weight, then of the least second one."""
    ties = np.flatnonzero(value == value.max())
    for w in weights:
        if len(ties) == 1:
            break
        ties = ties[w[ties] == w[ties].min()]
    return int(ties[0])
