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
from dataclasses import replace

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


def charged_answer(
    instance: Instance, limits: Limits, classes: Sequence[Candidates], caps: Sequence[int], deadline: Deadline
) -> tuple[list[Candidates], Answer] | None:
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
    spare = caps[0] - sum(int(c.memory.min()) for c in classes)
    rooms = [spare + int(c.memory.min()) for c in classes]
    for m, room in enumerate(rooms):
        known[m] = _merged(known[m], ChargedSearch(instance, limits, m).around(room), caps)
    best = best_of_classes(known, caps, deadline)
    assert best is not None, "with more candidates there is still a plan"
    chosen, bound, searched = list(known), math.inf, False
    complete: dict[int, Candidates] = {}  # of models whose search left nothing out that can be part of a better plan
    widths = BeamWidths(deadline)
    while len(complete) < len(known) and ((width := widths.next()) is not None or not searched):
        searched = True
        prices, rounding = knapsack.prices([c.value for c in known], _weights(known, caps), caps)
        common = (prices[0], prices[1] if len(prices) > 1 else 0.0)
        rounding *= _OTHER_PRICES[-1]
        searches = [ChargedSearch(instance, limits, m, rounding) for m in range(len(known))]
        # Upper bounds of the reduced values. Where one is not reached yet, a search brings it closer, and what it finds
        # joins the candidates.
        tops = {common: [max(_highest(c, common), s.highest(common)) for c, s in zip(known, searches, strict=True)]}
        if width is None:
            bound = _bound(common, tops[common], caps) + rounding
            break
        for m, search in enumerate(searches):
            most = _highest(known[m], common)
            if tops[common][m] > most + rounding:
                found, left = search.compositions([Prices(common)], most, rooms[m], width, deadline)
                known[m] = _merged(known[m], found, caps)
                tops[common][m] = min(tops[common][m], max(left, _highest(known[m], common) + rounding))
        better = best_of_classes(known, caps, deadline)
        if better is not None and better.value >= best.value:
            chosen, best = list(known), better
        for factor in _OTHER_PRICES if any(common) else ():
            at = (factor * common[0], factor * common[1])
            tops[at] = [max(_highest(c, at), s.highest(at)) for c, s in zip(known, searches, strict=True)]
        totals = {at: _bound(at, each, caps) + rounding for at, each in tops.items()}
        bound = min(bound, *totals.values())
        # Then the compositions that can be part of a better plan than the best one so far. `lost` bounds what the plans
        # with those that were left out can be worth.
        lost, more = -math.inf, list(known)
        for m, search in enumerate(searches):
            if m not in complete:
                rests = [Prices(at, totals[at] - each[m]) for at, each in tops.items()]
                found, left = search.compositions(rests, best.value, rooms[m], width, deadline)
                more[m] = _merged(known[m], found, caps)
                lost = max(lost, left)
                if left < best.value:
                    complete[m] = with_present(instance, limits, m, found)
            more[m] = complete.get(m, more[m])
        answer = best_of_classes(more, caps, deadline)
        if answer is not None:
            bound = min(bound, max(answer.bound, lost))
            if answer.value >= best.value:
                chosen, best = more, answer
    return chosen, replace(best, bound=max(bound, best.value))


def best_of_classes(classes: Sequence[Candidates], caps: Sequence[int], deadline: Deadline) -> Answer | None:
    """Return the best choice of one candidate from each class within `caps`: of memory, and of compute if given."""
    return knapsack.solve([c.value for c in classes], _weights(classes, caps), caps, deadline)


def _weights(classes: Sequence[Candidates], caps: Sequence[int]) -> list[list[Ints]]:
    return [[c.memory for c in classes], [c.cores for c in classes]][: len(caps)]


def _bound(prices: Sequence[float], tops: Sequence[float], caps: Sequence[int]) -> float:
    """An upper bound of all plans, given for each model an upper bound of its reduced values."""
    return sum(tops) + sum(price * cap for price, cap in zip(prices, caps, strict=False))


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
