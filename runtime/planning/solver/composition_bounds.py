"""Upper bounds of what a model's compositions are worth, charge included, as sums over blocks.

Let the line a - s L be nowhere below the model's link, and q >= 0 a price of latency. Then a composition x is worth at
most  a - s L(x) - cost(x) + q (limit - T(x)),  where the cost holds the charge and the priced memory and compute. That
is a sum over blocks and their interactions with the block before. The best completion of what is chosen of the first
blocks is therefore found from the last block backwards, as one number for each option that the next block may come
after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from legodnn.arrays import Floats
from legodnn.runtime.planning.solver.compiled_model import BlockFigures, CompiledModel
from legodnn.runtime.planning.solver.composition_sums import charges_at
from legodnn.runtime.planning.solver.instance import NO_LIMIT_NS, Instance, Limits, latency_limit
from legodnn.runtime.planning.solver.lagrangian import ROUNDING_OF_PRICED, one_price, padded
from legodnn.runtime.planning.solver.modes import threads_of

# Of the lines above the link, at most this many are used at the same prices: those that give the least bounds.
_MOST_LINES = 2
# The shares of latency's best price for which bounds are made: to a partial composition, latency may be worth less than
# to a whole one.
_SHARES = (1.0, 0.0)


@dataclass(frozen=True)
class Prices:
    """Prices at which compositions of a model are bounded.

    Attributes:
        each: the price of a byte of memory and that of a billionth of a core.
        rest: what the limits and the other models add to a model's reduced value, at these prices.
    """

    each: tuple[float, float]
    rest: float = 0.0


@dataclass(frozen=True)
class CompositionBound:
    """An upper bound of compositions in one mode: `top` less the drops of a composition's options.

    Attributes:
        top: the bound of any composition.
        drops: by block, (options of the block before, options), one row for the first block: by how much an option
            lowers the bound. None is negative, and after any option there is one of 0.
    """

    top: float
    drops: tuple[Floats, ...]


def bounds_at(instance: Instance, limits: Limits, m: int, mode: int, prices: Prices) -> list[CompositionBound]:
    """Return bounds of the plans that hold a composition of model `m` in one mode.

    Returns:
        Several bounds, each of which holds; none if all compositions are beyond the model's latency limit.
    """
    model = instance.models[m]
    rows = model.rows[mode]
    limit = latency_limit(instance, limits, m, mode)
    memory, latency = model.fixed[mode]
    if latency + sum(int(r.latency.min()) for r in rows) > limit:
        return []
    rate = (model.table.rate_hz or 0.0) * float(instance.slowdown[m])
    per_byte, per_ns = prices.each[0], prices.each[1] * rate * threads_of(mode)
    constant = prices.rest - per_byte * memory - per_ns * latency
    charges, fixed = charges_at(model, instance.running[m], mode)
    constant -= fixed
    costs = [charge + per_byte * row.memory + per_ns * row.latency for row, charge in zip(rows, charges, strict=True)]
    rounding = ROUNDING_OF_PRICED * (abs(constant) + sum(float(c.max()) for c in costs))
    bounds, lines = [], lines_above(model, rows)
    for share in _SHARES if limit < NO_LIMIT_NS else (1.0,):
        found = [bound_of(line, rows, costs, limit - latency, share) for line in lines]
        bounds += sorted(found, key=lambda b: b.top)[:_MOST_LINES]
    return [CompositionBound(b.top + constant + rounding, b.drops) for b in bounds]


def bound_of(
    line: tuple[float, float], rows: Sequence[BlockFigures], costs: Sequence[Floats], room: int, share: float
) -> CompositionBound:
    """Return the bound of one line above the link.

    Args:
        line: (a, s), of a - s x loss.
        rows: the blocks' figures.
        costs: by block, (options,) what each option costs in values: its charge, and its memory and compute at prices.
        room: the nanoseconds that the latency limit leaves to blocks.
        share: the price of latency, as a share of its best price where nothing interacts. A bound holds at any price
            that is not negative.
    """
    a, s = line
    scores = [-s * row.loss - cost for row, cost in zip(rows, costs, strict=True)]
    latencies = [row.latency for row in rows]
    price = rounding = 0.0
    if rows:
        items = padded([score.max(axis=0) for score in scores], [latencies], [room])
        (price,), _ = one_price(items, np.array([int(t.argmin()) for t in latencies]))
        price *= share
        rounding = items.rounding((price,))
    drops: list[Floats] = []
    ahead = np.zeros(1)  # what the best completion adds, after each option
    for score, t in zip(reversed(scores), reversed(latencies), strict=True):
        reduced = score - price * t + ahead
        ahead = reduced.max(axis=1)
        drops.insert(0, ahead[:, None] - reduced)
    top = a + price * room + float(ahead[0]) + rounding
    return CompositionBound(top, tuple(drops))


def lines_above(model: CompiledModel, rows: Sequence[BlockFigures]) -> list[tuple[float, float]]:
    """Return lines (a, s) with value <= a - s x loss for every loss that a model's compositions can have.

    They are the edges of the link's concave envelope over these losses. Values and losses are in fixed point.
    """
    low, high = sum(int(r.loss.min()) for r in rows), sum(int(r.loss.max()) for r in rows)
    knots = (np.array(model.table.link.x) - model.constant_loss) * model.loss_scale
    x = np.array([low, *knots[(knots > low) & (knots < high)], high], dtype=np.float64)
    y = model.table.weight * model.accuracy(x) * (model.scale.unit * model.scale.step)
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1 and _is_on_or_below(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    edges = [(i, (y[i] - y[j]) / (x[j] - x[i])) for i, j in pairwise(hull) if x[j] > x[i]]
    return [(float(y[i] + s * x[i]), float(s)) for i, s in edges] or [(float(y.max()), 0.0)]


def _is_on_or_below(x: Floats, y: Floats, i: int, j: int, k: int) -> bool:
    """Whether point j lies on or below the segment from point i to point k."""
    return bool((y[j] - y[i]) * (x[k] - x[i]) <= (y[k] - y[i]) * (x[j] - x[i]))
