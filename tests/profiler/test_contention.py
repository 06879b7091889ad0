"""How models slow each other down is measured in pairs, each beside each other.

Covers also: profiler.beside, profiler.company.
"""

from __future__ import annotations

import itertools
import threading
import time
from types import SimpleNamespace

import pytest

from legodnn.profile import Profile, default_path
from legodnn.profiler import Effort, company, contention, profile_store, with_contention
from legodnn.profiler.bench import RunnableModel
from legodnn.profiler.beside import RunningBeside
from legodnn.profiler.company import tails_in_company
from legodnn.profiler.contention import measure_contention
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress


def test_every_store_is_measured_beside_each_other(
    tiny_store: Store, tiny_store2: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    progress = RecordedProgress()
    first, second = measure_contention([tiny_store, tiny_store2], seconds=0.1, progress=progress)
    assert [(c.store_id, c.model) for c in first] == [(tiny_store2.id, "tiny2")]
    assert [(c.store_id, c.model) for c in second] == [(tiny_store.id, "tiny")]
    assert min(entry.slowdown for entry in (*first, *second)) >= 1
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
    effort = Effort(threads=(1, 2), seconds=0.2, processes=1, plans=0)
    profiles = [profile_store(store, effort) for store in stores]
    again = with_contention(stores, with_contention(stores, profiles, seconds=0.02), seconds=0.02)
    for before, after, other in zip(profiles, again, reversed(stores), strict=True):
        keys = [(n, condition, other.id) for n in (1, 2) for condition in ("after", "beside")]
        assert [t.key for t in after.tail] == [*(t.key for t in before.tail), *keys]
        for tail in after.tail[len(before.tail) :]:
            assert tail.inferences >= 240
            assert max(tail.quantiles) >= 0.99


def test_a_tail_in_company_is_of_what_was_predicted_of_each_composition(
    tiny_store: Store, tiny_store2: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [tiny_store, tiny_store2]
    profiles = [Profile.load(default_path(store.path)) for store in stores]
    monkeypatch.setattr(company, "predict", lambda bench, plans, *_: [2.0] * len(plans))
    monkeypatch.setattr(RunnableModel, "run_ms", lambda _: 5.0)
    for tail in itertools.chain(*tails_in_company(stores, profiles, seconds=0.0)):
        assert set(tail.stretch) == {2.5}


class Took:
    """A model that takes 3 ms by a clock that only it moves, and 20 ms more where another runs meanwhile."""

    def __init__(self, other: Ran) -> None:
        self.now, self.other = 0.0, other

    def run(self) -> None:
        self.now += 0.003
        if self.other.thread is not None and self.other.thread.is_alive():
            before = self.other.count
            while self.other.count == before:
                time.sleep(0)
            self.now += 0.02


class Ran:
    """A model that counts how often it ran."""

    count = 0
    thread: threading.Thread | None = None

    def run(self) -> None:
        self.count, self.thread = self.count + 1, threading.current_thread()


def test_a_slowdown_is_what_one_takes_while_the_other_runs_by_what_it_takes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Ran()
    one = Took(other)
    monkeypatch.setattr(contention, "time", SimpleNamespace(perf_counter=lambda: one.now))
    assert contention._slowdown(one, other, 1.0) == pytest.approx(23 / 3)  # type: ignore[arg-type]
    assert other.thread is not None
    assert not other.thread.is_alive()


def test_the_other_runs_from_beginning_to_end() -> None:
    runs: list[float] = []

    def step() -> None:
        runs.append(time.monotonic())
        time.sleep(0.002)

    with RunningBeside(step):
        assert runs
        while len(runs) <= 5:
            time.sleep(0.001)
    count = len(runs)
    time.sleep(0.02)
    assert len(runs) == count


def test_one_that_fails_is_an_error_and_is_not_waited_for() -> None:
    def step() -> None:
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"), RunningBeside(step):
        pass
