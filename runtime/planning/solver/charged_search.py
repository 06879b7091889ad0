"""The search for the compositions of one model that can be part of a plan worth a given value, charge included.

A plan with composition x is worth at most  r(x) + rest  at any prices p of memory and compute, where the reduced value
is  r(x) = v(x) - charge(x) - p . w(x),  and `rest` what limits and other models add. Compositions are put together
block by block. A partial one is dropped when even its best completion is not worth enough; that is known from bounds
(`ceilings`), each for a line above the link and a price of latency. No more than `width` partial compositions go on to
the next block, those of the greatest bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from legodnn.arrays import Floats, Indices, Ints
from legodnn.runtime.planning.solver.candidates import Candidates, Instance
from legodnn.runtime.planning.solver.ceilings import Bound, bound_of, lines_above
from legodnn.runtime.planning.solver.deadline import Clock
from legodnn.runtime.planning.solver.frontier import NEVER, Frontier, OptionIndices, interacts
from legodnn.runtime.planning.solver.instance import CompiledModel, Limits, latency_limit
from legodnn.runtime.planning.solver.lagrangian import ROUNDING_OF_PRICED

# Lines above the link that are used as bounds at the same prices: those that bound best.
_MOST_LINES = 2
# What latency is worth may be less to a partial composition than to the whole.
_SHARES = (1.0, 0.0)
# So few partial compositions are not compared; and with so many, the most promising, the others are.
_FEW, _COMPARED = 128, 256
# Where all blocks together have more options, two of them are not changed at a time.
_MOST_CHANGED = 200
# Pairs of a partial composition and an option that are looked at, at most.
_PAIRS = 1 << 18


@dataclass(frozen=True)
class Prices:
    """Prices of memory and compute, and what limits and other models add to a model's reduced value."""

    each: tuple[float, float]
    rest: float = 0.0


@dataclass(frozen=True)
class _Found:
    """Compositions at one thread count: choices (found, blocks), and sums (4, found): memory, latency, loss, charge."""

    threads: int
    choice: OptionIndices
    sums: Ints


@dataclass(frozen=True)
class Search:
    """The search among the compositions of model `m`; `rounding` is what reduced values may be off by."""

    instance: Instance
    limits: Limits
    m: int
    rounding: float = 0.0

    @property
    def model(self) -> CompiledModel:
        """The model, compiled."""
        return self.instance.models[self.m]

    def highest(self, prices: tuple[float, float]) -> float:
        """No less than the greatest reduced value, quickly."""
        tops = [
            min((b.top for b in self._bounds(n, Prices(prices))), default=-np.inf)
            for n in self.model.table.thread_counts
        ]
        return max(tops) + self._slack

    @property
    def _slack(self) -> float:
        return self.model.scale.step + self.rounding

    def compositions(
        self, prices: Sequence[Prices], floor: float, room: int, width: int, clock: Clock
    ) -> tuple[Candidates, float]:
        """Compositions within the model's own limits and `room` of memory that may be in a plan worth `floor`.

        Returns:
            Those found, by ascending memory, then descending value, with their values after the charge; and what a plan
            with one that was not looked at may be worth, minus infinity if there is none.
        """
        if clock.over():
            return self._candidates([self._none(n) for n in self.model.rows], room), np.inf
        parts, lost = [], -np.inf
        for threads in self.model.table.thread_counts:
            part, left = self._search(threads, prices, floor - self._slack, room, width, clock)
            parts.append(part)
            lost = max(lost, left + self._slack)
        return self._candidates(parts, room), lost

    def around(self, room: int) -> Candidates:
        """What runs, and that with an option or two changed, as far as it is within the model's limits and `room`."""
        model, now = self.model, self.instance.running[self.m]
        if now is None:
            return self._candidates([self._none(n) for n in model.rows], room)
        counts = [len(load) for load in model.loads]
        changes: list[tuple[int, ...]] = [(b,) for b in range(len(counts))]
        if sum(counts) <= _MOST_CHANGED:
            changes += combinations(range(len(counts)), 2)
        parts = [np.array([now.choice], dtype=np.uint16)]
        for changed in changes:
            options = np.indices([counts[b] for b in changed]).reshape(len(changed), -1)
            part = np.repeat(parts[0], options.shape[1], axis=0)
            part[:, changed] = options.T
            parts.append(part)
        choice = np.concatenate(parts)
        charges, fixed = self._charges(now.threads)
        memory, latency = model.fixed[now.threads]
        sums = np.repeat([[memory], [latency], [0], [fixed]], len(choice), axis=1)
        last = np.zeros(len(choice), dtype=np.intp)
        for b, (row, charge) in enumerate(zip(model.rows[now.threads], charges, strict=True)):
            option = choice[:, b].astype(np.intp)
            sums += np.stack([row.memory[option], row.latency[option], row.loss[last, option], charge[option]])
            last = option
        return self._candidates([_Found(now.threads, choice, sums)], room)

    def _none(self, threads: int) -> _Found:
        return _Found(threads, np.zeros((0, len(self.model.loads)), np.uint16), np.zeros((4, 0), np.int64))

    def _candidates(self, parts: Sequence[_Found], room: int) -> Candidates:
        """Compositions within the model's own limits and some memory, by ascending memory, then descending value."""
        model, slowdown, least = self.model, self.instance.slowdown[self.m], self.limits.accuracy[self.m]
        memory, latency, loss, charge = np.concatenate([p.sums for p in parts], axis=1)
        threads = np.repeat([p.threads for p in parts], [len(p.choice) for p in parts])
        accuracy = model.accuracy(loss)
        kept = (memory <= room) & (latency <= latency_limit(self.limits.latency[self.m], slowdown))
        if least is not None:
            kept &= accuracy >= least
        choice = np.concatenate([p.choice for p in parts])[kept]
        points = Frontier(memory[kept], latency[kept], accuracy[kept], threads[kept], choice)
        value = model.values(points.accuracy) - charge[kept]
        cores = model.cores(points.latency, points.threads, slowdown)
        order = np.lexsort((-value, points.memory))
        return Candidates(value[order], points.memory[order], cores[order], order, points)

    def _search(
        self, threads: int, prices: Sequence[Prices], floor: float, room: int, width: int, clock: Clock
    ) -> tuple[_Found, float]:
        """The compositions at one thread count that no bound puts below the floor; and the bound of what is lost."""
        model, rows = self.model, self.model.rows[threads]
        limit = latency_limit(self.limits.latency[self.m], self.instance.slowdown[self.m])
        least = self.limits.accuracy[self.m]
        charges, fixed = self._charges(threads)
        memory, latency = model.fixed[threads]
        rest = [[int(r.memory.min()), int(r.latency.min()), int(r.loss.min())] for r in rows]
        left = np.array([*rest, [0, 0, 0]]).sum(axis=0)
        bounds = [b for p in prices for b in self._bounds(threads, p)]
        if memory + left[0] > room or min((b.top for b in bounds), default=-np.inf) < floor:
            return self._none(threads), -np.inf
        each = np.array([[b.top] for b in bounds])
        sums = np.array([[memory], [latency], [0], [fixed]])
        choice = np.zeros((1, 0), dtype=np.uint16)
        last = np.zeros(1, dtype=np.intp)
        lost = -np.inf
        for i, row in enumerate(rows):
            if clock.over():
                return self._none(threads), max(lost, float(each.min(axis=0).max(initial=-np.inf)))
            left = left - rest[i]
            drops = [b.drops[i] for b in bounds]
            kept, best = _promising(each, drops, last, floor)
            parent, option = np.divmod(kept, len(row.latency))
            added = [row.memory[option], row.latency[option], row.loss[last[parent], option], charges[i][option]]
            longer = sums[:, parent] + np.stack(added)
            possible = (longer[0] <= room - left[0]) & (longer[1] <= limit - left[1])
            if least is not None:
                possible &= model.accuracy(longer[2] + left[2]) >= least
            at = np.flatnonzero(possible)
            if len(at) > _FEW and i + 1 < len(rows):
                most = min(width, 1 + _PAIRS // len(rows[i + 1].latency))
                ranked = at[np.argsort(-best[at], kind="stable")]
                lost = max(lost, float(best[ranked[2 * most :]].max(initial=-np.inf)))
                ranked = ranked[: 2 * most]
                ends = option[ranked] if interacts(rows[i + 1].loss) else None
                ranked = ranked[~_dominated(longer[:, ranked], ends)]
                lost = max(lost, float(best[ranked[most:]].max(initial=-np.inf)))
                at = np.sort(ranked[:most])
            parent, option = parent[at], option[at]
            each = np.stack([b[parent] - drop[last[parent], option] for b, drop in zip(each, drops, strict=True)])
            sums, last = longer[:, at], option
            choice = np.concatenate([choice[parent], option[:, None].astype(np.uint16)], axis=1)
        return _Found(threads, choice, sums), lost

    def _charges(self, threads: int) -> tuple[list[Ints], int]:
        """What each block's options are charged at one thread count, and the fixed segments."""
        model, now = self.model, self.instance.running[self.m]
        if now is None or now.threads != threads:
            return list(model.loads), model.fixed_load
        charges = [load.copy() for load in model.loads]
        for charge, option in zip(charges, now.choice, strict=True):
            charge[option] = 0
        return charges, 0

    def _bounds(self, threads: int, prices: Prices) -> list[Bound]:
        """Bounds of what a plan with a composition at one thread count is worth, at given prices; none if all are too
        slow."""
        model = self.model
        rows = model.rows[threads]
        limit = latency_limit(self.limits.latency[self.m], self.instance.slowdown[self.m])
        memory, latency = model.fixed[threads]
        if latency + sum(int(r.latency.min()) for r in rows) > limit:
            return []
        rate = (model.table.rate_hz or 0.0) * float(self.instance.slowdown[self.m])
        of_memory, per_ns = prices.each[0], prices.each[1] * rate * threads
        constant = prices.rest - of_memory * memory - per_ns * latency
        charges, fixed = self._charges(threads)
        constant -= fixed
        costs = [
            charge + of_memory * row.memory + per_ns * row.latency for row, charge in zip(rows, charges, strict=True)
        ]
        off = ROUNDING_OF_PRICED * (abs(constant) + sum(float(c.max()) for c in costs))
        bounds = []
        for share in _SHARES if limit < NEVER - 1 else (1.0,):
            found = [bound_of(line, rows, costs, limit - latency, share) for line in lines_above(model, rows)]
            bounds += sorted(found, key=lambda b: b.top)[:_MOST_LINES]
        return [Bound(b.top + constant + off, b.drops) for b in bounds]


def _promising(each: Floats, drops: Sequence[Floats], last: Indices, floor: float) -> tuple[Indices, Floats]:
    """Which pairs (partial composition x options + option) no bound puts below the floor; the least of their bounds.

    Args:
        each: (bounds, n) the bounds before the option.
        drops: for each bound, what an option costs, (options before, options).
        last: (n,) the options before.
        floor: what bounds must reach.
    """
    options = drops[0].shape[1]
    kept = np.arange(each.shape[1] * options)
    best = np.full(len(kept), np.inf)
    for bound, drop in zip(each, drops, strict=True):
        parent, option = np.divmod(kept, options)
        best = np.minimum(best, bound[parent] - drop[last[parent], option])
        promising = best >= floor
        kept, best = kept[promising], best[promising]
    return kept, best


def _dominated(sums: Ints, ends: Indices | None) -> npt.NDArray[np.bool_]:
    """Which partial compositions one of the first (`_COMPARED`) undercuts in all sums.

    Both of them must end in the same option, if `ends` are given.
    """
    head = min(_COMPARED, sums.shape[1])
    found = np.tri(sums.shape[1], head, -1, dtype=np.bool_)
    for row in sums if ends is None else (*sums, ends, -ends):
        found &= row[:, None] >= row[:head]
    return np.asarray(found.any(axis=1))
