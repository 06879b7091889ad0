"""Lagrange multipliers of a multiple-choice knapsack: prices of its limits that minimise the relaxation D(p).

`knapsack` says what D is and what prices are used for. D is convex and piecewise linear. Prices that are not quite at
its minimum make the search there longer, never wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Floats, Indices, Ints

# Values and products of prices and weights are computed in float64 from whole numbers below 2^53. ROUNDING, once for
# each class, covers the rounding of values. Where the last byte of an option decides, products of prices and weights
# are far greater than values; ROUNDING_OF_PRICED is their relative rounding.
ROUNDING = 64.0
ROUNDING_OF_PRICED = 2.0**-49
# An iteration ends after this many steps at the latest.
_STEPS = 60


@dataclass(frozen=True)
class Items:
    """The items of all classes in rectangular arrays, padded to the size of the greatest class.

    Attributes:
        value: (C, n) the items' values; minus infinity where padded.
        weights: (d, C, n) the items' weights, for each of d limits.
        limits: (d,) the greatest total of each weight.
    """

    value: Floats
    weights: Floats
    limits: Floats

    def reduced(self, prices: Sequence[float]) -> Floats:
        """Return reduced values, (C, n): values less prices x weights."""
        found: Floats = self.value - prices[0] * self.weights[0]
        for price, weight in zip(prices[1:], self.weights[1:], strict=True):
            found -= price * weight
        return found

    def rounding(self, prices: Sequence[float]) -> float:
        """Return the error that a sum of reduced values, one of each class, and of prices x limits has at most."""
        priced = sum(
            price * (float(limit) + float(weight.max(axis=1).sum()))
            for price, limit, weight in zip(prices, self.limits, self.weights, strict=True)
        )
        return ROUNDING * len(self.value) + ROUNDING_OF_PRICED * priced

    def totals(self, chosen: Indices) -> tuple[float, Floats]:
        """Return the total value and the total weights, (d,), of one item of each class."""
        classes = np.arange(len(chosen))
        return float(self.value[classes, chosen].sum()), self.weights[:, classes, chosen].sum(axis=1)


def padded(
    values: Sequence[Ints] | Sequence[Floats], weights: Sequence[Sequence[Ints]], limits: Sequence[int]
) -> Items:
    """Return classes of different sizes as `Items`.

    Args:
        values: for each class, the values of its items.
        weights: for each limit and each class, the weights of its items.
        limits: the greatest total of each weight.
    """
    shape = (len(values), max(len(v) for v in values))
    value = np.full(shape, -np.inf)
    weight = np.zeros((len(weights), *shape))
    for c, v in enumerate(values):
        value[c, : len(v)] = v
        for i, ws in enumerate(weights):
            weight[i, c, : len(v)] = ws[c]
    return Items(value, weight, np.array(limits, dtype=np.float64))


@dataclass(frozen=True)
class _Line:
    """A choice of items, and the line that it contributes to D as the first price varies: value - price x weight."""

    chosen: Indices
    value: float
    weight: float
    second: float = 0.0


def one_price(items: Items, feasible: Indices) -> tuple[tuple[float, ...], Indices]:
    """Return the price of a single limit, and the best feasible choice that was met on the way to it.

    Args:
        items: the knapsack, with one limit.
        feasible: (C,) a choice within the limit.
    """
    price, _, light = _first_price(items, feasible, None, 0.0)
    return (price,), light.chosen


def two_prices(items: Items, feasible: Indices) -> tuple[tuple[float, ...], Indices]:
    """Return the prices of two limits, and the best feasible choice that was met on the way to them.

    For each second price, the first is found as for one limit. What remains is convex in the second price, and its
    slope is known: the second limit less the second weight of the mixture of choices that just meets the first limit.

    Args:
        items: the knapsack, with two limits.
        feasible: (C,) a choice within both limits.
    """
    best, best_value = feasible, items.totals(feasible)[0]
    lightest = items.weights[0].copy()
    lightest[np.isneginf(items.value)] = np.inf
    below, above = lightest.argmin(axis=1), None

    def evaluate(second: float) -> tuple[float, float, float]:
        """The first price, and the value and the slope of D, at a second price."""
        nonlocal best, best_value, below, above
        first, heavy, light = _first_price(items, below, above, second)
        below, above = light.chosen, None if heavy is None else heavy.chosen
        used = light.second
        if heavy is not None and heavy.weight > light.weight:
            share = (items.limits[0] - light.weight) / (heavy.weight - light.weight)
            used += share * (heavy.second - light.second)
        if light.second <= items.limits[1]:
            value = items.totals(light.chosen)[0]
            if value > best_value:
                best, best_value = light.chosen, value
        dual = light.value - first * light.weight + first * items.limits[0] + second * items.limits[1]
        return first, float(dual), float(items.limits[1] - used)

    low, (first, low_dual, low_slope) = 0.0, evaluate(0.0)
    if low_slope >= 0:
        return (first, 0.0), best
    spread = np.ptp(items.value[np.isfinite(items.value)])
    high = float(spread / max(1.0, np.ptp(items.weights[1]))) or 1.0
    first, high_dual, high_slope = evaluate(high)
    for _ in range(_STEPS):
        if high_slope >= 0:
            break
        low, low_dual, low_slope = high, high_dual, high_slope
        high *= 4
        first, high_dual, high_slope = evaluate(high)
    second = high
    for _ in range(_STEPS):
        if high_slope <= low_slope:
            break
        crossing = (low_dual - high_dual + high_slope * high - low_slope * low) / (high_slope - low_slope)
        if not low < crossing < high:
            break  # lines so alike that rounding tells them apart: what was evaluated last will do
        second = crossing
        predicted = low_dual + low_slope * (second - low)
        first, dual, slope = evaluate(second)
        if dual <= predicted + ROUNDING + 1e-9 * abs(predicted):
            break
        if slope >= 0:
            high, high_dual, high_slope = second, dual, slope
        else:
            low, low_dual, low_slope = second, dual, slope
    return (first, second), best


def _first_price(
    items: Items, below: Indices, above: Indices | None, second: float
) -> tuple[float, _Line | None, _Line]:
    """Return the first price that minimises D at a second price, and the choices on both sides of the first limit.

    The heavy choice (None if the price is 0) and the light one both maximise the reduced value at that price. The
    search keeps one choice on each side of the limit. At the price where their lines cross, either no choice is better
    than both, and that is the minimum, or a better one replaces the one on its side.

    Args:
        items: the knapsack.
        below: a choice within the first limit to start from; the nearer to the final one, the better.
        above: a choice beyond the first limit to start from; None to start from the greatest values.
        second: the second price; 0 where there is one limit.
    """
    value = items.value if second == 0.0 else items.value - second * items.weights[1]
    weight, limit = items.weights[0], items.limits[0]
    classes = np.arange(len(value))

    def line(chosen: Indices) -> _Line:
        used = float(items.weights[1, classes, chosen].sum()) if len(items.weights) > 1 else 0.0
        return _Line(chosen, float(value[classes, chosen].sum()), float(weight[classes, chosen].sum()), used)

    heavy = line(value.argmax(axis=1) if above is None else above)
    if heavy.weight <= limit:
        return 0.0, None, heavy
    light = line(below)
    price = 0.0
    for _ in range(_STEPS):
        price = max(0.0, (heavy.value - light.value) / (heavy.weight - light.weight))
        now = line((value - price * weight).argmax(axis=1))
        if now.value - price * now.weight <= light.value - price * light.weight + ROUNDING:
            break
        if now.weight > limit:
            heavy = now
        else:
            light = now
    return price, heavy if price > 0.0 else None, light
