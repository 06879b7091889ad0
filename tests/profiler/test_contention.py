"""How models slow each other down is measured in pairs, each beside each other.

Covers also: profiler.beside, profiler.company.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from legodnn.profile import Profile, default_path
from legodnn.profiler import Effort, profile_store, with_contention
from legodnn.profiler.beside import RunningBeside
from legodnn.profiler.contention import _run_times, measure_contention
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress


def test_every_store_is_measured_beside_each_other(
    tiny_store: Store, tiny_store2: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    progress = RecordedProgress()
    first, second = measure_contention([tiny_store, tiny_store2], seconds=0.1, progress=progress)
    assert [(c.store_id, c.model) for c in first] == [(tiny_store2.id, "tiny2")]
    assert [(c.store_id, c.model) for c in second] == [(tiny_store.id, "tiny")]
    for entry in (*first, *second):
        assert 1 <= entry.slowdown < 1000
    assert progress.labels() == ["contention"]
    progress.check_complete()
    assert capfd.readouterr() == ("", "")


def test_profiles_get_it_and_keep_the_rest(tiny_store: Store, tiny_store2: Store) -> None:
    stores = [tiny_store, tiny_store2]
    profiles = [Profile.load(default_path(store.path)) for store in stores]
    found = with_contention(stores, profiles, seconds=0.05)
    for before, after, other in zip(profiles, found, reversed(stores), strict=True):
        assert [c.store_id for c in after.contention] == [other.id]
        assert after.model_copy(update={"contention": before.contention, "tail": before.tail}) == before


def test_profiles_get_tails_after_and_beside_the_other_at_every_thread_count(
    tiny_store: Store, tiny_store2: Store
) -> None:
    stores = [tiny_store, tiny_store2]
    # Profiled now, not when the tests began: a machine that was busier then would look like a tail.
    effort = Effort(threads=(1, 2), seconds=0.2, processes=1, plans=0)
    profiles = [profile_store(store, effort) for store in stores]
    again = with_contention(stores, with_contention(stores, profiles, seconds=0.02), seconds=0.02)
    for before, after, other in zip(profiles, again, reversed(stores), strict=True):
        keys = [(n, condition, other.id) for n in (1, 2) for condition in ("after", "beside")]
        assert [t.key for t in after.tail] == [*(t.key for t in before.tail), *keys]
        for tail in after.tail[len(before.tail) :]:
            assert tail.inferences >= 240
            assert max(tail.quantiles) >= 0.99
            # Of a model that takes microseconds, on a machine that may be busy: two threads wait for each other there.
            assert 0.05 < tail.stretch[0] < {1: 20, 2: 500}[tail.threads]


def test_one_that_shares_a_resource_is_slowed_by_the_other() -> None:
    """Steps that take turns at a lock stand for models that take turns at a core."""
    lock = threading.Lock()

    def hold(seconds: float) -> None:
        with lock:
            time.sleep(seconds)

    def one() -> None:
        hold(0.003)

    def other() -> None:
        hold(0.02)
        time.sleep(0.0001)

    alone = _run_times(one, 0.1)
    with RunningBeside(other):
        beside = _run_times(one, 0.3)
    assert np.mean(beside) > 1.3 * np.median(alone)


def test_the_other_runs_from_beginning_to_end() -> None:
    runs: list[float] = []

    def step() -> None:
        runs.append(time.monotonic())
        time.sleep(0.002)

    with RunningBeside(step):
        assert runs
        time.sleep(0.05)
    count = len(runs)
    assert count > 5
    time.sleep(0.02)
    assert len(runs) == count


def test_one_that_fails_is_an_error_and_is_not_waited_for() -> None:
    def step() -> None:
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"), RunningBeside(step):
        pass
