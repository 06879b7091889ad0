"""Plans are predicted from their parts and the chain, and the error is what running them shows."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from legodnn.profile import ChainOverhead, Latency, OptionKey
from legodnn.profiler import validation
from legodnn.profiler.bench import Bench, RunnableModel
from legodnn.profiler.latency import RUNS_TO_SETTLE
from legodnn.profiler.profiling_state import StageState
from legodnn.profiler.validation import measure_plans, predict, validate
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress

Figures = dict[OptionKey, tuple[Latency, ...]]


@pytest.fixture(scope="module")
def bench(tiny_store: Store) -> Iterator[Bench]:
    opened = Bench(tiny_store, (1, 2))
    yield opened
    opened.close()


def figure(threads: int, ms: float) -> Latency:
    return Latency(threads=threads, runs=9, min_ms=ms, median_ms=ms, p95_ms=ms)


def test_a_prediction_is_the_sum_of_medians_and_what_the_chain_takes(bench: Bench) -> None:
    ms = {
        ("block1", "s0"): 4.0,
        ("block1", "s0.5"): 2.0,
        ("block1", "s0.75"): 1.0,
        ("block2", "s0"): 40.0,
        ("block2", "s0.5"): 20.0,
        ("block2", "s0.75"): 10.0,
        ("head", "s0"): 0.5,
    }
    figures = {key: (figure(1, v), figure(2, v * 3)) for key, v in ms.items()}
    overheads = (ChainOverhead(threads=1, overhead_ms=0.125), ChainOverhead(threads=2, overhead_ms=0.25))
    plans = [(0, 0, 0), (1, 2, 0), (2, 1, 0)]
    assert predict(bench, plans, 1, figures, overheads) == [44.625, 12.625, 21.625]
    assert predict(bench, plans, 2, figures, overheads) == [133.75, 37.75, 64.75]
    assert predict(bench, plans, 1, figures, ()) == [44.5, 12.5, 21.5]


def test_plans_take_turns_at_least_some_times(bench: Bench) -> None:
    times = measure_plans(bench, [(0, 0, 0), (2, 2, 0)], threads=1, seconds=0.0)
    assert times.shape == (2, 6, 5)
    assert times.min() > 0


def test_compositions_settle_before_they_are_timed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run, ran = RunnableModel.run, []

    def counted(model: RunnableModel) -> None:
        ran.append(model.composition.choices)
        run(model)

    monkeypatch.setattr(RunnableModel, "run", counted)
    times = measure_plans(bench, [(0, 0, 0), (2, 2, 0)], threads=1, seconds=0.0)
    settling = ran[: len(ran) - times.size]
    assert set(Counter(settling).values()) == {RUNS_TO_SETTLE}
    assert set(settling) == set(ran)


@pytest.fixture
def figures(bench: Bench) -> Figures:
    """Of options that each take a millisecond, with two threads half of one."""
    return {(s.name, o.name): (figure(1, 1.0), figure(2, 0.5)) for s in bench.segments for o in s.options}


OVERHEADS = (ChainOverhead(threads=1, overhead_ms=1.0), ChainOverhead(threads=2, overhead_ms=0.5))


def test_validation_covers_every_thread_count(bench: Bench, figures: Figures) -> None:
    progress, saved = RecordedProgress(), []
    stage = StageState({}, lambda arrays: saved.append(list(arrays)))
    found, tails = validate(bench, figures, OVERHEADS, plans=6, seconds=1.0, stage=stage, progress=progress)
    assert [(v.threads, v.plans) for v in found] == [(1, 6), (2, 6)]
    for v in found:
        assert 0 <= v.median_error <= v.p95_error
    assert [t.key for t in tails] == [(n, condition, None) for n in (1, 2) for condition in ("alone", "after")]
    assert saved == [[1], [1, 2]]
    assert progress.labels() == ["validating tiny, 1 thread", "validating tiny, 2 threads"]
    progress.check_complete()


@pytest.mark.parametrize("kept", [np.ones((5, 6, 5)), np.ones((4, 6))], ids=["of other plans", "of another form"])
def test_inferences_that_were_kept_of_something_else_are_measured_anew(
    bench: Bench, figures: Figures, monkeypatch: pytest.MonkeyPatch, kept: NDArray[np.float64]
) -> None:
    monkeypatch.setattr(RunnableModel, "run_ms", lambda _: 4.0)
    found, _ = validate(bench, figures, OVERHEADS, plans=4, seconds=0.0, stage=StageState({1: kept}))
    assert [v.median_error for v in found] == [0.0, 0.5]


def test_an_interrupted_validation_goes_on_with_the_same_compositions(
    bench: Bench, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def measured(bench: Bench, plans: list[tuple[int, ...]], *_: object) -> NDArray[np.float64]:
        drawn.append(plans)
        return np.ones((len(plans), 6, 5))

    monkeypatch.setattr(validation, "measure_plans", measured)
    for _ in range(2):
        validate(bench, figures, OVERHEADS, plans=8, seconds=0.0)
    assert drawn == [drawn[0]] * 4


def test_groups_of_compositions_share_the_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first had too much, the last would lack, and with it all the turns that are kept."""
    seconds = itertools.count(step=0.01)
    monkeypatch.setattr(validation, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(RunnableModel, "run_ms", lambda _: 4.0)
    times = measure_plans(bench, [(0, 0, 0)] * (2 * validation.GROUP), threads=1, seconds=2.0)
    assert times.shape[1] > 30


def test_no_plans_are_no_validation(bench: Bench) -> None:
    assert validate(bench, {}, (), plans=0, seconds=0.1) == ((), ())


@pytest.mark.parametrize(("took", "error"), [(1.0, 0.0), (10.0, 0.9), (0.5, 1.0)])
def test_an_error_is_how_far_predictions_are_from_what_inferences_took(
    bench: Bench, figures: Figures, monkeypatch: pytest.MonkeyPatch, took: float, error: float
) -> None:
    """Of compositions that are predicted to take 4 ms, and 2 ms with two threads."""
    times_ms = {1: 4 * took, 2: 2 * took}
    unsteady = itertools.cycle([0.0] * 4 + [5.0])  # one in five takes far longer: the median sees nothing of it
    monkeypatch.setattr(
        RunnableModel, "run_ms", lambda model: times_ms[model.composition.choices[0].threads] * (1 + next(unsteady))
    )
    found, _ = validate(bench, figures, OVERHEADS, plans=4, seconds=0.0)
    assert [(v.median_error, v.p95_error) for v in found] == [(pytest.approx(error), pytest.approx(error))] * 2


def test_what_the_chain_takes_counts(bench: Bench, figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunnableModel, "run_ms", lambda _: 4.0)
    slow = (ChainOverhead(threads=1, overhead_ms=81.0), ChainOverhead(threads=2, overhead_ms=82.5))
    assert [v.median_error for v in validate(bench, figures, slow, plans=4, seconds=0.0)[0]] == [20, 20]


def test_the_tail_is_how_far_inferences_are_above_their_predictions(bench: Bench) -> None:
    """Inferences that were kept: of two compositions that are predicted to take 2 ms and 4 ms."""
    ms = np.ones((2, 40, 5))
    ms[:, :, 0] = np.array([[3.0], [6.0]])  # the first of each turn takes half as long again
    ms[:, :, 1:] = np.array([2.0, 4.0])[:, None, None]
    ms[0, :5, 1] = 8.0  # and 5 of the 160 that follow of one take four times as long
    figures = {(s.name, o.name): (figure(1, 0.0),) for s in bench.store.manifest.segments for o in s.options}
    overheads = (ChainOverhead(threads=1, overhead_ms=2.0),)
    ms[1] /= 2  # so that both are predicted alike
    one = Bench(bench.store, (1,))
    try:
        _, (alone, after) = validate(one, figures, overheads, plans=2, seconds=0.0, stage=StageState({1: ms}))
    finally:
        one.close()
    assert dict(zip(alone.quantiles, alone.stretch, strict=True))[0.95] == 1.0
    assert dict(zip(alone.quantiles, alone.stretch, strict=True))[0.99] == 4.0
    assert (alone.inferences, after.inferences) == (320, 80)
    assert set(after.stretch) == {1.5}
