"""Candidates when leaving the running plan is charged.

A charge adds, to what a composition is worth, a sum over blocks that depends on what runs; the frontier of (memory,
latency, loss) then no longer holds every composition that may be optimal: one that keeps more blocks as they are may be
dominated in all three. So the search goes back to the blocks, with bounds:

1.  The frontier's points, charged as they must be, give a plan worth V and prices p of memory and compute.
2.  At any prices p a composition x has the reduced value  r(x) = v(x) - charge(x) - p . w(x). With U_k(p) no less than
    the greatest r of model k, a plan with x in it is worth at most  r(x) + sum_{k other} U_k(p) + p . W.
3.  Compositions are put together block by block (`charged`); a partial one is dropped when even its best completion
    makes no plan worth V. Those that are left are candidates: the knapsack over them gives a better plan, so a greater
    V, and the next search may look at more at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from legodnn.arrays import Ints
from legodnn.runtime.planning.solver import knapsack
from legodnn.runtime.planning.solver.candidates import Candidates, Instance, with_present
from legodnn.runtime.planning.solver.charged_search import Prices, Search
from legodnn.runtime.planning.solver.deadline import Clock, Widening
from legodnn.runtime.planning.solver.instance import Limits, charge_of
from legodnn.runtime.planning.solver.knapsack import Answer
from legodnn.runtime.planning.solver.partial_sums import undominated

# What memory and compute are worth to a model may be more or less than what suits all models together.
_OTHER_PRICES = (0.5, 2.0)


def charged_answer(
    instance: Instance, limits: Limits, classes: Sequence[Candidates], caps: Sequence[int], clock: Clock
) -> tuple[list[Candidates], Answer] | None:
    """Candidates, worth what they are after the charge, and the best plan of theirs; None if nothing fits.

    Args:
        instance: as for `optimum`.
        limits: as for `optimum`.
        classes: all candidates on the models' frontiers, none of them empty.
        caps: the limit of memory, and that of compute if there is one.
        clock: when to stop improving.
    """
    known = [_charged(instance, m, c) for m, c in enumerate(classes)]
    if _solve(known, caps, clock) is None:
        return None
    spare = caps[0] - sum(int(c.memory.min()) for c in classes)
    rooms = [spare + int(c.memory.min()) for c in classes]
    for m, room in enumerate(rooms):
        known[m] = _together(known[m], Search(instance, limits, m).around(room), caps)
    best = _solve(known, caps, clock)
    assert best is not None, "more candidates hold the limits that fewer hold"
    chosen, bound, looked_at = list(known), math.inf, False
    whole: dict[int, Candidates] = {}
    widening = Widening(clock)
    while len(whole) < len(known) and ((width := widening.next()) is not None or not looked_at):
        looked_at = True
        prices, rounding = knapsack.prices([c.value for c in known], _weights(known, caps), caps)
        suiting = (prices[0], prices[1] if len(prices) > 1 else 0.0)
        rounding *= _OTHER_PRICES[-1]
        searches = [Search(instance, limits, m, rounding) for m in range(len(known))]
        # The greatest reduced values, and what is found on the way to them.
        tops = {suiting: [max(_most(c, suiting), s.highest(suiting)) for c, s in zip(known, searches, strict=True)]}
        if width is None:
            bound = _bound(suiting, tops[suiting], caps) + rounding
            break
        for m, search in enumerate(searches):
            most = _most(known[m], suiting)
            if tops[suiting][m] > most + rounding:
                found, left = search.compositions([Prices(suiting)], most, rooms[m], width, clock)
                known[m] = _together(known[m], found, caps)
                tops[suiting][m] = min(tops[suiting][m], max(left, _most(known[m], suiting) + rounding))
        better = _solve(known, caps, clock)
        if better is not None and better.value >= best.value:
            chosen, best = list(known), better
        for factor in _OTHER_PRICES if any(suiting) else ():
            at = (factor * suiting[0], factor * suiting[1])
            tops[at] = [max(_most(c, at), s.highest(at)) for c, s in zip(known, searches, strict=True)]
        totals = {at: _bound(at, each, caps) + rounding for at, each in tops.items()}
        bound = min(bound, *totals.values())
        # All that can be part of a better plan.
        lost, more = -math.inf, list(known)
        for m, search in enumerate(searches):
            if m not in whole:
                rests = [Prices(at, totals[at] - each[m]) for at, each in tops.items()]
                found, left = search.compositions(rests, best.value, rooms[m], width, clock)
                more[m] = _together(known[m], found, caps)
                lost = max(lost, left)
                if left < best.value:
                    whole[m] = with_present(instance, limits, m, found)
            more[m] = whole.get(m, more[m])
        answer = _solve(more, caps, clock)
        if answer is not None:
            bound = min(bound, max(answer.bound, lost))
            if answer.value >= best.value:
                chosen, best = more, answer
    return chosen, replace(best, bound=max(bound, best.value))


def _solve(classes: Sequence[Candidates], caps: Sequence[int], clock: Clock) -> Answer | None:
    return knapsack.solve([c.value for c in classes], _weights(classes, caps), caps, clock)


def _weights(classes: Sequence[Candidates], caps: Sequence[int]) -> list[list[Ints]]:
    return [[c.memory for c in classes], [c.cores for c in classes]][: len(caps)]


def _bound(prices: Sequence[float], tops: Sequence[float], caps: Sequence[int]) -> float:
    """What a plan is worth at most, given each model's greatest reduced value."""
    return sum(tops) + sum(price * cap for price, cap in zip(prices, caps, strict=False))


def _most(candidates: Candidates, prices: tuple[float, float]) -> float:
    """The greatest reduced value of some candidates."""
    return float((candidates.value - prices[0] * candidates.memory - prices[1] * candidates.cores).max())


def _charged(instance: Instance, m: int, found: Candidates) -> Candidates:
    """A model's candidates, worth what they are after the charge."""
    model, now = instance.models[m], instance.running[m]
    value: Ints = found.value.copy()
    moves = found.source >= 0
    points = found.source[moves]
    value[moves] -= charge_of(model, now, found.origin.choice[points], found.origin.threads[points])
    return replace(found, value=value)


def _together(some: Candidates, more: Candidates, caps: Sequence[int]) -> Candidates:
    """What is worth having of both, by ascending memory."""
    value, memory, cores = (np.concatenate([getattr(c, k) for c in (some, more)]) for k in ("value", "memory", "cores"))
    source = np.concatenate([some.source, more.source + len(some.origin)])
    kept = undominated(value, [memory, cores][: len(caps)])
    return Candidates(value[kept], memory[kept], cores[kept], source[kept], some.origin.beside(more.origin))
