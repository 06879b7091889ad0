"""The search among the compositions of one model, for those that can be part of a plan of at least a given value.

`charged_optimum` runs such a search for each model, with prices and a value that it finds from all models together; the
knapsack over what the searches return is the plan. This module sees one model only.

A plan that holds composition x is worth at most  r(x) + rest  at any prices p of memory and compute. Here
r(x) = v(x) - charge(x) - p . w(x)  is the reduced value of x, and `rest` is what the limits and the other models add.
Compositions are put together block by block. A partial one is dropped if even its best completion is not worth enough,
which is known from bounds (`composition_bounds`). No more than `width` partial compositions go on to the next block:
those of the greatest bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from legodnn.arrays import Floats, Indices, Ints, unique_values
from legodnn.runtime.planning.solver.candidates import Candidates
from legodnn.runtime.planning.solver.compiled_model import BlockFigures, CompiledModel
from legodnn.runtime.planning.solver.composition_bounds import CompositionBound, Prices, bounds_at
from legodnn.runtime.planning.solver.composition_sums import charges_at
from legodnn.runtime.planning.solver.deadline import Deadline
from legodnn.runtime.planning.solver.frontier import Frontier, OptionIndices, interacts
from legodnn.runtime.planning.solver.instance import (
    Instance,
    Limits,
    latency_limit,
    latency_limits,
    least_accuracy,
)
from legodnn.runtime.planning.solver.modes import at_level, level_of

# No more than this many partial compositions are left as they are, without testing which are dominated.
_FEW = 128
# Dominance is tested against this many partial compositions: the most promising ones.
_COMPARED = 256
# If all blocks together have more options than this, no two of them are changed at a time.
_MOST_CHANGED = 200
# The greatest number of pairs, of a partial composition and an option, that are formed at a time.
_PAIRS = 1 << 18


@dataclass(frozen=True)
class _Found:
    """Compositions in one mode.

    Attributes:
        mode: the mode.
        choice: (found, blocks) the index of each block's option.
        sums: (4, found) memory, latency, loss and charge.
    """

    mode: int
    choice: OptionIndices
    sums: Ints


@dataclass(frozen=True)
class ChargedSearch:
    """The search among the compositions of one model, what runs and the charge for leaving it given.

    Attributes:
        instance: the problem.
        limits: the limits of the moment.
        m: the model's index.
        room: bytes that the model may take.
        rounding: the greatest rounding error of reduced values.
    """

    instance: Instance
    limits: Limits
    m: int
    room: int
    rounding: float = 0.0

    @property
    def model(self) -> CompiledModel:
        """The model, compiled."""
        return self.instance.models[self.m]

    def highest(self, prices: tuple[float, float]) -> float:
        """Return an upper bound of the reduced values at prices of memory and compute; quick, and not tight."""
        tops = [min((b.top for b in self._bounds(n, Prices(prices))), default=-np.inf) for n in self.model.rows]
        return max(tops) + self._slack

    @property
    def _slack(self) -> float:
        """What is added to bounds: the rounding of values to a step, and that of reduced values."""
        return self.model.scale.step + self.rounding

    def compositions(
        self, prices: Sequence[Prices], floor: float, width: int, deadline: Deadline
    ) -> tuple[Candidates, float]:
        """Return compositions within the model's own limits that may be part of a plan whose value reaches a floor.

        Args:
            prices: prices to bound compositions at; a composition must reach the floor at all of them.
            floor: plans of less value are of no use.
            width: how many partial compositions go on to the next block, at most.
            deadline: when to end the search.

        Returns:
            The compositions found, by ascending memory, then descending value, with their values after the charge; and
            an upper bound of the plans with a composition that was left out for lack of width or time, minus infinity
            if there are none.
        """
        if deadline.passed():
            return self._candidates([self._none(n) for n in self.model.rows]), np.inf
        parts, lost = [], -np.inf
        for mode in self.model.rows:
            part, left = self._search(mode, prices, floor - self._slack, width, deadline)
            parts.append(part)
            lost = max(lost, left + self._slack)
        return self._candidates(parts), lost

    def around(self) -> Candidates:
        """Return what runs, and that with one option or two changed, within the model's limits."""
        model, now = self.model, self.instance.running[self.m]
        if now is None:
            return self._candidates([self._none(n) for n in model.rows])
        rows = model.rows[now.mode]
        counts = [len(row.options) for row in rows]
        changes: list[tuple[int, ...]] = [(b,) for b in range(len(counts))]
        if sum(counts) <= _MOST_CHANGED:
            changes += combinations(range(len(counts)), 2)
        at = [int(np.searchsorted(row.options, o)) for row, o in zip(rows, now.choice, strict=True)]
        parts = [np.array([at], dtype=np.uint16)]
        for changed in changes:
            options = np.indices([counts[b] for b in changed]).reshape(len(changed), -1)
            part = np.repeat(parts[0], options.shape[1], axis=0)
            part[:, changed] = options.T
            parts.append(part)
        choice = np.concatenate(parts)
        charges, fixed = charges_at(model, now, now.mode)
        memory, latency = model.fixed[now.mode]
        sums = np.repeat(_column(memory, latency, 0, fixed), len(choice), axis=1)
        last = np.zeros(len(choice), dtype=np.intp)
        for b, (row, charge) in enumerate(zip(rows, charges, strict=True)):
            option = choice[:, b].astype(np.intp)
            sums += np.stack([row.memory[option], row.latency[option], row.loss[last, option], charge[option]])
            last = option
        return self._candidates([_found(now.mode, choice, sums, rows)])

    @property
    def _least_accuracy(self) -> float | None:
        return least_accuracy(self.instance, self.limits, self.m)

    def _bounds(self, mode: int, prices: Prices) -> list[CompositionBound]:
        return bounds_at(self.instance, self.limits, self.m, mode, prices)

    def _none(self, mode: int) -> _Found:
        return _Found(mode, np.zeros((0, len(self.model.loads)), np.uint16), np.zeros((4, 0), np.int64))

    def _candidates(self, parts: Sequence[_Found]) -> Candidates:
        """The compositions within the model's limits and its room, by ascending memory, then descending value."""
        model, slowdown, least = self.model, self.instance.slowdown[self.m], self._least_accuracy
        parts = [tight for part in parts for tight in self._at_least_levels(part)]
        memory, latency, loss, charge = np.concatenate([p.sums for p in parts], axis=1)
        mode = np.repeat([p.mode for p in parts], [len(p.choice) for p in parts])
        accuracy = model.accuracy(loss)
        kept = (memory <= self.room) & (latency <= latency_limits(self.instance, self.limits, self.m, mode))
        if least is not None:
            kept &= accuracy >= least
        choice = np.concatenate([p.choice for p in parts])[kept]
        points = Frontier(memory[kept], latency[kept], accuracy[kept], mode[kept], choice)
        value = model.values(points.accuracy, points.mode) - charge[kept]
        cores = model.cores(points.latency, points.mode, slowdown)
        order = np.lexsort((-value, points.memory))
        return Candidates(value[order], points.memory[order], cores[order], order, points)

    def _at_least_levels(self, part: _Found) -> Iterator[_Found]:
        """The compositions of a mode, each at the lowest level that admits it: it takes less there."""
        levels, fixed = self.model.least_levels(part.choice, part.mode), self.model.fixed
        for level in unique_values(levels).tolist() or [level_of(part.mode)]:
            mode, at = at_level(part.mode, level), levels == level
            sums = part.sums[:, at]
            sums[0] += fixed[mode][0] - fixed[part.mode][0]
            yield _Found(mode, part.choice[at], sums)

    def _search(
        self, mode: int, prices: Sequence[Prices], floor: float, width: int, deadline: Deadline
    ) -> tuple[_Found, float]:
        """The compositions in one mode that no bound puts below the floor, and a bound of those left out."""
        model, rows = self.model, self.model.rows[mode]
        limit = latency_limit(self.instance, self.limits, self.m, mode)
        charges, fixed = charges_at(model, self.instance.running[self.m], mode)
        memory, latency = model.fixed[mode]
        least = np.array([[r.memory.min(), r.latency.min(), r.loss.min()] for r in rows] + [[0, 0, 0]], dtype=np.int64)
        ahead = np.cumsum(least[::-1], axis=0)[::-1]  # by block, the least that it and those after it add
        bounds = [b for p in prices for b in self._bounds(mode, p)]
        if memory + ahead[0, 0] > self.room or min((b.top for b in bounds), default=-np.inf) < floor:
            return self._none(mode), -np.inf
        # Partial compositions: every bound of each, (bounds, n); its sums, (4, n); its options, (n, blocks so far), and
        # the last of them, (n,).
        each = np.array([[b.top] for b in bounds])
        sums = _column(memory, latency, 0, fixed)
        choice, last = np.zeros((1, 0), dtype=np.uint16), np.zeros(1, dtype=np.intp)
        lost = -np.inf
        for i, row in enumerate(rows):
            if deadline.passed():
                return self._none(mode), max(lost, float(each.min(axis=0).max(initial=-np.inf)))
            drops = [b.drops[i] for b in bounds]
            kept, best = _promising(each, drops, last, floor)
            parent, option = np.divmod(kept, len(row.latency))
            added = [row.memory[option], row.latency[option], row.loss[last[parent], option], charges[i][option]]
            longer = sums[:, parent] + np.stack(added)
            at = np.flatnonzero(self._can_be_within(longer, ahead[i + 1], limit))
            if i + 1 < len(rows):
                most = min(width, 1 + _PAIRS // len(rows[i + 1].latency))
                ends = option if interacts(rows[i + 1].loss) else None
                at, cut = _going_on(at, best, longer, ends, most)
                lost = max(lost, cut)
            parent, option = parent[at], option[at]
            each = np.stack([b[parent] - drop[last[parent], option] for b, drop in zip(each, drops, strict=True)])
            sums, last = longer[:, at], option
            choice = np.concatenate([choice[parent], option[:, None].astype(np.uint16)], axis=1)
        return _found(mode, choice, sums, rows), lost

    def _can_be_within(self, sums: Ints, ahead: Ints, limit: int) -> npt.NDArray[np.bool_]:
        """Whether partial compositions are within the model's limits, (n,), if the others add as little as they can.

        Args:
            sums: (4, n) those of the partial compositions.
            ahead: (3,) the least memory, latency and loss of the other blocks.
            limit: the greatest latency that the model's limit admits in their mode.
        """
        possible = (sums[0] <= self.room - ahead[0]) & (sums[1] <= limit - ahead[1])
        if (least := self._least_accuracy) is not None:
            possible &= self.model.accuracy(sums[2] + ahead[2]) >= least
        return np.asarray(possible)


def _column(*numbers: int) -> Ints:
    """Return numbers as a column, (n, 1), of 64 bits: by itself NumPy takes 32 of them on 32-bit systems."""
    return np.array(numbers, dtype=np.int64)[:, None]


def _found(mode: int, choice: OptionIndices, sums: Ints, rows: Sequence[BlockFigures]) -> _Found:
    """Compositions whose options are numbered among those that their mode admits."""
    every = [row.options[choice[:, b]] for b, row in enumerate(rows)]
    return _Found(mode, np.stack(every, axis=1).astype(np.uint16) if every else choice, sums)


def _promising(each: Floats, drops: Sequence[Floats], last: Indices, floor: float) -> tuple[Indices, Floats]:
    """Return the pairs of a partial composition and an option that no bound puts below the floor.

    Args:
        each: (bounds, n) the bounds of the partial compositions.
        drops: for each bound, (options before, options) by how much an option lowers it.
        last: (n,) the options in which the partial compositions end.
        floor: what every bound must reach.

    Returns:
        The numbers of the pairs, partial composition x options + option; and the least bound of each.
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


def _going_on(at: Indices, best: Floats, sums: Ints, ends: Indices | None, width: int) -> tuple[Indices, float]:
    """Return which partial compositions go on to the next block, and the greatest bound of those that width cut.

    Args:
        at: which ones may go on.
        best: (n,) the least bound of each.
        sums: (4, n) the sums of each.
        ends: (n,) the option in which each ends, if the next block interacts with it.
        width: how many go on at most, the most promising ones, unless there are few anyway.
    """
    if len(at) <= _FEW:
        return at, -np.inf
    ranked = at[np.argsort(-best[at], kind="stable")]
    compared, cut = ranked[: 2 * width], ranked[2 * width :]
    left = compared[~_dominated(sums[:, compared], None if ends is None else ends[compared])]
    cut = np.concatenate([cut, left[width:]])
    return np.sort(left[:width]), float(best[cut].max(initial=-np.inf))


def _dominated(sums: Ints, ends: Indices | None) -> npt.NDArray[np.bool_]:
    """Return which partial compositions one of the first `_COMPARED` before them equals or undercuts in all sums.

    Args:
        sums: (4, n) the sums of the partial compositions.
        ends: (n,) the options in which they end, if only those that end in the same option are to be compared.
    """
    head = min(_COMPARED, sums.shape[1])
    found = np.tri(sums.shape[1], head, -1, dtype=np.bool_)
    for row in sums if ends is None else (*sums, ends, -ends):
        found &= row[:, None] >= row[:head]
    return np.asarray(found.any(axis=1))
