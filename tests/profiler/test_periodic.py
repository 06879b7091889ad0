"""The tail after pauses is measured after pauses, of compositions that are predicted, and kept over interruptions."""

from __future__ import annotations

import time

import numpy as np
import pytest

from legodnn.profile import ChainOverhead, Latency
from legodnn.profiler import periodic
from legodnn.profiler.bench import Bench
from legodnn.profiler.periodic import tails_after_pauses
from legodnn.profiler.profiling_state import StageState
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress

TAKES_MS = (ChainOverhead(threads=1, overhead_ms=2.0), ChainOverhead(threads=2, overhead_ms=2.0))


@pytest.fixture
def bench(tiny_store: Store) -> Bench:
    return Bench(tiny_store, (1, 2))


def nothing(bench: Bench) -> dict[tuple[str, str], tuple[Latency, ...]]:
    """Figures of options that take no time, so that the overhead alone is predicted."""
    none = tuple(Latency(threads=n, runs=9, min_ms=0.0, median_ms=0.0, p95_ms=0.0) for n in (1, 2))
    return {(s.name, o.name): none for s in bench.store.manifest.segments for o in s.options}


def test_every_thread_count_has_a_tail_and_what_was_measured_is_kept(bench: Bench) -> None:
    progress, saved = RecordedProgress(), []
    start = time.monotonic()
    stage = StageState({}, lambda arrays: saved.append({threads: ms.copy() for threads, ms in arrays.items()}))
    tails = tails_after_pauses(bench, nothing(bench), TAKES_MS, 3, stage, progress)
    assert time.monotonic() - start > 2 * 3 * 8 * periodic._PAUSE_S  # however fast the machine is
    assert [tail.key for tail in tails] == [(1, "periodic", None), (2, "periodic", None)]
    assert [tail.inferences for tail in tails] == [24, 24]
    assert [list(kept) for kept in saved] == [[1], [1, 2]]
    assert saved[-1][2].shape == (3, 8)
    progress.check_complete()

    again = RecordedProgress()
    assert tails_after_pauses(bench, nothing(bench), TAKES_MS, 3, StageState(saved[-1]), again) == tails
    assert again.tasks == []  # measured before
    assert tails_after_pauses(bench, {}, (), 0) == ()
    bench.close()


def test_the_tail_is_how_far_inferences_are_above_their_predictions(tiny_store: Store) -> None:
    """Inferences that were kept, of compositions that are predicted to take 2 ms."""
    ms = np.full((20, 8), 3.0)
    ms[:, 0] = 5.0  # an eighth of each is late
    bench = Bench(tiny_store, (1,))
    (tail,) = tails_after_pauses(bench, nothing(bench), TAKES_MS, 20, StageState({1: ms}))
    bench.close()
    at = dict(zip(tail.quantiles, tail.stretch, strict=True))
    assert (at[0.5], at[0.95]) == (1.5, 2.5)
