"""Every option is weighed in a process of its own store; a process that fails is an error, not a zero."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import ProfileError
from legodnn.profiler.memory import measure_memory, without_drift
from legodnn.profiler.profiling_state import KeptArrays, StageState
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress


def keys(store: Store) -> list[tuple[str, str]]:
    return sorted((s.name, o.name) for s in store.manifest.segments for o in s.options)


def test_every_option_has_memory_and_a_load_time(tiny_store: Store) -> None:
    progress = RecordedProgress()
    measured = measure_memory(tiny_store, processes=2, progress=progress)
    assert progress.labels() == ["weighing tiny"]
    progress.check_complete()
    assert sorted(measured) == keys(tiny_store)
    for memory, load_ms in measured.values():
        # A loaded option takes at least a page, and these are too small to take 50 MB.
        assert 4096 <= memory < 50e6
        assert load_ms > 0


@given(
    st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=30), st.integers(0, 10**8), st.integers(-(10**5), 10**5)
)
def test_what_a_process_grows_by_meanwhile_is_no_options_memory(extra: list[int], base: int, growth: int) -> None:
    readings = [base + growth * i + (extra[i // 2] if i % 2 else 0) for i in range(2 * len(extra) + 1)]
    assert without_drift(readings) == extra


def test_a_process_prints_its_measurements_as_json_and_nothing_else(tiny_store2: Store) -> None:
    command = [sys.executable, "-m", "legodnn.profiler.memory", str(tiny_store2.path), "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    assert sorted((segment, option) for segment, option, _, _ in rows) == keys(tiny_store2)


def test_the_order_differs_from_process_to_process(tiny_store: Store) -> None:
    orders = set()
    for seed in ("0", "1", "2"):
        command = [sys.executable, "-m", "legodnn.profiler.memory", str(tiny_store.path), seed]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        orders.add(tuple((segment, option) for segment, option, _, _ in json.loads(done.stdout)))
    assert len(orders) > 1


def test_measuring_does_not_load_the_offline_stage(tiny_store: Store) -> None:
    program = (
        "import sys; from legodnn.profiler.memory import weigh; from legodnn.store import Store\n"
        f"weigh(Store({str(tiny_store.path)!r}), 0)\n"
        "print([m for m in ('keras', 'tensorflow', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_process_that_fails_is_an_error_with_its_last_line(store_copy: Path) -> None:
    store = Store(store_copy)
    file = store_copy / store.manifest.segments[0].options[0].file
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ProfileError, match=r"the process that measures memory failed: .*has 100 bytes instead of"):
        measure_memory(store, processes=1)


def test_skipped_options_are_not_weighed(tiny_store2: Store) -> None:
    block = tiny_store2.manifest.blocks[0]
    measured = measure_memory(tiny_store2, processes=1, skipped=[block.option("s0.5")])
    assert sorted(measured) == [key for key in keys(tiny_store2) if key != (block.name, "s0.5")]


def test_processes_that_have_ended_before_are_not_started_again(tiny_store2: Store) -> None:
    """Their rows are taken as they are, whatever they say."""
    count = len(keys(tiny_store2))
    done = {seed: np.stack([np.arange(count) + 100 * seed, np.full(count, seed / 4)], axis=1) for seed in range(3)}
    saved: list[KeptArrays] = []
    found = measure_memory(tiny_store2, 3, stage=StageState(done, saved.append))
    assert list(found) == [(s.name, o.name) for s in tiny_store2.manifest.segments for o in s.options]
    assert list(found.values()) == [(100 + i, 0.25) for i in range(count)]
    assert saved == []


def test_only_what_is_missing_is_measured_and_each_process_is_saved(tiny_store2: Store) -> None:
    count = len(keys(tiny_store2))
    done = {0: np.full((count, 2), 1e9), 7: np.zeros((count, 2))}  # of another run with more processes
    saved: list[KeptArrays] = []
    found = measure_memory(tiny_store2, 2, stage=StageState(done, lambda arrays: saved.append(dict(arrays))))
    assert [set(arrays) for arrays in saved] == [{0, 1, 7}]
    for (memory, ms), row in zip(found.values(), saved[0][1], strict=True):
        assert (memory, ms) == pytest.approx(((1e9 + row[0]) / 2, (1e9 + row[1]) / 2), abs=0.6)
