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
    """Partial sums of one item of each of some classes, (n,) each: value, gap, and the weights of every limit."""

    value: Ints
    gap: Floats
    weights: Sequence[Ints]

    @classmethod
    def of_all_choices(cls, problem: KnapsackProblem, classes: Sequence[int]) -> _Sums:
        """Return the sums of all choices from some classes; the item of the last class varies fastest."""
        return cls(
            _outer([problem.values[c] for c in classes]),
            _outer([problem.gaps[c] for c in classes]),
            [_outer([ws[c] for c in classes]) for ws in problem.weights],
        )

    def plus(self, problem: KnapsackProblem, c: int, parents: Indices, items: Indices) -> _Sums:
        """Return the sums of pairs: of the sum `parents[i]` and the item `items[i]` of class c."""
        return _Sums(
            self.value[parents] + problem.values[c][items],
            self.gap[parents] + problem.gaps[c][items],
            [w[parents] + ws[c][items] for w, ws in zip(self.weights, problem.weights, strict=True)],
        )

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
    order = sorted(range(len(problem.values)), key=lambda c: len(problem.values[c]))
    sizes = [len(problem.values[c]) for c in order]
    at_once = int(np.searchsorted(np.cumprod(sizes, dtype=np.float64), AT_ONCE, side="right")) or 1
    sums = _Sums.of_all_choices(problem, order[:at_once])
    first, lost = _going_on(problem, sums, order[at_once:], floor, width, tangents)
    sums = sums.take(first)
    steps: list[tuple[Indices, Indices]] = []  # by later class, of which sum before it and which item a sum is made
    for added, c in enumerate(order[at_once:], at_once + 1):
        if deadline.passed():
            return None, max(lost, float(problem.bound - sums.gap.min(initial=np.inf)))
        parents, items, beyond = _pairs(sums.gap, problem.gaps[c], problem.bound - floor, _PAIRS * width)
        sums = sums.plus(problem, c, parents, items)
        kept, cut = _going_on(problem, sums, order[added:], floor, width, tangents)
        sums = sums.take(kept)
        steps.append((parents[kept].astype(np.int32), items[kept].astype(np.int32)))
        lost = max(lost, problem.bound - beyond, cut)
    if len(sums.value) == 0:
        return None, lost
    at = _best(sums.value, sums.weights)
    answer = [0] * len(order)
    for c, (parents, items) in zip(reversed(order), reversed(steps), strict=False):
        answer[c] = int(items[at])
        at = int(parents[at])
    for c, item in zip(order, np.unravel_index(first[at], sizes[:at_once]), strict=False):
        answer[c] = int(item)
    return answer, lost


def _going_on(
    problem: KnapsackProblem,
    sums: _Sums,
    later: Sequence[int],
    floor: float,
    width: int,
    tangents: Tangents | None,
) -> tuple[Indices, float]:
    """Return which sums go on to the later classes, and the greatest bound of those that only lack of width cut.

    Without later classes, these are all sums within the limits.
    """
    lightest = [sum(int(ws[c].min()) for c in later) for ws in problem.weights]
    within = [w <= limit - rest for w, limit, rest in zip(sums.weights, problem.limits, lightest, strict=True)]
    kept = np.flatnonzero(np.logical_and.reduce(within))
    if not later:
        return kept, -np.inf
    bounds = _bounds(problem, sums.take(kept), later, tangents)
    promising = bounds >= floor
    # Dominance takes long, so it is tested among twice as many sums as may go on.
    kept, bounds, cut_before = _greatest(kept[promising], bounds[promising], 2 * width)
    best = undominated(sums.value[kept], [w[kept] for w in sums.weights])
    kept, _, cut_after = _greatest(kept[best], bounds[best], width)
    return kept, max(cut_before, cut_after)


def _bounds(problem: KnapsackProblem, sums: _Sums, later: Sequence[int], tangents: Tangents | None) -> Floats:
    """Upper bounds of the choices that contain each sum: by tangents, or by its gap and the slack that must be left."""
    if tangents is not None:
        return tangents.ahead(later)(sums.value, sums.weights)
    bounds = problem.bound - sums.gap
    for ws, w, price, limit in zip(problem.weights, sums.weights, problem.prices, problem.limits, strict=True):
        heaviest = sum(int(ws[c].max()) for c in later)
        bounds -= price * np.maximum(0, limit - heaviest - w)
    return bounds


def _outer(columns: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
    """All sums of one entry of each column; the entry of the last column varies fastest."""
    total = columns[0]
    for column in columns[1:]:
        total = total + column[0] if len(column) == 1 else np.add.outer(total, column).ravel()
    return total


def _greatest(kept: Indices, bounds: Floats, count: int) -> tuple[Indices, Floats, float]:
    """Return at most `count` sums, those of greatest bounds, in order, with their bounds; and the greatest bound cut.

    That is minus infinity if there are no more sums than that.
    """
    if len(kept) <= count:
        return kept, bounds, -np.inf
    order = np.argpartition(-bounds, count)
    best = np.sort(order[:count])
    return kept[best], bounds[best], float(bounds[order[count:]].max())


def _pairs(gap: Floats, item_gap: Floats, margin: float, most: int) -> tuple[Indices, Indices, float]:
    """Return the pairs (sum, item) whose gaps add up to at most a margin; if they are many, about `most` of least gaps.

    Args:
        gap: (n,) the gaps of the sums.
        item_gap: (items,) the gaps of the items of the next class.
        margin: the greatest sum of two gaps that is of use.
        most: about how many pairs may be formed.

    Returns:
        The index of a sum and that of an item, for each pair; and the least gap of the pairs that were left out though
        they are within the margin, infinity if there are none.
    """
    order = np.argsort(gap, kind="stable")
    ascending = gap[order]

    def counts_within(margin: float) -> Indices:
        """How many sums, by item, form a pair within a margin: the first so many of `order`."""
        return np.searchsorted(ascending, margin - item_gap, side="right")

    beyond = np.inf
    counts = counts_within(margin)
    if counts.sum() > most:
        low, high = float(ascending[0] + item_gap.min()), margin
        for _ in range(20):
            middle = (low + high) / 2
            if counts_within(middle).sum() <= most:
                low = middle
            else:
                high = middle
        beyond, counts = low, counts_within(low)
    if counts.sum() > 2 * most:  # many gaps are equal
        counts = np.minimum(counts, 1 + most // len(counts))
    items = np.repeat(np.arange(len(item_gap)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.arange(len(items)) - starts], items, beyond


def _best(value: Ints, weights: Sequence[Ints]) -> int:
    """The index of the greatest value; among equals, of the least first weight, then of the least second one."""
    ties = np.flatnonzero(value == value.max())
    for w in weights:
        if len(ties) == 1:
            break
        ties = ties[w[ties] == w[ties].min()]
    return int(ties[0])
