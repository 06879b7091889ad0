"""Prices minimise the relaxation; bounds made with prices are never too low.

Covers also: runtime.planning.solver.lagrangian, runtime.planning.solver.tangents.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from legodnn.runtime.planning.solver import knapsack
from legodnn.runtime.planning.solver.lagrangian import Items, padded
from legodnn.runtime.planning.solver.tangents import Tangents
from tests.runtime.planning.solver.random_items import random_classes


def relaxation(items: Items, prices: tuple[float, ...]) -> float:
    """D(p) of `knapsack`."""
    return float(items.reduced(prices).max(axis=1).sum() + np.dot(prices, items.limits))


@pytest.mark.parametrize("seed", range(40))
def test_prices_minimise_the_relaxation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = random_classes(rng, int(rng.integers(2, 8)), 12, 1 + seed % 2, 1000)
    values = [v << 20 for v in values]
    limits = [int(sum(w.mean() for w in ws)) for ws in weights]
    if knapsack.solve(values, weights, limits) is None:
        return
    found, _ = knapsack.prices(values, weights, limits)
    items = padded(values, weights, limits)
    least = relaxation(items, found)
    for factors in itertools.product([0.0, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0], repeat=len(found)):
        other = tuple(price * factor for price, factor in zip(found, factors, strict=True))
        assert least <= relaxation(items, other) * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(300))
def test_no_price_is_negative_however_alike_the_items_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, spread = int(10 ** rng.uniform(3, 13)), int(10 ** rng.uniform(0, 3)) + 1
    sizes = rng.integers(2, 7, int(rng.integers(1, 4)))
    weights = [[np.sort(base + rng.integers(0, spread, n)) for n in sizes]]
    weights.append([base + rng.integers(0, spread, n) for n in sizes])
    values = [rng.choice([0, 1 << 20, 1 << 40, 255999999500000, 256000000000000], n) // len(sizes) for n in sizes]
    limits = [int(sum(w.mean() for w in ws)) for ws in weights]
    best = max(
        (
            sum(int(v[i]) for v, i in zip(values, choice, strict=True))
            for choice in itertools.product(*map(range, sizes))
            if all(
                sum(int(w[i]) for w, i in zip(ws, choice, strict=True)) <= limit
                for ws, limit in zip(weights, limits, strict=True)
            )
        ),
        default=None,
    )
    found = knapsack.solve(values, weights, limits)
    assert (found and found.value) == best
    if best is not None:
        assert min(knapsack.prices(values, weights, limits)[0]) >= 0


@pytest.mark.parametrize("seed", range(20))
def test_tangents_bound_what_partial_sums_can_become(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = random_classes(rng, 4, 6, 1 + seed % 2, 200)
    limits = [int(sum(w.mean() for w in ws)) for ws in weights]
    prices = [float(rng.uniform(0, 4)) for _ in limits]
    ahead = Tangents.of(values, weights, limits, prices, 0.0).ahead([2, 3])
    for first in np.ndindex(len(values[0]), len(values[1])):
        value = sum(int(values[c][i]) for c, i in enumerate(first))
        used = [sum(int(ws[c][i]) for c, i in enumerate(first)) for ws in weights]
        (bound,) = ahead(np.array([value]), [np.array([w]) for w in used])
        for last in np.ndindex(len(values[2]), len(values[3])):
            whole = [
                w + sum(int(ws[2 + c][i]) for c, i in enumerate(last)) for w, ws in zip(used, weights, strict=True)
            ]
            if all(w <= limit for w, limit in zip(whole, limits, strict=True)):
                assert value + sum(int(values[2 + c][i]) for c, i in enumerate(last)) <= bound + 1e-6
