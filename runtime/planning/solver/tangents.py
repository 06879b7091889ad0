"""Bounds of what classes of a knapsack can still add, for every room that is left.

At prices p of the limits, items that are still to be chosen add at most  T(p) + p . room,  where T(p) is the sum of
each class's greatest v - p . w. One vector of prices bounds well for one room only; the least over many is, as a
function of the room, the relaxation's value seen from outside: a concave function given by tangents. Prices are finest
around those that suit the whole problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Floats, Ints

# By so much prices differ from those of the whole problem.
_NEAR = 2.0 ** -np.arange(9, 1, -1)
_FACTORS = np.concatenate([[0.0, 0.25, 0.5], 1 - _NEAR[::-1], [1.0], 1 + _NEAR, [1.5, 2.0, 4.0, 16.0]])
_SECOND = np.array([1.0, 0.97, 1.03, 0.9, 1.1, 0.5, 2.0])

Ahead = Callable[[Ints, Sequence[Ints]], Floats]


@dataclass(frozen=True)
class Tangents:
    """Tangents of every class.

    Attributes:
        first: (G,) prices of the first limit, ascending; `second`: (J,) prices of the second, just a 0 without one.
        tops: (J, G, classes) each class's greatest v - p . w.
        limits: one or two.
        rounding: what bounds may be off by; it is added.
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
        """For classes as `knapsack.solve` has them; `rounding` is that of sums at `prices`."""
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
        """The bound of sums (their values and weights) to which one item of each of some classes will be added."""
        tops = self.tops[:, :, list(classes)].sum(axis=2)
        # Where two tangents of neighbouring prices cross: right of it the lower price bounds better.
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
    """A price that is not zero: where a limit does not bind the whole problem it may still bind a part of it."""
    if price > 0:
        return price
    return sum(float(np.ptp(v)) for v in values) / max(1.0, sum(float(np.ptp(w)) for w in weights)) or 1.0
