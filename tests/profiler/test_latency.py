"""Every option is timed equally often, inside whole compositions that run on, until it is known or the time is up."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.array_files import read_arrays, write_arrays
from legodnn.errors import ProfileError, StoreError
from legodnn.lifetime import Lifetime
from legodnn.profiler import latency
from legodnn.profiler.latency import (
    LEAST_ROUNDS,
    WARM_RUNS,
    Bench,
    Timings,
    chain,
    half_width,
    input_of,
    latency_summary,
    measure_latency,
    sample_round,
)
from legodnn.runtime.executors.base import ComposedModel
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store

THREADS = (1, 2)
OPTIONS = 3  # of the widest segment


@pytest.fixture(scope="module")
def bench(tiny_store: Store) -> Iterator[Bench]:
    opened = Bench(tiny_store, THREADS)
    yield opened
    opened.close()


def keys(bench: Bench) -> list[str]:
    return [
        f"{n}/{s}/{i}" for n in bench.threads for s, options in enumerate(bench.options) for i in range(len(options))
    ]


# --- what is timed ---------------------------------------------------------------------------------------------------


def test_a_composition_of_the_bench_computes_what_the_executor_does(bench: Bench, tiny_store: Store) -> None:
    x = input_of(tiny_store)
    executor = open_executor(tiny_store)
    for numbers in itertools.product(*(range(len(options)) for options in bench.options)):
        expected = executor.compose(bench.choices(numbers, 1)).run(x)["head"]
        np.testing.assert_array_equal(bench.composition(numbers, 1).run(x)["head"], expected)
    executor.close()


def test_the_input_is_of_the_range_that_the_model_takes(tiny_store: Store) -> None:
    spec, x = tiny_store.manifest.inputs[0], input_of(tiny_store)["image"]
    assert x.shape == spec.shape
    assert spec.range[0] <= x.min() < x.max() <= spec.range[1]


def test_each_round_times_every_option_equally_often_at_every_thread_count(bench: Bench) -> None:
    timings, rng = Timings(), random.Random(0)
    for _ in range(4):
        sample_round(bench, timings, rng)
    assert sorted(timings.first) == sorted(timings.warm) == sorted(keys(bench))
    for key in keys(bench):
        fixed = len(bench.options[int(key.split("/")[1])]) == 1
        runs = 4 * (OPTIONS if fixed else 1)
        assert len(timings.first[key]) == runs
        assert len(timings.warm[key]) == WARM_RUNS * runs
        assert min(timings.first[key] + timings.warm[key]) > 0
    for n in THREADS:
        assert len(timings.whole[str(n)]) == len(timings.choices[str(n)]) == 4 * OPTIONS
        for column, options in zip(zip(*timings.choices[str(n)], strict=True), bench.options, strict=True):
            assert {column.count(i) for i in range(len(options))} == {4 * OPTIONS // len(options)}


def test_rounds_combine_options_differently(bench: Bench) -> None:
    timings, rng = Timings(), random.Random(0)
    for _ in range(10):
        sample_round(bench, timings, rng)
    assert len(set(timings.choices["1"])) > OPTIONS


def test_skipped_options_are_not_timed(tiny_store: Store) -> None:
    block = tiny_store.manifest.blocks[0]
    opened = Bench(tiny_store, (1,), [block.options[1]])
    timings = Timings()
    sample_round(opened, timings, random.Random(0))
    assert {key for key in timings.warm if key.startswith("1/0/")} == {"1/0/0", "1/0/1"}
    assert [c.option for c in opened.choices((1, 1, 0), 1)] == ["s0.75", "s0.5", "s0"]
    assert (block.name, "s0.5") not in latency_summary(opened, timings)
    opened.close()


def test_a_run_tells_what_each_segment_takes() -> None:
    pauses = (0.002, 0.02, 0.006)
    composition = ComposedModel((), [lambda s=s: time.sleep(s) for s in pauses], {}, (), Lifetime("it"))  # type: ignore[misc]
    for found, pause in zip(latency._run(composition, {}), pauses, strict=True):
        assert pause * 1e3 <= found < pause * 1e3 + 10


def test_switching_goes_on_as_often_as_one_likes(tiny_store: Store) -> None:
    opened = Bench(tiny_store, (1,))
    for numbers in ((0, 0, 0), (2, 1, 0), (0, 2, 0), (2, 1, 0)):
        opened.switch_and_run(numbers, 1)
    opened.close()


def test_a_damaged_store_is_not_timed(store_copy: Path) -> None:
    store = Store(store_copy)
    (store.path / store.manifest.segments[0].options[1].file).unlink()
    with pytest.raises(StoreError, match="is missing"):
        Bench(store, (1,))


# --- keeping timings -------------------------------------------------------------------------------------------------

milliseconds = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5)
samples = st.dictionaries(st.from_regex(r"[1-8]/[0-9]/[0-9]", fullmatch=True), milliseconds, max_size=5)
rows = st.lists(st.tuples(*[st.integers(0, 30)] * 3), min_size=1, max_size=5)


@given(samples, samples, st.dictionaries(st.sampled_from(["1", "2", "16"]), milliseconds), st.data())
def test_timings_survive_a_file(
    tmp_path_factory: pytest.TempPathFactory,
    first: latency.Samples,
    warm: latency.Samples,
    whole: latency.Samples,
    data: st.DataObject,
) -> None:
    choices = {key: data.draw(rows) for key in whole}
    timings = Timings(first, warm, whole, choices, data.draw(st.floats(0, 1e6)))
    path = tmp_path_factory.getbasetemp() / "timings.npz"
    write_arrays(path, timings.arrays())
    assert Timings.of(read_arrays(path, ProfileError, "")) == timings


def test_no_arrays_are_no_timings() -> None:
    assert Timings.of({}) == Timings()


# --- how well a median is known --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [15, 60, 400])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_the_interval_holds_the_true_median_19_times_in_20(count: int, shape: str) -> None:
    rng, size = np.random.default_rng(count), (1500, count)
    values = 10 + (rng.normal(0, 1, size) if shape == "normal" else rng.exponential(1, size) - np.log(2))
    found = np.median(values, axis=1)
    near = np.abs(found - 10) <= found * [half_width(row) for row in values.tolist()]
    assert 0.925 <= near.mean() <= 0.99


def test_four_times_as_many_values_halve_it() -> None:
    rng = np.random.default_rng(0)
    widths = [np.mean([half_width(rng.normal(10, 1, n).tolist()) for _ in range(300)]) for n in (50, 200, 800)]
    for wide, narrow in itertools.pairwise(widths):
        assert wide / narrow == pytest.approx(2, rel=0.15)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=60), st.floats(0.01, 100), st.randoms())
def test_it_knows_no_unit_and_no_order(values: list[float], factor: float, rng: random.Random) -> None:
    mixed = [v * factor for v in rng.sample(values, len(values))]
    assert half_width(mixed) == pytest.approx(half_width(values), rel=1e-6, abs=1e-9)


def test_few_values_say_nothing() -> None:
    assert half_width([1.0] * 6) == float("inf")
    assert half_width([1.0] * 7) == 0


# --- when it ends ----------------------------------------------------------------------------------------------------


def rounds(timings: Timings) -> int:
    return len(timings.first["1/0/0"])


def test_it_ends_when_medians_are_known_well_enough(bench: Bench) -> None:
    start = time.monotonic()
    timings = measure_latency(bench, seconds=300, precision=0.9)
    assert time.monotonic() - start < 60
    assert rounds(timings) >= LEAST_ROUNDS
    assert max(half_width(values) for values in timings.warm.values()) <= 0.9


def test_it_ends_when_the_time_is_up_but_not_before_some_rounds(bench: Bench) -> None:
    start = time.monotonic()
    timings = measure_latency(bench, seconds=0.5, precision=1e-9)
    assert 0.5 <= time.monotonic() - start < 20
    assert 0.5 <= timings.seconds < 20
    assert rounds(measure_latency(bench, seconds=1e-6, precision=1e-9)) == LEAST_ROUNDS


def test_it_goes_on_with_what_it_had(bench: Bench) -> None:
    saved: list[Timings] = []
    first = measure_latency(bench, 0.3, 1e-9, save=lambda t: saved.append(Timings.of(t.arrays())))
    assert saved[-1] == first
    before = Timings.of(first.arrays())
    # All of its time is used up: one round more, whatever that finds.
    after = measure_latency(bench, 0.3, 1e-9, timings=Timings.of(first.arrays()))
    assert rounds(after) == rounds(before) + 1
    for key, values in before.warm.items():
        assert after.warm[key][: len(values)] == values
    assert after.choices["1"][: len(before.choices["1"])] == before.choices["1"]
    # With more time it takes what is left of it.
    start = time.monotonic()
    measure_latency(bench, first.seconds + 0.5, 1e-9, timings=Timings.of(first.arrays()))
    assert 0.5 <= time.monotonic() - start < first.seconds + 5


def test_progress_names_the_store(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    measure_latency(bench, seconds=0.1, precision=0.5)
    assert "timing tiny" in capfd.readouterr().err


# --- what comes of it ------------------------------------------------------------------------------------------------


def made_up(bench: Bench, beyond: float) -> tuple[Timings, dict[str, float]]:
    """Timings whose medians, and what wholes take beyond them, are known; with wild values among them."""
    rng, timings, medians = np.random.default_rng(0), Timings(), {}
    for key in keys(bench):
        medians[key] = float(rng.uniform(1, 5))
        timings.first[key] = [2 * medians[key]] * 9
        timings.warm[key] = [medians[key] * f for f in (0.9, 0.95, 1, 1, 1, 1.05, 9)]
    draw = random.Random(0)
    for n in bench.threads:
        plans = [bench.draw(draw) for _ in range(40)]
        timings.choices[str(n)] = plans
        sums = [sum(medians[f"{n}/{s}/{i}"] for s, i in enumerate(plan)) for plan in plans]
        timings.whole[str(n)] = [v + (30.0 if p % 10 == 0 else n * beyond) for p, v in enumerate(sums)]
    return timings, medians


def test_the_chains_overhead_is_what_wholes_take_beyond_their_parts(bench: Bench) -> None:
    found = chain(bench, made_up(bench, 0.25)[0])
    assert [c.threads for c in found] == [1, 2]
    assert [c.overhead_ms for c in found] == pytest.approx([0.25, 0.5])


def test_a_chain_is_never_said_to_take_less_than_its_parts(bench: Bench) -> None:
    assert [c.overhead_ms for c in chain(bench, made_up(bench, -0.25)[0])] == [0, 0]


def test_a_summary_has_the_figures_of_every_option(bench: Bench) -> None:
    timings, medians = made_up(bench, 0.0)
    found = latency_summary(bench, timings)
    assert list(found) == [
        (s.name, o.name) for s, options in zip(bench.segments, bench.options, strict=True) for o in options
    ]
    for s, (segment, options) in enumerate(zip(bench.segments, bench.options, strict=True)):
        for i, option in enumerate(options):
            for entry, n in zip(found[segment.name, option.name], THREADS, strict=True):
                median = medians[f"{n}/{s}/{i}"]
                assert entry.threads == n
                assert entry.runs == 7
                assert entry.median_ms == pytest.approx(median)
                assert entry.min_ms == pytest.approx(0.9 * median)
                assert entry.first_ms == pytest.approx(2 * median)
                assert median < entry.p95_ms < 9 * median
