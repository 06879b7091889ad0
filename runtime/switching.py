"""Candidates when leaving the running plan is charged.

A charge adds, to what a composition is worth, a sum over blocks that depends on what runs; the frontier of (memory,
latency, loss) then no longer holds every composition that may be optimal: one that keeps more blocks as they are may be
dominated in all three. So the search goes back to the blocks, with bounds:

1.  The frontier's points, charged as they must be, give a plan worth V and prices p of memory and compute.
2.  At these prices a composition x has the reduced value  r(x) = v(x) - charge(x) - p . w(x). With U_m the greatest r
    of model m, a plan worth at least V has no composition below  U_m - (sum U + p . W - V)   (see `knapsack`).
3.  All compositions with r above a floor are enumerated block by block. A partial one is dropped when even its best
    completion is below: with a line a - s L that is nowhere below the link, and a price q of latency,

        r(x) <= a - s L(x) - charge(x) - p . w(x) + q (limit - T(x))

    is a sum over blocks and neighbours, whose best completion is found from the last block backwards: one number for
    each option that the next block may come after. Every edge of the link's concave envelope gives such a line, and
    each a good q of its own. U_m is found by the same search, from the best r known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from legodnn.runtime import knapsack
from legodnn.runtime.candidates import Candidates, Instance, with_present
from legodnn.runtime.frontier import Choices, Floats, Frontier, Ints
from legodnn.runtime.pricing import ROUNDING_OF_PRICED, one_price, padded
from legodnn.runtime.problem import Limits, Model, Rows, charge_of, latency_limit

# Lines above the link that are used as bounds: those that bound best.
_MOST_LINES = 4


def charged_classes(
    instance: Instance, limits: Limits, classes: Sequence[Candidates], caps: Sequence[int]
) -> list[Candidates] | None:
    """Candidates, among them those of every optimal plan, worth what they are after the charge; None if nothing fits.

    Args:
        instance: as for `optimum`.
        limits: as for `optimum`.
        classes: all candidates on the models' frontiers, none of them empty.
        caps: the limit of memory, and that of compute if there is one.
    """
    values = [_charged(instance, m, c) for m, c in enumerate(classes)]
    weights = [[c.memory for c in classes], [c.cores for c in classes]][: len(caps)]
    chosen = knapsack.solve(values, weights, caps)
    if chosen is None:
        return None
    worth = sum(int(v[i]) for v, i in zip(values, chosen, strict=True))
    prices, rounding = knapsack.prices(values, weights, caps)
    searches = [_Search(instance, limits, m, (*prices, 0.0)[:2], rounding) for m in range(len(classes))]
    tops = []
    for m, search in enumerate(searches):
        known = float((values[m] - sum(p * w[m] for p, w in zip(prices, weights, strict=True))).max())
        tops.append(max(known, float(search.above(known).reduced.max(initial=-np.inf))))
    margin = sum(tops) + sum(p * cap for p, cap in zip(prices, caps, strict=True)) - worth + rounding
    return [
        search.above(top - margin).candidates(instance, limits, search.m)
        for search, top in zip(searches, tops, strict=True)
    ]


def _charged(instance: Instance, m: int, found: Candidates) -> Ints:
    """What a model's candidates are worth after the charge."""
    model, now = instance.models[m], instance.running[m]
    value: Ints = found.value.copy()
    moves = found.source >= 0
    points = found.source[moves]
    value[moves] -= charge_of(model, now, found.origin.choice[points], found.origin.threads[points])
    return value


@dataclass(frozen=True)
class _Found:
    """Compositions, as a frontier's arrays, with their charged and their reduced values."""

    points: Frontier
    value: Ints
    cores: Ints
    reduced: Floats

    def candidates(self, instance: Instance, limits: Limits, m: int) -> Candidates:
        """By ascending memory, then descending value, with the choices to suspend the model and to leave it."""
        order = np.lexsort((-self.value, self.points.memory))
        found = Candidates(self.value[order], self.points.memory[order], self.cores[order], order, self.points)
        return with_present(instance, limits, m, found)


@dataclass(frozen=True)
class _Search:
    """The search for the compositions of model `m` that are worth most at given prices of memory and compute.

    `rounding` is what reduced values may be off by.
    """

    instance: Instance
    limits: Limits
    m: int
    prices: tuple[float, ...]
    rounding: float

    @property
    def model(self) -> Model:
        return self.instance.models[self.m]

    def above(self, floor: float) -> _Found:
        """All compositions within the model's own limits whose reduced value is at least `floor`."""
        model, slowdown = self.model, self.instance.slowdown[self.m]
        parts = [self._choices(n, floor - model.scale.step - self.rounding) for n in model.table.thread_counts]
        choice = np.concatenate(parts)
        threads = np.repeat(np.array(model.table.thread_counts), [len(p) for p in parts])
        memory, latency, loss = (np.concatenate(c) for c in zip(*(
            _sums(model, n, p) for n, p in zip(model.table.thread_counts, parts, strict=True)
        ), strict=True))  # fmt: skip
        accuracy = model.accuracy(loss)
        value = model.values(accuracy) - charge_of(model, self.instance.running[self.m], choice, threads)
        cores = model.cores(latency, threads, slowdown)
        reduced = value - self.prices[0] * memory - self.prices[1] * cores
        least = self.limits.accuracy[self.m]
        kept = reduced >= floor
        if least is not None:
            kept &= accuracy >= least
        points = Frontier(memory[kept], latency[kept], accuracy[kept], threads[kept], choice[kept])
        return _Found(points, value[kept], cores[kept], reduced[kept])

    def _choices(self, threads: int, floor: float) -> Choices:
        """The compositions at one thread count that no bound puts below the floor, (found, blocks)."""
        model, now = self.model, self.instance.running[self.m]
        rows = model.rows[threads]
        limit = latency_limit(self.limits.latency[self.m], self.instance.slowdown[self.m])
        memory, latency = model.fixed[threads]
        rest = sum(int(r.latency.min()) for r in rows)
        if latency + rest > limit:
            return np.zeros((0, len(rows)), dtype=np.uint16)
        per_ns = self.prices[1] * (model.table.rate_hz or 0.0) * float(self.instance.slowdown[self.m]) * threads
        constant = -self.prices[0] * memory - per_ns * latency
        costs = []
        for b, (row, load) in enumerate(zip(rows, model.loads, strict=True)):
            charge = load.astype(np.float64)
            if now is not None and now.threads == threads:
                charge[now.choice[b]] = 0.0
            costs.append(charge + self.prices[0] * row.memory + per_ns * row.latency)
        if now is None or now.threads != threads:
            constant -= model.fixed_load
        bounds = [_bound(line, rows, costs, limit - latency) for line in _lines_above(model, rows)]
        bounds = sorted(bounds, key=lambda b: b.top)[:_MOST_LINES]

        off = ROUNDING_OF_PRICED * (abs(constant) + sum(float(c.max()) for c in costs))
        best = np.array([[b.top + constant + off] for b in bounds])
        spent = np.array([latency])
        choice = np.zeros((1, 0), dtype=np.uint16)
        last = np.zeros(1, dtype=np.intp)
        for i, row in enumerate(rows):
            rest -= int(row.latency.min())
            drops = np.array([b.drops[i] for b in bounds])
            best = (best[:, :, None] - drops[:, last]).reshape(len(bounds), -1)
            spent = (spent[:, None] + row.latency).ravel()
            kept = np.flatnonzero((best >= floor).all(axis=0) & (spent <= limit - rest))
            best, spent = best[:, kept], spent[kept]
            parent, option = np.divmod(kept, len(row.latency))
            choice = np.concatenate([choice[parent], option[:, None].astype(np.uint16)], axis=1)
            last = option
        return choice


def _sums(model: Model, threads: int, choice: Choices) -> tuple[Ints, Ints, Ints]:
    """Memory, latency and loss of compositions."""
    memory = np.full(len(choice), model.fixed[threads][0])
    latency = np.full(len(choice), model.fixed[threads][1])
    loss = np.zeros(len(choice), dtype=np.int64)
    for b, row in enumerate(model.rows[threads]):
        memory += row.memory[choice[:, b]]
        latency += row.latency[choice[:, b]]
        loss += row.loss[choice[:, b - 1] if b else 0, choice[:, b]]
    return memory, latency, loss


@dataclass(frozen=True)
class _Bound:
    """An upper bound of reduced values: `top` for any composition, less the `drops` of the options it has.

    `drops` are by block (options of the block before, options), one row for the first block; none is negative, and
    after any option one is 0.
    """

    top: float
    drops: tuple[Floats, ...]


def _bound(line: tuple[float, float], rows: Sequence[Rows], costs: Sequence[Floats], room: int) -> _Bound:
    """The bound of one line a - s L, with a price of the latency that there is room for.

    The price is the best one where nothing interacts; any price that is not negative gives a bound.
    """
    a, s = line
    scores = [-s * row.loss - cost for row, cost in zip(rows, costs, strict=True)]
    latencies = [row.latency for row in rows]
    price = rounding = 0.0
    if rows:
        items = padded([score.max(axis=0) for score in scores], [latencies], [room])
        (price,), _ = one_price(items, np.array([int(t.argmin()) for t in latencies]))
        rounding = items.rounding((price,))
    drops: list[Floats] = []
    ahead = np.zeros(1)  # what the best completion adds, after each option
    for score, t in zip(reversed(scores), reversed(latencies), strict=True):
        reduced = score - price * t + ahead
        ahead = reduced.max(axis=1)
        drops.insert(0, ahead[:, None] - reduced)
    top = a + price * room + float(ahead[0]) + rounding
    return _Bound(top, tuple(drops))


def _lines_above(model: Model, rows: Sequence[Rows]) -> list[tuple[float, float]]:
    """Lines (a, s), value <= a - s x loss: the edges of the link's concave envelope over the losses there can be."""
    low, high = sum(int(r.loss.min()) for r in rows), sum(int(r.loss.max()) for r in rows)
    knots = (np.array(model.table.link.x) - model.constant_loss) * model.loss_scale
    x = np.array([low, *knots[(knots > low) & (knots < high)], high], dtype=np.float64)
    y = model.table.weight * model.accuracy(x) * (model.scale.unit * model.scale.step)
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1 and _turns_left(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    edges = [(i, (y[i] - y[j]) / (x[j] - x[i])) for i, j in pairwise(hull) if x[j] > x[i]]
    return [(float(y[i] + s * x[i]), float(s)) for i, s in edges] or [(float(y.max()), 0.0)]


def _turns_left(x: Floats, y: Floats, i: int, j: int, k: int) -> bool:
    """Whether point j lies on or below the segment from i to k."""
    return bool((y[j] - y[i]) * (x[k] - x[i]) <= (y[k] - y[i]) * (x[j] - x[i]))
