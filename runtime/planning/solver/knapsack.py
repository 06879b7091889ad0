"""The multiple-choice knapsack, solved exactly: one item of each class, of the greatest total value within limits.

    maximise  sum_c v(x_c)    subject to  sum_c w_i(x_c) <= W_i,  i = 1 .. d,    x_c one item of class c

For prices p_i >= 0 the relaxation  D(p) = sum_c max_x r(x) + sum_i p_i W_i,  where  r = v - sum_i p_i w_i,  is an upper
bound of the optimum, and the value of any x is exactly

    D(p) - sum_c gap(x_c) - sum_i p_i slack_i(x),        gap(x_c) = max_y r(y) - r(x_c) >= 0.

So every x of value V or more has  sum_c gap(x_c) + sum_i p_i slack_i <= D(p) - V.  That leaves few items of each class,
and few partial sums when classes are added one by one (`partial_sums`); bounds and dominance prune the rest. V need not
be known: if any feasible x has a value within a margin below D(p), the best one of these is the optimum. So margins are
tried from small to great. The method is exact for any p, and short for p near the minimum of D (with one limit: the
slope of the concave envelope). (Sinha and Zoltners 1979; Pisinger 1995, "A minimal algorithm for the multiple-choice
knapsack problem".)

If too many sums lie within a margin, a beam search follows: each sum gets a bound of its own (`tangents`), and only the
sums of the greatest bounds go on from class to class. Each search is wider than the one before. The best choice and
the bound of what was left out come closer each time, until they meet, or until time or memory is used up.

Values and weights are whole numbers below 2^53: sums are exact, and ties are real ties. Among the choices of the
greatest value, the one of least first weight is taken, then of least second weight, then the one found first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from legodnn.arrays import Indices, Ints
from legodnn.errors import WorkloadError
from legodnn.runtime.planning.solver.deadline import NO_DEADLINE, BeamWidths, Deadline
from legodnn.runtime.planning.solver.lagrangian import Items, one_price, padded, two_prices
from legodnn.runtime.planning.solver.local_search import changed_one_by_one, changed_two_by_two
from legodnn.runtime.planning.solver.partial_sums import AT_ONCE, KnapsackProblem, best_sums
from legodnn.runtime.planning.solver.tangents import Tangents

# The factor by which margins grow. Work grows so fast with the margin that a small step, which may have been in vain,
# costs less than a step that is too great.
_STEP = 1.5
# If more sums than this go on from class to class, finding better bounds for them pays.
_FEW = 2048
# The fractions of the widest margin that the first margin is chosen from.
_FRACTIONS = tuple(_STEP**-k for k in range(16, -1, -1))


@dataclass(frozen=True)
class Answer:
    """A feasible choice, and how good it is.

    Attributes:
        chosen: the index of an item of each class.
        value: their total value.
        bound: no feasible choice has a greater value than this; equal to `value` if the choice is optimal.
    """

    chosen: list[int]
    value: int
    bound: float


def solve(
    values: Sequence[Ints],
    weights: Sequence[Sequence[Ints]],
    limits: Sequence[int],
    deadline: Deadline = NO_DEADLINE,
    enough: int | None = None,
) -> Answer | None:
    """Return the optimal choice, or the best that is found in time; None if no choice is within the limits.

    Args:
        values: for each class its items' values, (n_c,).
        weights: for each of one or two limits, for each class, its items' weights, (n_c,), none negative; the items
            of a class in ascending order of the first weight.
        limits: the greatest total of each weight.
        deadline: when to stop improving. Whether anything is within the limits is found out in any case.
        enough: a value that is as good as the greatest: the search ends once a choice reaches it, or none can; None
            to find the greatest.

    Raises:
        WorkloadError: see `within`.
    """
    richest = [int(v.argmax()) for v in values]  # the first of the greatest values, which has the least first weight
    if len(limits) == 1 and _total(weights[0], richest) <= limits[0]:
        value = _total(values, richest)
        return Answer(richest, value, value)
    relaxed = _relaxed(values, weights, limits)
    if relaxed is None:
        return None
    items, prices, feasible = relaxed
    rounding = items.rounding(prices)
    problem = _priced(items, values, weights, limits, prices, rounding)
    found = _answer(problem, changed_one_by_one(items, feasible).tolist())
    if not _is_enough(found, enough):
        found = _by_margins(problem, found, deadline)
    if not _is_enough(found, enough):
        found = _by_beams(problem, found, Tangents.of(values, weights, limits, prices, rounding), deadline, enough)
    return found


def prices(
    values: Sequence[Ints], weights: Sequence[Sequence[Ints]], limits: Sequence[int]
) -> tuple[tuple[float, ...], float]:
    """Return prices of the limits at (about) the minimum of D, and the greatest rounding error of sums at these prices.

    The arguments are those of `solve`, and something must be within the limits.
    """
    relaxed = _relaxed(values, weights, limits)
    if relaxed is None:
        raise ValueError("nothing fits")
    return relaxed[1], relaxed[0].rounding(relaxed[1])


def _relaxed(
    values: Sequence[Ints], weights: Sequence[Sequence[Ints]], limits: Sequence[int]
) -> tuple[Items, tuple[float, ...], Indices] | None:
    """The padded problem, prices of its limits, and a feasible choice; None if nothing is within the limits."""
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
    """Return one item of each class, of a total cost and a total weight within limits; None if no choice is.

    Args:
        costs: for each class its items' costs, (n_c,).
        weights: for each class its items' weights, (n_c,).
        most: the greatest total cost.
        limit: the greatest total weight.

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
    """Return the least total cost of one item of each class whose total weight is within a limit; None if none is."""
    found = _least(costs, weights, limit, None)
    return None if found is None else -found.value


def _least(costs: Sequence[Ints], weights: Sequence[Ints], limit: int, enough: int | None) -> Answer | None:
    """The choice of least total cost within a limit of weight. Its value is the negative cost, and so is `enough`."""
    kept = [_falling(c, w) for c, w in zip(costs, weights, strict=True)]
    values = [-c[k] for c, k in zip(costs, kept, strict=True)]
    found = solve(values, [[w[k] for w, k in zip(weights, kept, strict=True)]], [limit], NO_DEADLINE, enough)
    return found and replace(found, chosen=[int(k[i]) for k, i in zip(kept, found.chosen, strict=True)])


def _falling(cost: Ints, weight: Ints) -> Indices:
    """Indices by ascending weight of the items that cost less than all before them."""
    order = np.argsort(weight, kind="stable")  # quick where weights ascend already
    in_order = cost[order]
    keep = np.ones(len(order), dtype=np.bool_)
    keep[1:] = in_order[1:] < np.minimum.accumulate(in_order)[:-1]
    return order[keep]


def _total(weights: Sequence[Ints], chosen: Sequence[int] | Indices) -> int:
    return sum(int(w[i]) for w, i in zip(weights, chosen, strict=True))


def _priced(
    items: Items,
    values: Sequence[Ints],
    weights: Sequence[Sequence[Ints]],
    limits: Sequence[int],
    prices: Sequence[float],
    rounding: float,
) -> KnapsackProblem:
    """The knapsack with the gaps and the bound that prices give; the bound is greater by the rounding of sums."""
    reduced = items.reduced(prices)
    top = reduced.max(axis=1)
    gaps = [gap[: len(v)] for gap, v in zip(top[:, None] - reduced, values, strict=True)]
    bound = float(top.sum()) + sum(p * limit for p, limit in zip(prices, limits, strict=True)) + rounding
    return KnapsackProblem(values, weights, gaps, limits, prices, bound)


def _answer(problem: KnapsackProblem, chosen: list[int], bound: float | None = None) -> Answer:
    """A choice as an answer; the bound is the problem's unless a lesser one is known."""
    value = _total(problem.values, chosen)
    return Answer(chosen, value, max(value, problem.bound if bound is None else bound))


def _is_enough(found: Answer, enough: int | None) -> bool:
    """Whether a search need not go on: the choice is optimal or as good as that, or none can be as good."""
    return found.value == found.bound or (enough is not None and not found.value < enough <= found.bound)


def _best_within(
    problem: KnapsackProblem, margin: float, floor: float, width: int, tangents: Tangents | None, deadline: Deadline
) -> tuple[list[int] | None, float]:
    """What `best_sums` finds among the items whose gaps are within a margin, as indices of the problem's items."""
    kept = [np.flatnonzero(g <= margin) for g in problem.gaps]
    chosen, lost = best_sums(problem.take(kept), floor, width, tangents, deadline)
    return chosen and [int(k[i]) for k, i in zip(kept, chosen, strict=True)], lost


def _by_margins(problem: KnapsackProblem, found: Answer, deadline: Deadline) -> Answer:
    """Return the optimal choice, given a feasible one; or the best within a margin, if too many sums lie in the next.

    All choices of a value within a margin below the bound are made of items whose gaps are within it. So if the best of
    them is, it is the optimum.
    """
    margin = problem.bound - found.value
    if _combinations(problem, margin) > AT_ONCE:
        affordable = bisect_right(_FRACTIONS, AT_ONCE, key=lambda part: _combinations(problem, margin * part))
        margin *= _FRACTIONS[max(0, affordable - 1)]
    while True:
        chosen, lost = _best_within(problem, margin, problem.bound - margin, _FEW, None, deadline)
        if lost > -np.inf:
            return found
        if chosen is not None:
            found = _answer(problem, chosen)
        if margin >= problem.bound - found.value:
            assert chosen is not None, "the widest margin holds the feasible choice"
            return _answer(problem, chosen, -np.inf)
        margin = min(problem.bound - found.value, margin * _STEP)


def _by_beams(
    problem: KnapsackProblem, found: Answer, tangents: Tangents, deadline: Deadline, enough: int | None
) -> Answer:
    """Return a feasible choice made better by ever wider searches, and a bound of all others."""
    bound = found.bound
    widths = BeamWidths(deadline)
    while (width := widths.next()) is not None:
        chosen, lost = _best_within(problem, problem.bound - found.value, found.value, width, tangents, deadline)
        if chosen is not None and _total(problem.values, chosen) >= found.value:
            found = _answer(problem, chosen)
        bound = min(bound, max(found.value, lost))
        found = _answer(problem, found.chosen, bound)
        if lost < found.value or _is_enough(found, enough):
            break
        found = _answer(problem, changed_two_by_two(problem, found.chosen, deadline), bound)
    return found


def _combinations(problem: KnapsackProblem, margin: float) -> int:
    """How many choices have no single gap beyond the margin."""
    return prod(int(np.count_nonzero(gaps <= margin)) for gaps in problem.gaps)
