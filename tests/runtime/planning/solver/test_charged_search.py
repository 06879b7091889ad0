"""The search for charged compositions against all compositions of a model.

Covers also: runtime.planning.solver.composition_bounds.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.runtime.planning.solver import charged_search
from legodnn.runtime.planning.solver.candidates import Candidates
from legodnn.runtime.planning.solver.charged_search import ChargedSearch
from legodnn.runtime.planning.solver.compiled_model import CompiledModel, compile_model
from legodnn.runtime.planning.solver.composition_bounds import Prices, bounds_at
from legodnn.runtime.planning.solver.composition_sums import CompositionSums, charge_of, charges_at, composition_sums
from legodnn.runtime.planning.solver.deadline import NO_DEADLINE
from legodnn.runtime.planning.solver.instance import ONE, Instance, Limits, is_within
from legodnn.runtime.planning.solver.modes import level_of, threads_of
from legodnn.runtime.planning.solver.value_scale import ValueScale
from legodnn.workload import SwitchCharge
from tests.runtime.planning.random_cases import random_table

Choice = tuple[int, ...]
NO_LIMIT = 1 << 60  # bytes


def random_instance(rng: np.random.Generator) -> tuple[Instance, Limits]:
    """One model of four blocks, with something that runs, a charge, and limits of its latency and accuracy."""
    table = replace(random_table(rng, "m", 4, 4, (1, 2)), rate_hz=10.0)
    model = compile_model(table, ValueScale.of([table], 10.0), SwitchCharge(per_mb=0.05, per_ms=0.002))
    now, other = (composition_sums(model, some[int(rng.integers(len(some)))], n) for n, some in drawn(model, rng))
    running = None if rng.random() < 0.2 else now
    slowdown = Fraction(3, 2)
    latency = Fraction(max(now.latency, other.latency), 10**6) * slowdown if rng.random() < 0.7 else None
    least = min(now.accuracy, other.accuracy) if rng.random() < 0.5 else None
    longer = {1: Fraction(9, 8), 2: Fraction(17, 16)} if rng.random() < 0.5 else {1: Fraction(1), 2: Fraction(1)}
    stretch = {mode: longer[threads_of(mode)] for mode in model.rows}
    instance = Instance((model,), (slowdown,), (stretch,), (running,), charged=True)
    limit = None if latency is None else float(latency * max(stretch.values()))
    return instance, Limits(memory=None, cores=None, latency=(limit,), quantile=(0.95,), accuracy=(least,))


def choices_in(model: CompiledModel, mode: int) -> list[Choice]:
    """All choices that a mode admits."""
    return list(itertools.product(*(row.options.tolist() for row in model.rows[mode])))


def drawn(model: CompiledModel, rng: np.random.Generator) -> list[tuple[int, list[Choice]]]:
    """Two modes of different thread counts, each with its choices."""
    modes = [[m for m in model.rows if threads_of(m) == n] for n in (1, 2)]
    return [(mode, choices_in(model, mode)) for mode in (some[int(rng.integers(len(some)))] for some in modes)]


def reduced_values(instance: Instance, limits: Limits, prices: Prices) -> dict[tuple[int, Choice], float]:
    """By mode and choice, the reduced value and the rest, for every composition within the model's limits."""
    model, slowdown, now = instance.models[0], instance.slowdown[0], instance.running[0]
    found = {}
    for mode in model.rows:
        for choice in choices_in(model, mode):
            sums = composition_sums(model, choice, mode)
            if is_within(sums, instance, limits, 0):
                cores = model.cores(np.array([sums.latency]), np.array([mode]), slowdown)[0]
                priced = prices.each[0] * sums.memory + prices.each[1] * cores
                found[mode, choice] = value_of(model, sums) - charge(instance, choice, mode) - priced
    assert now is None or charge(instance, now.choice, now.mode) == 0
    return {key: value + prices.rest for key, value in found.items()}


def value_of(model: CompiledModel, sums: CompositionSums) -> int:
    return int(model.values(np.array([sums.accuracy]), np.array([sums.mode]))[0])


def charge(instance: Instance, choice: Choice, mode: int) -> int:
    one = np.array([choice], dtype=np.uint16)
    return int(charge_of(instance.models[0], instance.running[0], one, np.array([mode]))[0])


def random_prices(rng: np.random.Generator, instance: Instance) -> Prices:
    """Prices at which memory and compute are worth about as much as accuracy."""
    model = instance.models[0]
    value = float(np.ptp(model.value)) + 1.0
    memory = value / float(model.frontier.memory.max())
    cores = value / float(model.cores(model.frontier.latency, model.frontier.mode, Fraction(1)).max())
    return Prices((memory * rng.uniform(0, 1), cores * rng.uniform(0, 1)), float(rng.uniform(0, 1e6)))


@pytest.mark.parametrize("seed", range(40))
def test_bounds_are_never_below_a_composition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instance, limits = random_instance(rng)
    prices = random_prices(rng, instance)
    slack = instance.models[0].scale.step + 1.0
    rows = instance.models[0].rows
    bounds = {n: bounds_at(instance, limits, 0, n, prices) for n in rows}
    for (mode, choice), value in reduced_values(instance, limits, prices).items():
        assert bounds[mode], "a mode in which something is fast enough has bounds"
        for bound in bounds[mode]:
            at = [int(np.searchsorted(row.options, o)) for row, o in zip(rows[mode], choice, strict=True)]
            dropped = sum(drop[b, o] for drop, b, o in zip(bound.drops, (0, *at), at, strict=False))
            assert value <= bound.top - dropped + slack
    highest = ChargedSearch(instance, limits, 0, NO_LIMIT).highest(prices.each)
    assert max(reduced_values(instance, limits, Prices(prices.each)).values(), default=-math.inf) <= highest


def check_sums(model: CompiledModel, found: Candidates) -> None:
    """Each composition takes what it takes in the mode that it is said to run in, which is of the lowest level."""
    points = found.origin.take(found.source)
    for choice, mode, memory, latency in zip(
        points.choice.tolist(), points.mode.tolist(), points.memory.tolist(), points.latency.tolist(), strict=True
    ):
        sums = composition_sums(model, choice, mode)
        assert (memory, latency) == (sums.memory, sums.latency)
        assert level_of(mode) == model.least_levels(np.array([choice]), mode)[0]


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
    found, lost = ChargedSearch(instance, limits, 0, NO_LIMIT).compositions([prices], floor, width, NO_DEADLINE)
    points = found.origin.take(found.source)
    kept = {
        (int(n), tuple(c)): int(v) for n, c, v in zip(points.mode, points.choice.tolist(), found.value, strict=True)
    }
    for (mode, choice), value in kept.items():
        assert value == value_of(model, composition_sums(model, choice, mode)) - charge(instance, choice, mode)
    check_sums(model, found)
    check_sums(model, ChargedSearch(instance, limits, 0, NO_LIMIT).around())
    best = max(values.values())
    have = max((values[key] for key in kept), default=-math.inf)
    assert best <= max(have, lost), "the best composition was found, or the bound of what was left out admits it"


def test_what_is_worse_in_all_is_kept_where_the_next_block_goes_better_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`worse` looks worse even with the next block: what goes best after `better` is too slow, as bounds do not see."""
    monkeypatch.setattr(charged_search, "_FEW", 1)
    first = BlockRows("a", (OptionRow("better", 10, {1: 1.0}), OptionRow("worse", 11, {1: 1.0}, loss=0.01)))
    second = (OptionRow("slow", 10, {1: 10.0}), OptionRow("quick", 10, {1: 5.0}))
    table = ModelTable("m", (first, BlockRows("b", second, ((0.0, 0.5), (0.3, 0.02)))))
    for blocks in (
        table.blocks,
        (
            replace(first, options=first.options[::-1]),
            replace(table.blocks[1], interaction=table.blocks[1].interaction[::-1]),
        ),
    ):
        model = compile_model(replace(table, blocks=blocks), ValueScale.of([table], 0.0), SwitchCharge())
        instance = Instance((model,), (ONE,), (dict.fromkeys(model.rows, ONE),), (None,), charged=True)
        limits = Limits(memory=None, cores=None, latency=(9.0,), quantile=(0.95,), accuracy=(None,))
        search = ChargedSearch(instance, limits, 0, NO_LIMIT)
        found, lost = search.compositions([Prices((0.0, 0.0))], -math.inf, 10_000, NO_DEADLINE)
        assert lost == -math.inf
        assert found.origin.accuracy.max() == pytest.approx(0.97)


def test_the_bound_of_what_width_cuts_is_that_of_the_best_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that are compared one is dominated, and so the best that is cut was not compared."""
    monkeypatch.setattr(charged_search, "_FEW", 1)
    sums = np.array([[1, 2, 0, 0], [1, 2, 9, 9], [1, 2, 9, 9], [1, 2, 9, 9]])
    kept, cut = charged_search._going_on(np.arange(4), np.array([4.0, 3.0, 2.0, 1.0]), sums, None, 1)
    assert (kept.tolist(), cut) == ([0], 2.0)


@pytest.mark.parametrize("seed", range(10))
def test_a_composition_is_charged_what_its_segments_are(seed: int) -> None:
    instance, _ = random_instance(np.random.default_rng(seed))
    model, now = instance.models[0], instance.running[0]
    for mode in model.rows:
        by_block, fixed = charges_at(model, now, mode)
        for choice in choices_in(model, mode):
            places = [np.searchsorted(row.options, o) for row, o in zip(model.rows[mode], choice, strict=True)]
            expected = fixed + sum(int(c[o]) for c, o in zip(by_block, places, strict=True))
            assert charge(instance, choice, mode) == expected
