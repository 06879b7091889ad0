"""Of what options took one by one, and compositions in use, comes what options take in use; wild values do no harm."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.profiler.bench import Bench
from legodnn.profiler.in_use import InUse, chain_overheads, line_through, option_latencies
from legodnn.profiler.latency import Timings
from legodnn.runtime.executors.base import Choice
from legodnn.store import Store


@pytest.fixture(scope="module")
def bench(tiny_store: Store) -> Iterator[Bench]:
    opened = Bench(tiny_store, (1, 2))
    yield opened
    opened.close()


def made_up(bench: Bench, beyond: float) -> tuple[Timings, dict[Choice, float]]:
    """Timings whose medians, and what wholes take beyond them, are known; with wild values among them."""
    rng, timings, medians = np.random.default_rng(0), Timings(), {}
    every = (
        Choice(segment.name, option.name, n)
        for n in bench.threads
        for segment, options in zip(bench.segments, bench.options, strict=True)
        for option in options
    )
    for key in every:
        medians[key] = float(rng.uniform(1, 5))
        timings.first[key] = [2 * medians[key]] * 9
        timings.warm[key] = [medians[key] * f for f in (0.9, 0.95, 1, 1, 1, 1.05, 9)]
    draw = random.Random(0)
    for n in bench.threads:
        plans = [bench.draw(draw) for _ in range(40)]
        timings.compositions[n] = plans
        sums = [sum(medians[c] for c in bench.choices(plan, n)) for plan in plans]
        timings.whole[n] = [v + (30.0 if p % 10 == 0 else n * beyond) for p, v in enumerate(sums)]
    return timings, medians


def test_the_chains_overhead_is_what_wholes_take_beyond_their_parts(bench: Bench) -> None:
    found = chain_overheads(bench, made_up(bench, 0.25)[0])
    assert [c.threads for c in found] == [1, 2]
    assert [c.overhead_ms for c in found] == pytest.approx([0.25, 0.5])


def test_what_wholes_take_less_than_their_parts_is_taken_from_the_parts(bench: Bench) -> None:
    timings, medians = made_up(bench, -0.25)
    assert [c.overhead_ms for c in chain_overheads(bench, timings)] == [0, 0]
    for key, figures in option_latencies(bench, timings).items():
        for entry in figures:
            assert entry.median_ms == pytest.approx(medians[Choice(*key, entry.threads)] - 0.25 * entry.threads / 3)


def test_in_use_an_option_takes_a_tenth_of_its_time_at_least() -> None:
    used = InUse(factor=0.5, constant_ms=-0.3, segments=3)
    assert [used.latency_ms(ms) for ms in (1.0, 0.2, 0.1)] == pytest.approx([0.4, 0.02, 0.01])
    assert used.overhead_ms == 0
    assert InUse(0.5, 0.3, 3).latency_ms(1.0) == 0.5
    assert InUse(0.5, 0.3, 3).overhead_ms == 0.3


@given(st.floats(0.6, 1.9), st.floats(-5, 5), st.integers(9, 60), st.randoms(use_true_random=False))
def test_a_line_is_found_among_points_of_which_a_fifth_is_wrong(
    slope: float, constant: float, count: int, draw: random.Random
) -> None:
    x = [10 + 20 * i / (count - 1) for i in range(count)] + [10.0, 30.0]  # the wrong ones lie nowhere in particular
    y = [slope * v + constant for v in x]
    for i in range(0, count - 2, 5):
        y[i] += draw.uniform(1, 100)
    found, at = line_through(x, y)
    assert [found * v + at for v in (10, 30)] == pytest.approx([slope * v + constant for v in (10, 30)], rel=0.05)


@given(st.floats(0.7, 1.3), st.floats(-0.005, 0.005), st.integers(0, 1000))
def test_fast_compositions_are_as_well_predicted_as_slow_ones(slope: float, constant: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.geomspace(0.04, 0.8, 60)
    truth = slope * x + constant
    found, at = line_through(x.tolist(), (truth * rng.uniform(0.96, 1.04, 60)).tolist())
    assert found * x + at == pytest.approx(truth, rel=0.04)


def test_of_sums_that_are_nearly_equal_a_line_is_a_ratio() -> None:
    assert line_through([10.0, 11.0, 11.5], [8.0, 8.8, 9.2]) == pytest.approx((0.8, 0))


def test_a_summary_has_the_figures_of_every_option(bench: Bench) -> None:
    timings, medians = made_up(bench, 0.0)
    found = option_latencies(bench, timings)
    assert list(found) == [
        (s.name, o.name) for s, options in zip(bench.segments, bench.options, strict=True) for o in options
    ]
    for segment, options in zip(bench.segments, bench.options, strict=True):
        for option in options:
            for entry, n in zip(found[segment.name, option.name], bench.threads, strict=True):
                median = medians[Choice(segment.name, option.name, n)]
                assert entry.threads == n
                assert entry.runs == 7
                assert entry.median_ms == pytest.approx(median)
                assert entry.min_ms == pytest.approx(0.9 * median)
                assert entry.first_ms == pytest.approx(2 * median)
                assert median < entry.p95_ms < 9 * median
