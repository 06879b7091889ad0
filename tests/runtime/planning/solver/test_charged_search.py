"""The search for charged compositions against all compositions of a model.

Covers also: runtime.planning.solver.composition_bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from legodnn.runtime.planning.solver import charged_search
from legodnn.runtime.planning.solver.charged_search import ChargedSearch
from legodnn.runtime.planning.solver.compiled_model import CompiledModel, compile_model
from legodnn.runtime.planning.solver.composition_bounds import Prices, bounds_at
from legodnn.runtime.planning.solver.composition_sums import charge_of, charges_at, composition_sums
from legodnn.runtime.planning.solver.deadline import NO_DEADLINE
from legodnn.runtime.planning.solver.instance import Instance, Limits, is_within
from legodnn.runtime.planning.solver.value_scale import ValueScale
from legodnn.workload import SwitchCharge
from tests.runtime.planning.random_cases import random_table

Choice = tuple[int, ...]


def random_instance(rng: np.random.Generator) -> tuple[Instance, Limits]:
    """One model of four blocks, with something that runs, a charge, and limits of its latency and accuracy."""
    table = replace(random_table(rng, "m", 4, 4, (1, 2)), rate_hz=10.0)
    model = compile_model(table, ValueScale.of([table], 10.0), SwitchCharge(per_mb=0.05, per_ms=0.002))
    choices = list(np.ndindex(*(len(load) for load in model.loads)))
    now, other = (composition_sums(model, choices[int(rng.integers(len(choices)))], n) for n in (1, 2))
    running = None if rng.random() < 0.2 else now
    slowdown = Fraction(3, 2)
    latency = Fraction(max(now.latency, other.latency), 10**6) * slowdown if rng.random() < 0.7 else None
    least = min(now.accuracy, other.accuracy) if rng.random() < 0.5 else None
    stretch = {1: Fraction(9, 8), 2: Fraction(17, 16)} if rng.random() < 0.5 else {1: Fraction(1), 2: Fraction(1)}
    instance = Instance((model,), (slowdown,), (stretch,), (running,), charged=True)
    limit = None if latency is None else latency * max(stretch.values())
    return instance, Limits(memory=None, cores=None, latency=(limit,), quantile=(0.95,), accuracy=(least,))


def reduced_values(instance: Instance, limits: Limits, prices: Prices) -> dict[tuple[int, Choice], float]:
    """By thread count and choice, the reduced value and the rest, for every composition within the model's limits."""
    model, slowdown, now = instance.models[0], instance.slowdown[0], instance.running[0]
    found = {}
    for threads in model.rows:
        for choice in np.ndindex(*(len(load) for load in model.loads)):
            sums = composition_sums(model, choice, threads)
            if is_within(sums, instance, limits, 0):
                cores = model.cores(np.array([sums.latency]), np.array([threads]), slowdown)[0]
                priced = prices.each[0] * sums.memory + prices.each[1] * cores
                found[threads, choice] = value_of(model, sums.accuracy) - charge(instance, choice, threads) - priced
    assert now is None or charge(instance, now.choice, now.threads) == 0
    return {key: value + prices.rest for key, value in found.items()}


def value_of(model: CompiledModel, accuracy: float) -> int:
    return int(model.values(np.array([accuracy]))[0])


def charge(instance: Instance, choice: Choice, threads: int) -> int:
    one = np.array([choice], dtype=np.uint16)
    return int(charge_of(instance.models[0], instance.running[0], one, np.array([threads]))[0])


def random_prices(rng: np.random.Generator, instance: Instance) -> Prices:
    """Prices at which memory and compute are worth about as much as accuracy."""
    model = instance.models[0]
    value = float(np.ptp(model.value)) + 1.0
    memory = value / float(model.frontier.memory.max())
    cores = value / float(model.cores(model.frontier.latency, model.frontier.threads, Fraction(1)).max())
    return Prices((memory * rng.uniform(0, 1), cores * rng.uniform(0, 1)), float(rng.uniform(0, 1e6)))


@pytest.mark.parametrize("seed", range(40))
def test_bounds_are_never_below_a_composition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instance, limits = random_instance(rng)
    prices = random_prices(rng, instance)
    slack = instance.models[0].scale.step + 1.0
    bounds = {n: bounds_at(instance, limits, 0, n, prices) for n in instance.models[0].rows}
    for (threads, choice), value in reduced_values(instance, limits, prices).items():
        assert bounds[threads], "a thread count at which something is fast enough has bounds"
        for bound in bounds[threads]:
            dropped = sum(drop[b, o] for drop, b, o in zip(bound.drops, (0, *choice), choice, strict=False))
            assert value <= bound.top - dropped + slack
    highest = ChargedSearch(instance, limits, 0).highest(prices.each)
    assert max(reduced_values(instance, limits, Prices(prices.each)).values(), default=-math.inf) <= highest


@pytest.mark.parametrize("width", [1, 2, 10_000])
@pytest.mark.parametrize("seed", range(30))
def test_a_search_finds_what_reaches_the_floor_or_bounds_it(
    seed: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charged_search, "_FEW", 1)
    rng = np.random.default_rng(seed)
    instance, limits = random_instance(rng)
    prices = random_prices(rng, instance)
    values = reduced_values(instance, limits, prices)
    if not values:
        return
    floor = float(np.quantile(list(values.values()), 0.8 * (seed % 2)))
    model = instance.models[0]
    found, lost = ChargedSearch(instance, limits, 0).compositions([prices], floor, 1 << 60, width, NO_DEADLINE)
    points = found.origin.take(found.source)
    kept = {
        (int(n), tuple(c)): int(v) for n, c, v in zip(points.threads, points.choice.tolist(), found.value, strict=True)
    }
    for (threads, choice), value in kept.items():
        assert value == value_of(model, composition_sums(model, choice, threads).accuracy) - charge(
            instance, choice, threads
        )
    best = max(values.values())
    have = max((values[key] for key in kept), default=-math.inf)
    assert best <= max(have, lost), "the best composition was found, or the bound of what was left out admits it"


@pytest.mark.parametrize("seed", range(10))
def test_a_composition_is_charged_what_its_segments_are(seed: int) -> None:
    instance, _ = random_instance(np.random.default_rng(seed))
    model, now = instance.models[0], instance.running[0]
    for threads in model.rows:
        by_block, fixed = charges_at(model, now, threads)
        for choice in np.ndindex(*(len(load) for load in model.loads)):
            expected = fixed + sum(int(c[o]) for c, o in zip(by_block, choice, strict=True))
            assert charge(instance, choice, threads) == expected
