"""Upper bounds of what a model's compositions are worth, charge included, as sums over blocks and neighbours.

With a line a - s L that is nowhere below the link and a price q of latency, a composition x is worth at most
a - s L(x) - cost(x) + q (limit - T(x)). The best completion of what is chosen of the first blocks is found from the
last block backwards, one number for each option that the next block may come after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from legodnn.arrays import Floats
from legodnn.runtime.planning.solver.instance import BlockFigures, CompiledModel
from legodnn.runtime.planning.solver.lagrangian import one_price, padded


@dataclass(frozen=True)
class Bound:
    """An upper bound of reduced values: `top` for any composition, less the `drops` of the options it has.

    `drops` are by block (options of the block before, options), one row for the first block; none is negative, and
    after any option one is 0.
    """

    top: float
    drops: tuple[Floats, ...]


def bound_of(
    line: tuple[float, float], rows: Sequence[BlockFigures], costs: Sequence[Floats], room: int, share: float
) -> Bound:
    """The bound of one line a - s L, with a price of the latency that there is room for.

    The price is a share of the best one where nothing interacts; any price that is not negative gives a bound.
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
    return Bound(top, tuple(drops))


def lines_above(model: CompiledModel, rows: Sequence[BlockFigures]) -> list[tuple[float, float]]:
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
