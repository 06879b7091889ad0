"""Prices for the limits of a multiple-choice knapsack: multipliers that minimise its Lagrangian relaxation D(p).

D is convex and piecewise linear; see `knapsack` for what it is and what the prices are used for. Prices
that are not quite at the minimum cost time there, never exactness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Floats, Indices, Ints

# Values and prices x weights are computed in float64 from integers below 2^53. For each class the first covers the
# rounding of values; where an option's last byte decides, prices x weights are far greater, and so is their rounding.
ROUNDING = 64.0
ROUNDING_OF_PRICED = 2.0**-49
_STEPS = 60


@dataclass(frozen=True)
class Items:
    """All classes side by side, padded to one length: value (C, n), weights (d, C, n), limits (d,)."""

    value: Floats
    weights: Floats
    limits: Floats

    def reduced(self, prices: Sequence[float]) -> Floats:
        """Values less prices x weights, (C, n)."""
        found: Floats = self.value - prices[0] * self.weights[0]
        for price, weight in zip(prices[1:], self.weights[1:], strict=True):
            found -= price * weight
        return found

    def rounding(self, prices: Sequence[float]) -> float:
        """What a sum of reduced values, one of each class, and of prices x limits may be off by."""
        priced = sum(
            price * (float(limit) + float(weight.max(axis=1).sum()))
            for price, limit, weight in zip(prices, self.limits, self.weights, strict=True)
        )
        return ROUNDING * len(self.value) + ROUNDING_OF_PRICED * priced

    def totals(self, chosen: Indices) -> tuple[float, Floats]:
        """Value and weights (d,) of one item of each class."""
        classes = np.arange(len(chosen))
        return float(self.value[classes, chosen].sum()), self.weights[:, classes, chosen].sum(axis=1)


def padded(
    values: Sequence[Ints] | Sequence[Floats], weights: Sequence[Sequence[Ints]], limits: Sequence[int]
) -> Items:
    """Classes of different sizes as `Items`; padding has value minus infinity."""
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
    """A choice of items, and what it contributes to D as the first price varies: value - price x weight."""

    chosen: Indices
    value: float
    weight: float
    second: float = 0.0


def one_price(items: Items, feasible: Indices) -> tuple[tuple[float, ...], Indices]:
    """The price of a single limit, and the best feasible plan met on the way to it."""
    price, _, light = _first_price(items, feasible, None, 0.0)
    return (price,), light.chosen


def two_prices(items: Items, feasible: Indices) -> tuple[tuple[float, ...], Indices]:
    """Prices of two limits, and the best feasible plan met.

    For each second price the first is found as for one limit; what remains is convex in the second, and its slope is
    known: the second limit less the second weight of the mixture that meets the first limit.
    """
    best, best_value = feasible, items.totals(feasible)[0]
    lightest = items.weights[0].copy()
    lightest[np.isneginf(items.value)] = np.inf
    below, above = lightest.argmin(axis=1), None

    def evaluate(second: float) -> tuple[float, float, float]:
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
        second = (low_dual - high_dual + high_slope * high - low_slope * low) / (high_slope - low_slope)
        if not low < second < high:
            break
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
    """The first price that minimises D at a second price, and the choices on both sides of the limit.

    `heavy` and `light` maximise r on either side. At the price where their lines cross, either no choice is better
    than both, and that is the minimum, or the better one replaces the one on its side. The search starts from choices
    on either side, the nearer the better; from the greatest values if none above is known.
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
