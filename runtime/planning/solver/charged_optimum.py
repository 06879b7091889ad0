"""The optimal plan when leaving the running plan is charged: the candidates of all models, and the best plan of them.

`charged_search` finds, for one model at a time, the compositions that can be part of a plan worth a given value at
given prices. This module sees all models: it finds that value and the prices, and chooses among the compositions by a
knapsack.

A charge adds to the value of a composition a sum over blocks that depends on what runs. The frontier of (memory,
latency, loss) then no longer holds every composition that may be optimal: one that keeps more blocks as they are may be
dominated in all three. So the search goes back to the blocks, with bounds:

1.  The points of the frontiers, with their charges, give a plan worth V, and prices p of memory and compute.
2.  At any prices p a composition x has the reduced value  r(x) = v(x) - charge(x) - p . w(x).  With U_k(p) an upper
    bound of r for model k, a plan that holds x is worth at most  r(x) + sum_{k other} U_k(p) + p . W.
3.  Compositions are put together block by block; a partial one is dropped if even its best completion makes no plan
    worth V. Those that are left are candidates. The knapsack over them gives a better plan, so a greater V, and the
    next search keeps more partial compositions at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from legodnn.arrays import Ints
from legodnn.runtime.planning.solver import knapsack
from legodnn.runtime.planning.solver.candidates import Candidates, with_present
from legodnn.runtime.planning.solver.charged_search import ChargedSearch
from legodnn.runtime.planning.solver.composition_bounds import Prices
from legodnn.runtime.planning.solver.composition_sums import charge_of
from legodnn.runtime.planning.solver.deadline import BeamWidths, Deadline
from legodnn.runtime.planning.solver.dominance import undominated
from legodnn.runtime.planning.solver.instance import Instance, Limits
from legodnn.runtime.planning.solver.knapsack import Answer

# The factors of the prices at which compositions are bounded as well: to one model, memory and compute may be worth
# more or less than the prices that suit all models together.
_OTHER_PRICES = (0.5, 2.0)


@dataclass(frozen=True)
class _Best:
    """The best plan so far: its candidates' indices, and the candidates of each model that these count in."""

    classes: Sequence[Candidates]
    answer: Answer

    def or_of(self, classes: Sequence[Candidates], answer: Answer | None) -> _Best:
        """Return the plan of an answer to other classes if it is no worse, else this one."""
        return self if answer is None or answer.value < self.answer.value else _Best(classes, answer)


@dataclass(frozen=True)
class _PlanBound:
    """An upper bound of what any plan is worth, made at some prices.

    Attributes:
        prices: of a byte of memory, and of a billionth of a core.
        tops: by model, an upper bound of its reduced values, U_k(p).
        total: no plan is worth more.
    """

    prices: tuple[float, float]
    tops: Sequence[float]
    total: float

    def with_model(self, m: int) -> Prices:
        """Return the prices, with what a plan is worth at most besides the reduced value of model `m`."""
        return Prices(self.prices, self.total - self.tops[m])


def charged_answer(
    instance: Instance, limits: Limits, classes: Sequence[Candidates], caps: Sequence[int], deadline: Deadline
) -> tuple[Sequence[Candidates], Answer] | None:
    """Return candidates, with their values after the charge, and the best plan of them; None if nothing fits.

    Args:
        instance: the problem, with what runs.
        limits: the limits of the moment.
        classes: by model, all candidates on its frontier; none is empty.
        caps: the limit of memory, and that of compute if there is one.
        deadline: when to stop improving.
    """
    known = [_charged(instance, m, c) for m, c in enumerate(classes)]
    if best_of_classes(known, caps, deadline) is None:
        return None
    least = [int(c.memory.min()) for c in classes]
    spare = caps[0] - sum(least)
    searches = [ChargedSearch(instance, limits, m, own + spare) for m, own in enumerate(least)]
    known = [_merged(c, search.around(), caps) for c, search in zip(known, searches, strict=True)]
    answer = best_of_classes(known, caps, deadline)
    assert answer is not None, "with more candidates there is still a plan"
    best, bound = _Best(known, answer), math.inf
    complete: dict[int, Candidates] = {}  # of models whose search left nothing out that can be part of a better plan
    widths = BeamWidths(deadline)
    while len(complete) < len(known) and (width := widths.next()) is not None:
        prices, rounding = _common_prices(known, caps)
        searches = [replace(search, rounding=rounding) for search in searches]
        # What is worth most at these prices. Bounds that nothing known reaches come closer, and candidates are found.
        tops = _tops(known, searches, prices)
        closer = [_closer(*each, prices, caps, width, deadline) for each in zip(known, tops, searches, strict=True)]
        known, tops = [found for found, _ in closer], [top for _, top in closer]
        best = best.or_of(known, best_of_classes(known, caps, deadline))
        bounds = [_plan_bound(prices, tops, caps, rounding)]
        for factor in _OTHER_PRICES if any(prices) else ():
            others = (factor * prices[0], factor * prices[1])
            bounds.append(_plan_bound(others, _tops(known, searches, others), caps, rounding))
        bound = min(bound, *(b.total for b in bounds))
        # What can be part of a better plan than the best one so far. `lost` bounds the plans with what was left out.
        better, lost = list(known), -math.inf
        for m, search in enumerate(searches):
            if m not in complete:
                rests = [b.with_model(m) for b in bounds]
                found, left = search.compositions(rests, best.answer.value, width, deadline)
                better[m], lost = _merged(known[m], found, caps), max(lost, left)
                if left < best.answer.value:
                    complete[m] = with_present(instance, limits, m, found)
        better = [complete.get(m, c) for m, c in enumerate(better)]
        answer = best_of_classes(better, caps, deadline)
        if answer is not None:
            bound = min(bound, max(answer.bound, lost))
            best = best.or_of(better, answer)
    if bound == math.inf:  # there was no time for a search, but a bound there has to be
        prices, rounding = _common_prices(known, caps)
        searches = [replace(search, rounding=rounding) for search in searches]
        bound = _plan_bound(prices, _tops(known, searches, prices), caps, rounding).total
    return best.classes, replace(best.answer, bound=max(bound, best.answer.value))


def _common_prices(known: Sequence[Candidates], caps: Sequence[int]) -> tuple[tuple[float, float], float]:
    """Prices of memory and compute that suit all models, and the rounding of reduced values at all prices."""
    prices, rounding = knapsack.prices([c.value for c in known], _weights(known, caps), caps)
    return (prices[0], prices[1] if len(prices) > 1 else 0.0), rounding * _OTHER_PRICES[-1]


def _tops(known: Sequence[Candidates], searches: Sequence[ChargedSearch], prices: tuple[float, float]) -> list[float]:
    """By model, an upper bound of its reduced values; quick, and not tight."""
    return [max(_highest(c, prices), s.highest(prices)) for c, s in zip(known, searches, strict=True)]


def _closer(
    known: Candidates,
    top: float,
    search: ChargedSearch,
    prices: tuple[float, float],
    caps: Sequence[int],
    width: int,
    deadline: Deadline,
) -> tuple[Candidates, float]:
    """The candidates of a model with those of the greatest reduced value, and an upper bound closer to that value."""
    most = _highest(known, prices)
    if top <= most + search.rounding:
        return known, top
    found, left = search.compositions([Prices(prices)], most, width, deadline)
    known = _merged(known, found, caps)
    return known, min(top, max(left, _highest(known, prices) + search.rounding))


def _plan_bound(prices: tuple[float, float], tops: Sequence[float], caps: Sequence[int], rounding: float) -> _PlanBound:
    """The bound at some prices, given for each model an upper bound of its reduced values."""
    limits = sum(price * cap for price, cap in zip(prices, caps, strict=False))
    return _PlanBound(prices, tops, sum(tops) + limits + rounding)


def best_of_classes(classes: Sequence[Candidates], caps: Sequence[int], deadline: Deadline) -> Answer | None:
    """Return the best choice of one candidate from each class within `caps`: of memory, and of compute if given."""
    return knapsack.solve([c.value for c in classes], _weights(classes, caps), caps, deadline)


def _weights(classes: Sequence[Candidates], caps: Sequence[int]) -> list[list[Ints]]:
    return [[c.memory for c in classes], [c.cores for c in classes]][: len(caps)]


def _highest(candidates: Candidates, prices: tuple[float, float]) -> float:
    """The greatest reduced value of some candidates."""
    return float((candidates.value - prices[0] * candidates.memory - prices[1] * candidates.cores).max())


def _charged(instance: Instance, m: int, found: Candidates) -> Candidates:
    """The candidates of a model, with their values after the charge."""
    model, now = instance.models[m], instance.running[m]
    value: Ints = found.value.copy()
    moves = found.source >= 0
    points = found.source[moves]
    value[moves] -= charge_of(model, now, found.origin.choice[points], found.origin.mode[points])
    return replace(found, value=value)


def _merged(some: Candidates, more: Candidates, caps: Sequence[int]) -> Candidates:
    """The candidates of both that are not dominated, by ascending memory."""
    value, memory, cores = (np.concatenate([getattr(c, k) for c in (some, more)]) for k in ("value", "memory", "cores"))
    source = np.concatenate([some.source, more.source + len(some.origin)])
    kept = undominated(value, [memory, cores][: len(caps)])
    return Candidates(value[kept], memory[kept], cores[kept], source[kept], some.origin.beside(more.origin))
