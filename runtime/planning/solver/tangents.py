"""Upper bounds of what the remaining classes of a knapsack can add to a partial sum, for any room that it leaves.

At prices p of the limits, one item of each remaining class adds at most  T(p) + p . room,  where T(p) is the sum of
each class's greatest v - p . w. One vector of prices gives a good bound for one room only. Each one is a tangent to the
optimum of the relaxation as a function of the room, which is concave, so the least over many prices is close to it
everywhere. Prices lie densest around those of the whole problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Floats, Ints

# Factors of the whole problem's prices: of the first price, and of the second.
_NEAR = 2.0 ** -np.arange(9, 1, -1)
_FACTORS = np.concatenate([[0.0, 0.25, 0.5], 1 - _NEAR[::-1], [1.0], 1 + _NEAR, [1.5, 2.0, 4.0, 16.0]])
_SECOND = np.array([1.0, 0.97, 1.03, 0.9, 1.1, 0.5, 2.0])

Ahead = Callable[[Ints, Sequence[Ints]], Floats]


@dataclass(frozen=True)
class Tangents:
    """The tangents of every class, at a grid of prices.

    Attributes:
        first: (G,) prices of the first limit, ascending.
        second: (J,) prices of the second limit; one 0 if there is no second limit.
        tops: (J, G, classes) each class's greatest v - p . w.
        limits: the greatest total of each of one or two weights.
        rounding: the greatest rounding error of a bound, which is added to it.
    """

    first: Floats
    second: Floats
    tops: Floats
    limits: Sequence[int]
    rounding: float

    @classmethod
    def of(
        cls,
        values: Sequence[Ints],
        weights: Sequence[Sequence[Ints]],
        limits: Sequence[int],
        prices: Sequence[float],
        rounding: float,
    ) -> Tangents:
        """Return the tangents of a knapsack around given prices.

        Args:
            values: as for `knapsack.solve`.
            weights: as for `knapsack.solve`.
            limits: as for `knapsack.solve`.
            prices: prices of the limits that suit the whole problem.
            rounding: the greatest rounding error of sums at these prices.
        """
        steep = [_price(price, values, ws) for price, ws in zip(prices, weights, strict=True)]
        first = steep[0] * _FACTORS
        second = steep[1] * _SECOND if len(limits) > 1 else np.zeros(1)
        tops = np.empty((len(second), len(first), len(values)))
        for c, value in enumerate(values):
            own = value.astype(np.float64)
            for j, price in enumerate(second):
                less = own if len(limits) == 1 else own - price * weights[1][c]
                tops[j, :, c] = (less - np.multiply.outer(first, weights[0][c])).max(axis=1)
        return cls(first, second, tops, limits, rounding * float(_FACTORS[-1]))

    def ahead(self, classes: Sequence[int]) -> Ahead:
        """Return a function that bounds partial sums to which one item of each of some classes will be added.

        The function takes the sums' values, (n,), and for each limit their weights, (n,), and returns upper bounds of
        the values that they can lead to, (n,).
        """
        tops = self.tops[:, :, list(classes)].sum(axis=2)
        # The rooms at which tangents of neighbouring prices cross: beyond that room the lower price bounds better.
        crossings = (tops[:, :-1] - tops[:, 1:]) / np.diff(self.first)

        def bounds(value: Ints, weights: Sequence[Ints]) -> Floats:
            room = (self.limits[0] - weights[0]).astype(np.float64)
            best = np.full(len(value), np.inf)
            for j, price in enumerate(self.second):
                at = len(self.first) - 1 - np.searchsorted(crossings[j, ::-1], room, side="right")
                found = tops[j, at] + self.first[at] * room
                if len(self.limits) > 1:
                    found += price * (self.limits[1] - weights[1])
                np.minimum(best, found, out=best)
            best += value + self.rounding
            return best

        return bounds


def _price(price: float, values: Sequence[Ints], weights: Sequence[Ints]) -> float:
    """The price, or a guess if it is zero: a limit that does not bind the whole problem may still bind a part of it."""
    if price > 0:
        return price
    return sum(float(np.ptp(v)) for v in values) / max(1.0, sum(float(np.ptp(w)) for w in weights)) or 1.0
