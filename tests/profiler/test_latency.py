"""Every option is timed equally often, at the thread count asked for, inside whole compositions."""

from __future__ import annotations

import pytest

from legodnn.errors import StoreError
from legodnn.profile import Latency
from legodnn.profiler.latency import measure_latency
from legodnn.store import Store


def keys(store: Store) -> set[tuple[str, str]]:
    return {(s.name, o.name) for s in store.manifest.segments for o in s.options}


@pytest.fixture(scope="module")
def measured(tiny_store: Store) -> dict[tuple[str, str], Latency]:
    return measure_latency(tiny_store, threads=2, rounds=7)


def test_every_option_of_every_segment_is_timed(measured: dict[tuple[str, str], Latency], tiny_store: Store) -> None:
    assert set(measured) == keys(tiny_store)
    assert all(latency.threads == 2 for latency in measured.values())


def test_an_option_is_timed_once_a_round_and_a_fixed_segment_each_time_it_runs(
    measured: dict[tuple[str, str], Latency], tiny_store: Store
) -> None:
    for block in tiny_store.manifest.blocks:
        assert {measured[block.name, o.name].runs for o in block.options} == {7}
    assert measured["head", "s0"].runs == 7 * 3


def test_figures_are_in_order(measured: dict[tuple[str, str], Latency]) -> None:
    for latency in measured.values():
        assert 0 < latency.min_ms <= latency.median_ms <= latency.p95_ms


def test_a_damaged_store_is_not_timed(store_copy: object, tiny_store: Store) -> None:
    store = Store(str(store_copy))
    (store.path / store.manifest.segments[0].options[1].file).unlink()
    with pytest.raises(StoreError, match="is missing"):
        measure_latency(store, threads=1, rounds=1)


def test_progress_names_store_and_threads(tiny_store2: Store, capfd: pytest.CaptureFixture[str]) -> None:
    measure_latency(tiny_store2, threads=2, rounds=1)
    assert "timing tiny2, 2 threads" in capfd.readouterr().err
