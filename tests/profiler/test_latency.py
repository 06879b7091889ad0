"""Every option is timed equally often, inside whole compositions that run on, until it is known or the time is up."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.lifetime import Lifetime
from legodnn.profiler import latency
from legodnn.profiler.bench import Bench
from legodnn.profiler.in_use import option_latencies
from legodnn.profiler.latency import (
    LEAST_ROUNDS,
    WARM_RUNS,
    Timings,
    half_width,
    measure_latency,
    sample_round,
)
from legodnn.profiler.profiling_state import ProfilingState, StageState
from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress

THREADS = (1, 2)
OPTIONS = 3  # of the widest segment


@pytest.fixture(scope="module")
def bench(tiny_store: Store) -> Iterator[Bench]:
    opened = Bench(tiny_store, THREADS)
    yield opened
    opened.close()


def choices(bench: Bench) -> list[Choice]:
    """Every option at every thread count."""
    return [
        Choice(segment.name, option.name, n)
        for n in bench.threads
        for segment, options in zip(bench.segments, bench.options, strict=True)
        for option in options
    ]


# --- what is timed ---------------------------------------------------------------------------------------------------


def test_each_round_times_every_option_equally_often_at_every_thread_count(bench: Bench) -> None:
    timings, rng = Timings(), random.Random(0)
    for _ in range(4):
        sample_round(bench, timings, rng)
    assert set(timings.first) == set(timings.warm) == set(choices(bench))
    for key in choices(bench):
        fixed = key.segment == "head"
        runs = 4 * (OPTIONS if fixed else 1)
        assert len(timings.first[key]) == runs
        assert len(timings.warm[key]) == WARM_RUNS * runs
        assert min(timings.first[key] + timings.warm[key]) > 0
    for n in THREADS:
        assert len(timings.whole[n]) == len(timings.compositions[n]) == 4 * 2


def test_rounds_combine_options_differently(bench: Bench) -> None:
    timings, rng = Timings(), random.Random(0)
    for _ in range(10):
        sample_round(bench, timings, rng)
    assert len(set(timings.compositions[1])) > OPTIONS


def test_skipped_options_are_not_timed(tiny_store: Store) -> None:
    block = tiny_store.manifest.blocks[0]
    opened = Bench(tiny_store, (1,), [block.options[1]])
    timings = Timings()
    sample_round(opened, timings, random.Random(0))
    assert {key.option for key in timings.warm if key.segment == block.name} == {"s0", "s0.75"}
    assert [c.option for c in opened.choices((1, 1, 0), 1)] == ["s0.75", "s0.5", "s0"]
    assert (block.name, "s0.5") not in option_latencies(opened, timings)
    opened.close()


def test_a_run_tells_what_each_segment_takes() -> None:
    pauses = (0.002, 0.02, 0.006)
    composition = ComposedModel((), [lambda s=s: time.sleep(s) for s in pauses], {}, (), Lifetime("it"))  # type: ignore[misc]
    start = time.perf_counter()
    found = latency._segment_ms(composition, {})
    whole_ms = (time.perf_counter() - start) * 1e3
    assert all(ms >= 1e3 * pause for ms, pause in zip(found, pauses, strict=True))
    assert sum(found) <= whole_ms


# --- keeping timings -------------------------------------------------------------------------------------------------

milliseconds = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5)
names = st.text('ab/"é', min_size=1, max_size=3)
samples = st.dictionaries(st.builds(Choice, names, names, st.integers(1, 8)), milliseconds, max_size=5)
rows = st.lists(st.tuples(*[st.integers(0, 30)] * 3), min_size=1, max_size=5)


@given(samples, samples, st.dictionaries(st.sampled_from([1, 2, 16]), milliseconds), st.data())
def test_timings_survive_a_file(
    tmp_path_factory: pytest.TempPathFactory,
    first: latency.Samples,
    warm: latency.Samples,
    whole: dict[int, list[float]],
    data: st.DataObject,
) -> None:
    compositions = {key: data.draw(rows) for key in whole}
    timings = Timings(first, warm, whole, compositions, data.draw(st.floats(0, 1e6)))
    path = tmp_path_factory.getbasetemp() / "timings.work"
    path.unlink(missing_ok=True)
    ProfilingState(path, {}).stage("latency").save(timings.to_arrays())
    assert Timings.from_arrays(ProfilingState(path, {}).stage("latency").done) == timings


def test_no_arrays_are_no_timings() -> None:
    assert Timings.from_arrays({}) == Timings()


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
    return len(timings.first[Choice("block1", "s0", 1)])


@pytest.fixture
def steady(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that take a quarter of a second each, and times that are spread alike on any machine."""
    clock, rng = [100.0], np.random.default_rng(0)

    def drawn_round(_: Bench, timings: Timings, __: random.Random) -> None:
        clock[0] += 0.25
        for key in choices(bench):
            timings.first[key].append(2.0)
            timings.warm[key] += rng.uniform(0.8, 1.2, WARM_RUNS).tolist()

    monkeypatch.setattr(latency, "sample_round", drawn_round)
    monkeypatch.setattr(latency, "time", SimpleNamespace(monotonic=lambda: clock[0]))


@pytest.mark.usefixtures("steady")
def test_it_ends_when_medians_are_known_well_enough(bench: Bench) -> None:
    rough, fine = (measure_latency(bench, seconds=1e6, precision=precision) for precision in (0.1, 0.02))
    for timings, precision in ((rough, 0.1), (fine, 0.02)):
        assert 0.6 * precision < max(half_width(values) for values in timings.warm.values()) <= precision
    assert LEAST_ROUNDS < rounds(rough) < rounds(fine) / 9, "a fifth of the width takes 25 times as many"
    assert fine.seconds == 0.25 * (rounds(fine) + 1)


@pytest.mark.usefixtures("steady")
def test_it_ends_when_the_time_is_up_but_not_before_some_rounds(bench: Bench) -> None:
    timings = measure_latency(bench, seconds=5.1, precision=1e-9)
    assert (timings.seconds, rounds(timings)) == (5.25, 20)  # beside one that only warms up
    assert rounds(measure_latency(bench, seconds=1e-6, precision=1e-9)) == LEAST_ROUNDS
    more = measure_latency(bench, timings.seconds + 1.1, 1e-9, StageState(timings.to_arrays()))
    assert (more.seconds, rounds(more)) == (6.5, 24), "only what is left of the time is taken"


def test_it_goes_on_with_what_it_had(bench: Bench) -> None:
    saved: list[Timings] = []
    keeping = StageState({}, lambda arrays: saved.append(Timings.from_arrays(arrays)))
    first = measure_latency(bench, 0.3, 1e-9, keeping)
    assert saved[-1] == first
    before, kept = Timings.from_arrays(first.to_arrays()), StageState(first.to_arrays())
    # All of its time is used up: one round more, whatever that finds.
    after = measure_latency(bench, 0.3, 1e-9, kept)
    assert rounds(after) == rounds(before) + 1
    for key, values in before.warm.items():
        assert after.warm[key][: len(values)] == values
    assert after.compositions[1][: len(before.compositions[1])] == before.compositions[1]


def test_progress_counts_seconds_and_nothing_is_printed(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    progress = RecordedProgress()
    measure_latency(bench, seconds=1.0, precision=1e-9, progress=progress)
    assert progress.labels() == ["timing tiny"]
    progress.check_complete()
    assert "%" in progress.tasks[0].notes[-1]
    measure_latency(bench, seconds=0.1, precision=0.5)
    assert capfd.readouterr() == ("", "")
