"""Sums of one item of each class, kept only while they can still be the best: the search of `knapsack`.

Small classes are added up all at once; then class by class, dropping what the limits, a bound or dominance rule out. No
more than `width` sums go on to the next class: those of the greatest bounds. What the others could have become is known
from their bounds, so that a search that could not look at everything still says how far from the optimum it may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from legodnn.arrays import Floats, Indices, Ints
from legodnn.runtime.planning.solver.deadline import NO_END, Clock
from legodnn.runtime.planning.solver.dominance import earlier_min
from legodnn.runtime.planning.solver.tangents import Tangents

Number = TypeVar("Number", np.int64, np.float64)

# So many combinations are simply added up.
AT_ONCE = 4096
# For each sum that may go on, so many are looked at.
_PAIRS = 8


@dataclass(frozen=True)
class KnapsackProblem:
    """Classes of items: `values` and `gaps` are (n_c,) each, `weights` for each limit first; no class is empty.

    `bound` less the gaps of a sum's items and the priced slack of limits bounds what the sum can be part of.
    """

    values: Sequence[Ints]
    weights: Sequence[Sequence[Ints]]
    gaps: Sequence[Floats]
    limits: Sequence[int]
    prices: Sequence[float]
    bound: float

    def take(self, kept: Sequence[Indices]) -> KnapsackProblem:
        """Some of each class's items."""
        return KnapsackProblem(
            [v[k] for v, k in zip(self.values, kept, strict=True)],
            [[w[k] for w, k in zip(ws, kept, strict=True)] for ws in self.weights],
            [g[k] for g, k in zip(self.gaps, kept, strict=True)],
            self.limits,
            self.prices,
            self.bound,
        )


@dataclass(frozen=True)
class _Sums:
    """Partial sums over some classes, (n,) each: value, gap, and every weight."""

    value: Ints
    gap: Floats
    weights: list[Ints]

    def take(self, kept: Indices) -> _Sums:
        return _Sums(self.value[kept], self.gap[kept], [w[kept] for w in self.weights])


def best_sums(
    problem: KnapsackProblem, floor: float, width: int, tangents: Tangents | None = None, clock: Clock = NO_END
) -> tuple[list[int] | None, float]:
    """The best choice that holds the limits, of those that may be worth `floor`; and what one left out may be worth.

    Args:
        problem: the items.
        floor: a choice worth less is of no use.
        width: so many sums go on to the next class.
        tangents: better bounds of what is to come than gaps are, at some cost.
        clock: the search ends when it is over.

    Returns:
        The choice, None if none was found; and minus infinity if nothing was left out that may be worth `floor`.
    """
    values, weights, gaps = problem.values, problem.weights, problem.gaps
    limits, prices = problem.limits, problem.prices
    order = sorted(range(len(values)), key=lambda c: len(values[c]))
    sizes = [len(values[c]) for c in order]
    small = int(np.searchsorted(np.cumprod(sizes, dtype=np.float64), AT_ONCE, side="right")) or 1
    first, later = order[:small], order[small:]
    sums = _Sums(
        _outer([values[c] for c in first]),
        _outer([gaps[c] for c in first]),
        [_outer([ws[c] for c in first]) for ws in weights],
    )
    lost = -np.inf

    def prune(sums: _Sums) -> Indices:
        """Those that go on; what the others may be worth is noted in `lost`."""
        nonlocal lost
        rest = [sum(int(ws[c].min()) for c in later) for ws in weights]
        kept = np.flatnonzero(
            np.logical_and.reduce([w <= x - r for w, x, r in zip(sums.weights, limits, rest, strict=True)])
        )
        if not later:
            return kept
        if tangents is None:
            bounds = problem.bound - sums.gap[kept]
            for ws, w, price, limit in zip(weights, sums.weights, prices, limits, strict=True):
                most = sum(int(ws[c].max()) for c in later)
                bounds -= price * np.maximum(0, limit - most - w[kept])
        else:
            bounds = tangents.ahead(later)(sums.value[kept], [w[kept] for w in sums.weights])
        promising = bounds >= floor
        kept, bounds = kept[promising], bounds[promising]
        if len(kept) > 2 * width:
            kept, bounds, left = _greatest(kept, bounds, 2 * width)
            lost = max(lost, left)
        best = undominated(sums.value[kept], [w[kept] for w in sums.weights])
        kept, bounds = kept[best], bounds[best]
        if len(kept) > width:
            kept, bounds, left = _greatest(kept, bounds, width)
            lost = max(lost, left)
        return kept

    start = prune(sums)
    sums = sums.take(start)
    trail: list[tuple[Indices, Indices]] = []
    while later:
        if clock.over():
            return None, max(lost, float(problem.bound - sums.gap.min(initial=np.inf)))
        c = later.pop(0)
        margin, left = _affordable(sums.gap, gaps[c], problem.bound - floor, _PAIRS * width)
        lost = max(lost, problem.bound - left)
        parents, options = _pairs(sums.gap, gaps[c], margin, _PAIRS * width)
        sums = _Sums(
            sums.value[parents] + values[c][options],
            sums.gap[parents] + gaps[c][options],
            [w[parents] + ws[c][options] for w, ws in zip(sums.weights, weights, strict=True)],
        )
        kept = prune(sums)
        sums = sums.take(kept)
        trail.append((parents[kept].astype(np.int32), options[kept].astype(np.int32)))
    if len(sums.value) == 0:
        return None, lost
    at = _best(sums.value, sums.weights)
    answer = [0] * len(values)
    for c, (parents, options) in zip(reversed(order), reversed(trail), strict=False):
        answer[c] = int(options[at])
        at = int(parents[at])
    for c, item in zip(first, np.unravel_index(start[at], sizes[:small]), strict=True):
        answer[c] = int(item)
    return answer, lost


def _outer(columns: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
    """All sums of one entry of each column, the last column's fastest."""
    total = columns[0]
    for column in columns[1:]:
        total = total + column[0] if len(column) == 1 else np.add.outer(total, column).ravel()
    return total


def _greatest(kept: Indices, bounds: Floats, count: int) -> tuple[Indices, Floats, float]:
    """The `count` of greatest bounds, in order, and the greatest bound of the others."""
    order = np.argpartition(-bounds, count)
    best = np.sort(order[:count])
    return kept[best], bounds[best], float(bounds[order[count:]].max())


def _affordable(gap: Floats, item_gap: Floats, margin: float, most: int) -> tuple[float, float]:
    """A margin, at most that given, within which there are at most about `most` pairs; and the least gap left out."""
    ascending = np.sort(gap)
    count = int(np.searchsorted(ascending, margin - item_gap, side="right").sum())
    if count <= most:
        return margin, np.inf
    low, high = float(ascending[0] + item_gap.min()), margin
    for _ in range(20):
        middle = (low + high) / 2
        if int(np.searchsorted(ascending, middle - item_gap, side="right").sum()) <= most:
            low = middle
        else:
            high = middle
    return low, low


def _pairs(gap: Floats, item_gap: Floats, margin: float, most: int) -> tuple[Indices, Indices]:
    """All pairs (sum, item) whose gaps add up to at most the margin; about `most` of them where many are equal."""
    order = np.argsort(gap, kind="stable")
    counts = np.searchsorted(gap[order], margin - item_gap, side="right")
    if counts.sum() > 2 * most:
        counts = np.minimum(counts, 1 + most // len(counts))
    items = np.repeat(np.arange(len(item_gap)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.arange(len(items)) - starts], items


def undominated(value: Ints, weights: Sequence[Ints]) -> Indices:
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
