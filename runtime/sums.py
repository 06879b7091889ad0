"""Sums of one item of each class, class by class, kept only while they can still be the best.

The last step of `legodnn.runtime.knapsack`, whose docstring has the terms: gap, price, margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from legodnn.runtime.frontier import Floats, Indices, Ints, earlier_min

_AT_ONCE = 4096


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
        values, weights, gaps: for each class, (n_c,); weights for each limit first.
        limits, prices: one for each limit.
        margin: None is returned if nothing feasible lies within it.
    """
    if prod(len(v) for v in values) <= _AT_ONCE:
        return _all_at_once(values, weights, limits)
    return _class_by_class(values, weights, gaps, limits, prices, margin)


def _all_at_once(values: Sequence[Ints], weights: Sequence[Sequence[Ints]], limits: Sequence[int]) -> list[int] | None:
    sums = [_outer_sum(ws) for ws in weights]
    fits = np.flatnonzero(np.logical_and.reduce([s <= limit for s, limit in zip(sums, limits, strict=True)]))
    if len(fits) == 0:
        return None
    best = _best(_outer_sum(values)[fits], [s[fits] for s in sums])
    return [int(i) for i in np.unravel_index(fits[best], [len(v) for v in values])]


def _outer_sum(columns: Sequence[Ints]) -> Ints:
    total = columns[0]
    for column in columns[1:]:
        total = total + column[0] if len(column) == 1 else np.add.outer(total, column).ravel()
    return total


def _best(value: Ints, sums: Sequence[Ints]) -> int:
    """The index of the greatest value, then of the least first sum, then of the least second one."""
    ties = np.flatnonzero(value == value.max())
    for s in sums:
        if len(ties) == 1:
            break
        ties = ties[s[ties] == s[ties].min()]
    return int(ties[0])


def _class_by_class(
    values: Sequence[Ints],
    weights: Sequence[Sequence[Ints]],
    gaps: Sequence[Floats],
    limits: Sequence[int],
    prices: Sequence[float],
    margin: float,
) -> list[int] | None:
    order = sorted(range(len(values)), key=lambda c: len(values[c]))
    rest_least = [sum(int(w.min()) for w in ws) for ws in weights]
    rest_most = [sum(int(w.max()) for w in ws) for ws in weights]
    value, gap = np.zeros(1, dtype=np.int64), np.zeros(1)
    sums = [np.zeros(1, dtype=np.int64) for _ in limits]
    trail: list[tuple[Indices, Indices]] = []
    for c in order:
        parents, options = _pairs(gap, gaps[c], margin)
        waste = gap[parents] + gaps[c][options]
        alive = np.ones(len(parents), dtype=np.bool_)
        totals = []
        for i, (price, limit) in enumerate(zip(prices, limits, strict=True)):
            rest_least[i] -= int(weights[i][c].min())
            rest_most[i] -= int(weights[i][c].max())
            total = sums[i][parents] + weights[i][c][options]
            alive &= total <= limit - rest_least[i]
            waste += price * np.maximum(0, limit - rest_most[i] - total)
            totals.append(total)
        kept = np.flatnonzero(alive & (waste <= margin))
        if len(kept) == 0:
            return None
        value = values[c][options[kept]] + value[parents[kept]]
        kept_totals = [t[kept] for t in totals]
        best = _undominated(value, kept_totals)
        kept = kept[best]
        value, sums = value[best], [t[best] for t in kept_totals]
        gap = gap[parents[kept]] + gaps[c][options[kept]]
        trail.append((parents[kept], options[kept]))
    at = _best(value, sums)
    answer = [0] * len(values)
    for c, (parents, options) in zip(reversed(order), reversed(trail), strict=True):
        answer[c] = int(options[at])
        at = int(parents[at])
    return answer


def _pairs(gap: Floats, item_gap: Floats, margin: float) -> tuple[Indices, Indices]:
    """All pairs (sum, item) whose gaps add up to at most the margin."""
    order = np.argsort(gap, kind="stable")
    counts = np.searchsorted(gap[order], margin - item_gap, side="right")
    items = np.repeat(np.arange(len(item_gap)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.arange(len(items)) - starts], items


def _undominated(value: Ints, sums: Sequence[Ints]) -> Indices:
    """Indices of what nothing else beats in value and all sums."""
    if len(sums) == 1:
        order = np.lexsort((-value, sums[0]))
        ascending = value[order]
        keep = np.ones(len(order), dtype=np.bool_)
        keep[1:] = ascending[1:] > np.maximum.accumulate(ascending)[:-1]
        return order[keep]
    order = np.lexsort((-value, sums[1], sums[0]))
    second = sums[1][order]
    return order[earlier_min((-value[order]).astype(np.float64), second) > second]
