"""The multiple-choice knapsack, exactly: one item of each class, greatest total value, total weights within limits.

    maximise  sum_c v(x_c)    subject to  sum_c w_i(x_c) <= W_i,  i = 1 .. d,    x_c one item of class c

For prices p_i >= 0 the relaxation  D(p) = sum_c max_x r(x) + sum_i p_i W_i,  r = v - sum_i p_i w_i,  bounds the optimum
from above, and any x is worth exactly

    D(p) - sum_c gap(x_c) - sum_i p_i slack_i(x),        gap(x_c) = max_y r(y) - r(x_c) >= 0.

So whatever is worth at least V has sum_c gap(x_c) + sum_i p_i slack_i <= D(p) - V. That leaves few items of each class,
and few partial sums as classes are added one by one (`sums`); bounds and dominance prune the rest. V need not be known:
if anything feasible lies within a margin below D(p), the best of that is the optimum, so margins are tried from small
to great. It is exact for any p, and short for p near the minimum of D (with one limit: the concave envelope's slope).
(Sinha and Zoltners 1979; Pisinger 1995, "A minimal algorithm for the multiple-choice knapsack problem".)

Where too many sums lie within a margin, bounds are found for each of them (`tangents`), and a few go on from class to
class, then more: each time the best plan and the bound of what was left out come closer, until they meet, or time or
memory is used up.

Values and weights are integers below 2^53: sums are exact, and ties are real ties. Among the plans of greatest value
the one of least first weight is taken, then of least second weight, then the first met.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from legodnn.arrays import Floats, Indices, Ints
from legodnn.errors import WorkloadError
from legodnn.runtime.planning.solver.deadline import NO_END, Clock, Widening
from legodnn.runtime.planning.solver.lagrangian import Items, one_price, padded, two_prices
from legodnn.runtime.planning.solver.partial_sums import AT_ONCE, KnapsackProblem, best_sums
from legodnn.runtime.planning.solver.tangents import Tangents

# Margins grow by so much: the work grows so fast with the margin that a small step, at the worst in vain, is cheaper
# than one too great.
_STEP = 1.5
# With so many sums going on from class to class, better bounds pay.
_FEW = 2048
# Two items at a time are exchanged among so many.
_EXCHANGED = 256
_PARTS = tuple(_STEP**-k for k in range(16, -1, -1))


@dataclass(frozen=True)
class Answer:
    """One item of each class, their value, and what no plan is worth more than: the value where it is the optimum."""

    chosen: list[int]
    value: int
    bound: float


def solve(
    values: Sequence[Ints],
    weights: Sequence[Sequence[Ints]],
    limits: Sequence[int],
    clock: Clock = NO_END,
    enough: int | None = None,
) -> Answer | None:
    """The optimal item of each class, or the best that is found in time; None if nothing fits.

    Args:
        values: for each class its items' values, (n_c,).
        weights: for each of one or two limits, for each class, its items' weights, (n_c,), none negative; the items
            of a class in ascending order of the first weight.
        limits: the greatest total of each weight.
        clock: when to stop improving. Whether anything fits is found out in any case.
        enough: a value that is as good as the greatest; None for none.
    """
    richest = [int(v.argmax()) for v in values]  # the first of the greatest: least first weight
    if len(limits) == 1 and _total(weights[0], richest) <= limits[0]:
        value = _total(values, richest)
        return Answer(richest, value, value)
    relaxed = _relaxed(values, weights, limits)
    if relaxed is None:
        return None
    items, prices, feasible = relaxed
    return _within_margins(items, values, weights, limits, prices, _improved(items, feasible), clock, enough)


def prices(
    values: Sequence[Ints], weights: Sequence[Sequence[Ints]], limits: Sequence[int]
) -> tuple[tuple[float, ...], float]:
    """Prices of the limits at (about) the minimum of D, for a problem that `solve` has an answer to; and what sums at
    these prices may be off by."""
    relaxed = _relaxed(values, weights, limits)
    if relaxed is None:
        raise ValueError("nothing fits")
    return relaxed[1], relaxed[0].rounding(relaxed[1])


def _relaxed(
    values: Sequence[Ints], weights: Sequence[Sequence[Ints]], limits: Sequence[int]
) -> tuple[Items, tuple[float, ...], Indices] | None:
    """The padded problem, prices, and a feasible plan; None if nothing fits."""
    items = padded(values, weights, limits)
    if len(limits) == 1:
        lightest = np.array([int(w.argmin()) for w in weights[0]])
        if _total(weights[0], lightest) > limits[0]:
            return None
        return items, *one_price(items, lightest)
    found = within(weights[1], weights[0], limits[1], limits[0])
    if found is None:
        return None
    return items, *two_prices(items, np.array(found))


def within(costs: Sequence[Ints], weights: Sequence[Ints], most: int, limit: int) -> list[int] | None:
    """One item of each class whose total cost is at most `most` and total weight within a limit; None if nothing fits.

    Raises:
        WorkloadError: that could not be found out, which takes thousands of items that are nearly alike.
    """
    found = _least(costs, weights, limit, -most)
    if found is None or found.bound < -most:
        return None
    if found.value < -most:
        raise WorkloadError(
            "whether a plan holds both the memory and the cores limit could not be found out, so near to each other "
            "they are to what is possible; relax one of them a little"
        )
    return found.chosen


def least(costs: Sequence[Ints], weights: Sequence[Ints], limit: int) -> int | None:
    """The least total cost of one item of each class whose total weight is within a limit; None if nothing fits."""
    found = _least(costs, weights, limit, None)
    return None if found is None else -found.value


def _least(costs: Sequence[Ints], weights: Sequence[Ints], limit: int, enough: int | None) -> Answer | None:
    """The least total cost, as its negative; anything with a value that is `enough` will do if that is given."""
    kept = [_descending(c, w) for c, w in zip(costs, weights, strict=True)]
    values = [-c[k] for c, k in zip(costs, kept, strict=True)]
    found = solve(values, [[w[k] for w, k in zip(weights, kept, strict=True)]], [limit], NO_END, enough)
    return found and replace(found, chosen=[int(k[i]) for k, i in zip(kept, found.chosen, strict=True)])


def _descending(cost: Ints, weight: Ints) -> Indices:
    """Indices of the items that none before them undercuts, by ascending weight; of equal weights any order will do."""
    order = np.argsort(weight, kind="stable")  # no work where they ascend already
    falling = cost[order]
    keep = np.ones(len(order), dtype=np.bool_)
    keep[1:] = falling[1:] < np.minimum.accumulate(falling)[:-1]
    return order[keep]


def _total(weights: Sequence[Ints], chosen: Sequence[int] | Indices) -> int:
    return sum(int(w[i]) for w, i in zip(weights, chosen, strict=True))


def _improved(items: Items, chosen: Indices) -> Indices:
    """A feasible plan made better by changing one class at a time, for as long as that helps."""
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


def _exchanged(problem: KnapsackProblem, chosen: list[int], clock: Clock) -> list[int]:
    """A plan made better by changing two classes at a time, for as long as that helps; items of small gaps only."""
    classes = np.repeat(np.arange(len(chosen)), [len(v) for v in problem.values])
    gaps, value = np.concatenate(problem.gaps), np.concatenate(problem.values)
    weights = np.stack([np.concatenate(ws) for ws in problem.weights])
    starts = np.searchsorted(classes, np.arange(len(chosen)))
    some = np.sort(np.argsort(gaps, kind="stable")[:_EXCHANGED])
    classes, starting = classes[some], some - starts[classes[some]]
    value, weights = value[some], weights[:, some]
    apart = classes[:, None] != classes
    while not clock.over():
        now = [int(v[i]) for v, i in zip(problem.values, chosen, strict=True)]
        used = [[int(w[i]) for w, i in zip(ws, chosen, strict=True)] for ws in problem.weights]
        more = value - np.array(now)[classes]
        fits = apart.copy()
        for weight, own, limit in zip(weights, used, problem.limits, strict=True):
            extra = weight - np.array(own)[classes]
            fits &= np.add.outer(extra, extra) <= limit - sum(own)
        gain = np.where(fits, np.add.outer(more, more), 0)
        i, j = divmod(int(gain.argmax()), len(value))
        if gain[i, j] <= 0:
            break
        chosen = list(chosen)
        chosen[classes[i]], chosen[classes[j]] = int(starting[i]), int(starting[j])
    return chosen


def _within_margins(
    items: Items,
    values: Sequence[Ints],
    weights: Sequence[Sequence[Ints]],
    limits: Sequence[int],
    prices: Sequence[float],
    feasible: Indices,
    clock: Clock,
    enough: int | None,
) -> Answer:
    """The best plan, given prices and a feasible plan."""
    reduced = items.reduced(prices)
    top = reduced.max(axis=1)
    gaps = top[:, None] - reduced
    rounding = items.rounding(prices)
    bound = float(top.sum()) + sum(p * limit for p, limit in zip(prices, limits, strict=True)) + rounding
    best, worth = feasible.tolist(), _total(values, feasible)
    problem = KnapsackProblem(
        values, weights, [g[: len(v)] for g, v in zip(gaps, values, strict=True)], limits, prices, bound
    )

    def within(margin: float) -> tuple[list[Indices], KnapsackProblem]:
        kept = [np.flatnonzero(g <= margin) for g in problem.gaps]
        return kept, problem.take(kept)

    if enough is not None and not worth < enough <= bound:
        return Answer(best, worth, bound)
    margin = bound - worth
    if _combinations(gaps, margin) > AT_ONCE:
        affordable = bisect_right(_PARTS, AT_ONCE, key=lambda part: _combinations(gaps, margin * part))
        margin *= _PARTS[max(0, affordable - 1)]
    while True:
        kept, part = within(margin)
        chosen, lost = best_sums(part, bound - margin, _FEW, None, clock)
        if lost > -np.inf:
            break  # so many that better bounds pay
        if chosen is not None:
            best = [int(k[i]) for k, i in zip(kept, chosen, strict=True)]
            worth = _total(values, best)
            if margin >= bound - worth:
                return Answer(best, worth, worth)
        elif margin >= bound - worth:
            raise AssertionError("the widest margin holds the feasible plan")
        margin = min(bound - worth, margin * _STEP)

    tangents = Tangents.of(values, weights, limits, prices, rounding)
    widening = Widening(clock)
    while (width := widening.next()) is not None:
        kept, part = within(problem.bound - worth)
        chosen, lost = best_sums(part, worth, width, tangents, clock)
        if chosen is not None and sum(int(part.values[c][i]) for c, i in enumerate(chosen)) >= worth:
            best = [int(k[i]) for k, i in zip(kept, chosen, strict=True)]
            worth = _total(values, best)
        bound = min(bound, max(worth, lost))
        if lost < worth or (enough is not None and not worth < enough <= bound):
            break
        best = _exchanged(problem, best, clock)
        worth = _total(values, best)
    return Answer(best, worth, max(bound, worth))


def _combinations(gaps: Floats, margin: float) -> int:
    """How many choices have no single gap beyond the margin."""
    return prod((gaps <= margin).sum(axis=1).tolist())
