"""The search of `knapsack`: sums of one item of each class, kept only while they can still become the best.

Small classes are added up all at once. The others follow one by one, and sums are dropped that the limits, a bound or
dominance rule out. No more than `width` sums go on to the next class: those of the greatest bounds. The bounds of the
others say what these could have become, so a search that left some out still says how far from the optimum it may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from legodnn.arrays import Floats, Indices, Ints
from legodnn.runtime.planning.solver.deadline import Deadline
from legodnn.runtime.planning.solver.dominance import undominated
from legodnn.runtime.planning.solver.tangents import Tangents

Number = TypeVar("Number", np.int64, np.float64)

# Classes are added up all at once as long as they have no more combinations than this.
AT_ONCE = 4096
# Pairs of a sum and an item that are formed for each sum that may go on to the next class.
_PAIRS = 8


@dataclass(frozen=True)
class KnapsackProblem:
    """A knapsack at given prices; `knapsack` defines the terms. No class is empty.

    Attributes:
        values: for each class its items' values, (n_c,).
        weights: for each limit, for each class, its items' weights, (n_c,).
        gaps: for each class its items' gaps, (n_c,).
        limits: the greatest total of each weight.
        prices: the price of each limit.
        bound: an upper bound of all choices. Less the gaps of a partial sum's items and the priced slack that it must
            leave, it is an upper bound of the choices that contain this sum.
    """

    values: Sequence[Ints]
    weights: Sequence[Sequence[Ints]]
    gaps: Sequence[Floats]
    limits: Sequence[int]
    prices: Sequence[float]
    bound: float

    def take(self, kept: Sequence[Indices]) -> KnapsackProblem:
        """Return the knapsack of some of each class's items."""
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
    """Partial sums over some classes, (n,) each: value, gap, and the weights of every limit."""

    value: Ints
    gap: Floats
    weights: list[Ints]

    def take(self, kept: Indices) -> _Sums:
        return _Sums(self.value[kept], self.gap[kept], [w[kept] for w in self.weights])


def best_sums(
    problem: KnapsackProblem, floor: float, width: int, tangents: Tangents | None, deadline: Deadline
) -> tuple[list[int] | None, float]:
    """Return the best choice within the limits whose value may reach a floor, and a bound of what was left out.

    Args:
        problem: the knapsack.
        floor: choices of less value are of no use.
        width: how many sums go on to the next class, at most.
        tangents: better bounds than gaps give, at some cost; None to use gaps.
        deadline: when to end the search.

    Returns:
        The index of an item of each class, or None if no choice was found; and an upper bound of the choices that were
        left out although their value may reach the floor, minus infinity if there were none.
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
        """Return which sums go on; the bound of those that are cut for lack of width is noted in `lost`."""
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
        if deadline.passed():
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
    """All sums of one entry of each column; the entry of the last column varies fastest."""
    total = columns[0]
    for column in columns[1:]:
        total = total + column[0] if len(column) == 1 else np.add.outer(total, column).ravel()
    return total


def _greatest(kept: Indices, bounds: Floats, count: int) -> tuple[Indices, Floats, float]:
    """Return the `count` sums of greatest bounds, in order, with their bounds; and the greatest bound of the others."""
    order = np.argpartition(-bounds, count)
    best = np.sort(order[:count])
    return kept[best], bounds[best], float(bounds[order[count:]].max())


def _affordable(gap: Floats, item_gap: Floats, margin: float, most: int) -> tuple[float, float]:
    """Return a margin, at most the given one, that holds about `most` pairs at most; and the least gap beyond it.

    The gap is infinite if the given margin holds few enough pairs.

    Args:
        gap: (n,) the gaps of the sums.
        item_gap: (items,) the gaps of the items of the next class.
        margin: the greatest sum of two gaps that is of use.
        most: how many pairs may be formed.
    """
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
    """Return all pairs (sum, item) whose gaps add up to at most the margin; about `most` of them if many are equal."""
    order = np.argsort(gap, kind="stable")
    counts = np.searchsorted(gap[order], margin - item_gap, side="right")
    if counts.sum() > 2 * most:
        counts = np.minimum(counts, 1 + most // len(counts))
    items = np.repeat(np.arange(len(item_gap)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.arange(len(items)) - starts], items


def _best(value: Ints, weights: Sequence[Ints]) -> int:
    """The index of the greatest value; among equals, of the least first weight, then of the least second one."""
    ties = np.flatnonzero(value == value.max())
    for w in weights:
        if len(ties) == 1:
            break
        ties = ties[w[ties] == w[ties].min()]
    return int(ties[0])
