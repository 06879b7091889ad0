"""A replayed trace says, for each budget, what ran, what was loaded for it, and what was measured."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from legodnn import Budget, Runtime
from legodnn.errors import InputError
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.replay import replay
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress


def inputs(store: Store, count: int = 4, y: np.ndarray | None = None) -> dict[str, Inputs]:
    shape = store.manifest.inputs[0].shape
    return {store.name: Inputs(np.random.default_rng(0).random((count, *shape), np.float32), y)}


def least_memory(runtime: Runtime) -> int:
    return sum(min(o.memory_bytes for o in s.options) for t in runtime.scheduler.tables for s in (*t.blocks, *t.fixed))


def test_every_budget_is_a_step_and_a_refused_one_keeps_the_plan(
    tiny_store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        tight, progress = Budget(memory_bytes=least_memory(runtime)), RecordedProgress()
        labels = np.zeros(4, np.int64)
        trace = [Budget(), tight, Budget(memory_bytes=1), Budget()]
        steps = replay(runtime, inputs(tiny_store, y=labels), trace, progress=progress)
    assert [step.budget for step in steps] == trace
    assert [step.refused is None for step in steps] == [True, True, False, True]
    assert steps[1].plan.memory_bytes <= tight.memory_bytes  # type: ignore[operator]
    assert steps[2].plan == steps[1].plan
    assert (steps[2].loaded, steps[2].plan_ms, steps[2].switch_ms) == ((), 0, 0)
    assert steps[3].plan.objective == steps[0].plan.objective
    assert {block.split("/")[0] for step in steps for block in step.loaded} == {"tiny"}
    for step in steps:
        measured = step.models["tiny"]
        assert measured.inferences == 4
        assert 0 < measured.median_ms <= measured.quantile_ms
        assert measured.accuracy is not None
        assert 0 <= measured.accuracy <= 1
    assert progress.labels() == ["replaying budgets"]
    progress.check_complete()
    assert capfd.readouterr() == ("", "")


def test_what_is_above_the_limit_is_above_the_one_that_was_asked_for_also_if_it_was_refused(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        wide, refused, none = Budget(latency_ms=1e5), Budget(latency_ms=1e-6), Budget(memory_bytes=1)
        steps = replay(runtime, inputs(tiny_store), [wide, refused, none])
    assert [step.refused is None for step in steps] == [True, False, False]
    assert [step.latency_limits_ms for step in steps] == [{"tiny": 1e5}, {"tiny": 1e-6}, {}]
    assert [step.models["tiny"].above_limit for step in steps] == [0.0, 1.0, None]


def test_the_watch_is_called_after_every_inference_with_the_times_so_far(tiny_store: Store) -> None:
    seen: list[int] = []

    def watch(runtime: Runtime, times: Mapping[str, Sequence[float]]) -> None:
        seen.append(len(times["tiny"]))

    with Runtime.open([tiny_store.path]) as runtime:
        replay(runtime, inputs(tiny_store, 3), [Budget(), Budget()], watch)
    assert seen == [1, 2, 3, 1, 2, 3]


def test_inputs_are_run_again_for_so_long_and_kept_and_scored_once(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    clock = itertools.count(0.0, 0.15)  # each look at it is so many seconds later
    monkeypatch.setattr("legodnn.runtime.feeds.replay.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with Runtime.open([tiny_store.path]) as runtime:
        of = inputs(tiny_store, y=np.zeros(4, np.int64))
        again = replay(runtime, of, [Budget(), Budget()], keep=lambda *what: kept.append(what[2]), seconds=0.4)
        once = replay(runtime, of, [Budget()])
    assert kept == [0, 1, 2, 3] * 2
    for step in again:
        assert step.models["tiny"].inferences == 3 * 4
        assert step.models["tiny"].accuracy == once[0].models["tiny"].accuracy
        assert step.memory_bytes > 0


def test_what_is_reported_is_what_a_governor_is_told(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        told: list[float] = []
        runtime.on_inference = lambda plan, latency_ms: told.append(latency_ms)
        (step,) = replay(runtime, inputs(tiny_store, 5), [runtime.budget])
    assert step.models["tiny"].median_ms == statistics.median(told)


def test_models_take_turns_until_their_own_inputs_end(tiny_store: Store, tiny_store2: Store) -> None:
    with Runtime.open([tiny_store.path, tiny_store2.path]) as runtime:
        (step,) = replay(runtime, {**inputs(tiny_store, 5), **inputs(tiny_store2, 2)}, [Budget()])
    assert {name: m.inferences for name, m in step.models.items()} == {"tiny": 5, "tiny2": 2}
    assert step.models["tiny"].accuracy is None


def test_labels_that_do_not_fit_the_output_are_refused(tiny_store: Store) -> None:
    labels = np.zeros((4, 3, 3), np.int64)
    with Runtime.open([tiny_store.path]) as runtime, pytest.raises(InputError, match="each label of tiny has shape"):
        replay(runtime, inputs(tiny_store, y=labels), [Budget()])
