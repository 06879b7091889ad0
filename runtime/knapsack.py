"""The multiple-choice knapsack, exactly: one item of each class, greatest total value, total weights within limits.

    maximise  sum_c v(x_c)    subject to  sum_c w_i(x_c) <= W_i,  i = 1 .. d,    x_c one item of class c

For prices p_i >= 0 the relaxation  D(p) = sum_c max_x r(x) + sum_i p_i W_i,  r = v - sum_i p_i w_i,  bounds the optimum
from above, and any x is worth exactly

    D(p) - sum_c gap(x_c) - sum_i p_i slack_i(x),        gap(x_c) = max_y r(y) - r(x_c) >= 0.

So whatever is worth at least V has sum_c gap(x_c) + sum_i p_i slack_i <= D(p) - V. That leaves few items of each class,
and few partial sums as classes are added one by one; dominance prunes the rest. V need not be known: if anything
feasible lies within a margin below D(p), the best of that is the optimum, so margins are tried from small to great.
It is exact for any p, and short for p near the minimum of D (with one limit: the slope of the concave envelope there).
(Sinha and Zoltners 1979; Pisinger 1995, "A minimal algorithm for the multiple-choice knapsack problem".)

Values and weights are integers below 2^53: sums are exact, and ties are real ties. Among the plans of greatest value
the one of least first weight is taken, then of least second weight, then the first met.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import prod

import numpy as np

from legodnn.runtime.frontier import Floats, Indices, Ints
from legodnn.runtime.pricing import Items, one_price, padded, two_prices
from legodnn.runtime.sums import AT_ONCE, best_sums

# Where not all that is within the difference between bound and best known plan can be added up at once, margins grow
# from the parts of it for which it can, by so much each time: the work grows so fast with the margin that a small step,
# at the worst in vain, is cheaper than one too great.
_STEP = 1.5
_PARTS = tuple(_STEP**-k for k in range(16, -1, -1))


def solve(values: Sequence[Ints], weights: Sequence[Sequence[Ints]], limits: Sequence[int]) -> list[int] | None:
    """The optimal item of each class, or None if nothing fits.

    Args:
        values: for each class its items' values, (n_c,).
        weights: for each of one or two limits, for each class, its items' weights, (n_c,), none negative; the items
            of a class in ascending order of the first weight.
        limits: the greatest total of each weight.
    """
    richest = [int(v.argmax()) for v in values]  # the first of the greatest: least first weight
    if len(limits) == 1 and _total(weights[0], richest) <= limits[0]:
        return richest
    relaxed = _relaxed(values, weights, limits)
    if relaxed is None:
        return None
    items, prices, feasible = relaxed
    return _within_margins(items, values, weights, limits, prices, _improved(items, feasible))


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
    found = _least(weights[1], weights[0], limits[0])
    if found is None or _total(weights[1], found) > limits[1]:
        return None
    return items, *two_prices(items, np.array(found))


def least(costs: Sequence[Ints], weights: Sequence[Ints], limit: int) -> int | None:
    """The least total cost of one item of each class whose total weight is within a limit; None if nothing fits."""
    chosen = _least(costs, weights, limit)
    return None if chosen is None else _total(costs, chosen)


def _least(costs: Sequence[Ints], weights: Sequence[Ints], limit: int) -> list[int] | None:
    kept = [_descending(c, w) for c, w in zip(costs, weights, strict=True)]
    values = [-c[k] for c, k in zip(costs, kept, strict=True)]
    chosen = solve(values, [[w[k] for w, k in zip(weights, kept, strict=True)]], [limit])
    return None if chosen is None else [int(k[i]) for k, i in zip(kept, chosen, strict=True)]


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


def _within_margins(
    items: Items,
    values: Sequence[Ints],
    weights: Sequence[Sequence[Ints]],
    limits: Sequence[int],
    prices: Sequence[float],
    feasible: Indices,
) -> list[int]:
    """The optimum, given prices and a feasible plan."""
    reduced = items.reduced(prices)
    top = reduced.max(axis=1)
    gaps = top[:, None] - reduced
    bound = float(top.sum()) + sum(p * limit for p, limit in zip(prices, limits, strict=True))
    rounding = items.rounding(prices)
    widest = bound - items.totals(feasible)[0] + rounding
    margin = widest
    if _combinations(gaps, widest) > AT_ONCE:
        affordable = bisect_right(_PARTS, AT_ONCE, key=lambda part: _combinations(gaps, widest * part))
        margin = widest * _PARTS[max(0, affordable - 1)]
    while True:
        kept = [np.flatnonzero(g <= margin) for g in gaps]
        chosen = best_sums(
            [v[k] for v, k in zip(values, kept, strict=True)],
            [[w[k] for w, k in zip(ws, kept, strict=True)] for ws in weights],
            [g[k] for g, k in zip(gaps, kept, strict=True)],
            limits,
            prices,
            margin,
        )
        if chosen is not None:
            answer = [int(k[i]) for k, i in zip(kept, chosen, strict=True)]
            found = bound - _total(values, answer) + rounding
            if margin >= min(found, widest):
                return answer
            widest = min(widest, found)
        elif margin >= widest:
            raise AssertionError("the widest margin holds the feasible plan")
        margin = min(widest, margin * _STEP)


def _combinations(gaps: Floats, margin: float) -> int:
    """How many choices have no single gap beyond the margin."""
    return prod((gaps <= margin).sum(axis=1).tolist())
