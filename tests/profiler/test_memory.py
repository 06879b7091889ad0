"""Every option is weighed in a process of its own store; a process that fails is an error, not a zero."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn.errors import ProfileError
from legodnn.profiler.memory import measure_memory
from legodnn.profiler.profiling_state import KeptArrays, StageState
from legodnn.store import Store
from tests.profiler.recorded_progress import RecordedProgress


def keys(store: Store) -> list[tuple[str, str]]:
    return sorted((s.name, o.name) for s in store.manifest.segments for o in s.options)


def test_every_option_has_memory_and_a_load_time(tiny_store: Store) -> None:
    progress = RecordedProgress()
    measured, company_bytes = measure_memory(tiny_store, processes=2, progress=progress)
    assert progress.labels() == ["weighing tiny"]
    progress.check_complete()
    assert sorted(measured) == keys(tiny_store)
    assert company_bytes >= 0
    for footprint in measured.values():
        assert 0 <= footprint.memory_bytes < 50e6  # what these small ones never take, however memory is divided
        assert footprint.load_ms > 0
    # A loaded model takes at least a page. Which option has it of a model this small is by chance.
    assert sum(measured[s.name, s.original.name].memory_bytes for s in tiny_store.manifest.segments) >= 4096


def test_company_adds_little_to_a_small_model(tiny_store2: Store) -> None:
    """What else the machine does may add to a reading, but not to some reading of each of three measurements."""
    assert any(measure_memory(tiny_store2, processes=1).company_bytes < 1e6 for _ in range(3))


def test_memory_that_is_measured_is_within_what_is_predicted_after_switches(tiny_store2: Store) -> None:
    """In a process that has switched at random, and not measured anything before.

    What else the machine does may disturb one measurement or the other. What is wrong is so in all of three.
    """
    assert any(_most_above(tiny_store2) <= 0.5e6 for _ in range(3))


def _most_above(store: Store) -> float:
    """The most bytes that a process holds above what is predicted of the composition that it runs."""
    measured = measure_memory(store, processes=1).options
    program = (
        "import json, random, sys\n"
        "from legodnn.profiler.memory import _switched\n"
        "from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory\n"
        "from legodnn.runtime.executors.base import Choice\n"
        "from legodnn.runtime.executors.select import open_executor, warm_up\n"
        "from legodnn.store import Store\n"
        "store, rng = Store(sys.argv[1]), random.Random(99)\n"
        "inputs = {spec.name: spec.zeros() for spec in store.manifest.inputs}\n"
        "warm_up(store); release_freed_memory(); base = process_memory_bytes(); executor = open_executor(store)\n"
        "for _ in range(20):\n"
        "    choices = tuple(Choice(s.name, rng.choice(s.options).name, 1) for s in store.manifest.segments)\n"
        "    running, _ = _switched(executor, choices, inputs); release_freed_memory()\n"
        "    print(json.dumps([process_memory_bytes() - base, [c.option for c in choices]]))\n"
    )
    command = [sys.executable, "-c", program, str(store.path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 20
    above = []
    for held, names in map(json.loads, lines):
        chosen = zip((s.name for s in store.manifest.segments), names, strict=True)
        above.append(held - sum(measured[key].memory_bytes for key in chosen))
    return max(above)


def test_a_process_prints_its_measurements_as_json_and_nothing_else(tiny_store2: Store) -> None:
    command = [sys.executable, "-m", "legodnn.profiler.memory", str(tiny_store2.path), "5", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    segments = tiny_store2.manifest.segments
    assert {(i, n) for row in rows for i, n in enumerate(row[:-3])} == {
        (i, n) for i, s in enumerate(segments) for n in range(len(s.options))
    }
    in_company = [row[-1] for row in rows]
    assert in_company == [0] * (len(rows) - 12) + [1] * 12


def test_the_order_differs_from_process_to_process(tiny_store: Store) -> None:
    orders = set()
    for seed in ("0", "1", "2"):
        command = [sys.executable, "-m", "legodnn.profiler.memory", str(tiny_store.path), seed, "0"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        orders.add(tuple(tuple(row[:-3]) for row in json.loads(done.stdout)))
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
    assert sorted(measured.options) == [key for key in keys(tiny_store2) if key != (block.name, "s0.5")]


def readings(store: Store, ms: float, more: float = 0.0) -> np.ndarray:
    """Of one process, in which every segment took a megabyte, and options 1 and 2 saved 100 and 200 kB."""
    count = len(store.manifest.segments)
    originals = [0] * count
    drawn = [originals]
    for i, segment in enumerate(store.manifest.segments):
        for number in range(1, len(segment.options)):
            drawn += [originals, [*originals[:i], number, *originals[i + 1 :]]]
    return np.array([[*n, count * 1e6 - 1e5 * sum(n) + more, ms, 0] for n in drawn])


def test_processes_that_have_ended_before_are_not_started_again(tiny_store2: Store) -> None:
    """Their readings are taken as they are; the sums hold for all of them, and the median time counts."""
    done = {seed: readings(tiny_store2, ms, more) for seed, (ms, more) in enumerate([(2.0, 0), (9.0, 3e4), (4.0, 0)])}
    saved: list[KeptArrays] = []
    found = measure_memory(tiny_store2, 3, stage=StageState(done, saved.append)).options
    segments = tiny_store2.manifest.segments
    assert list(found) == [(s.name, o.name) for s in segments for o in s.options]
    deviation = np.std([0, 0, 3e4])
    assert sum(found[s.name, s.original.name].memory_bytes for s in segments) == pytest.approx(
        len(segments) * 1e6 + 3e4 + deviation, abs=10
    )
    for segment in segments:
        original, *others = (found[segment.name, o.name] for o in segment.options)
        assert original.load_ms == pytest.approx(4.0 / len(segments))
        for number, other in enumerate(others, 1):
            assert original.memory_bytes - other.memory_bytes == pytest.approx(1e5 * number, abs=2)
            assert other.load_ms == 4.0
    assert saved == []


@pytest.mark.parametrize(("above", "company_bytes"), [((70_000, 20_000), 70_000), ((-9_000, -500), 0)])
def test_company_adds_the_most_that_a_reading_is_above_its_sum(
    tiny_store2: Store, above: tuple[int, ...], company_bytes: int
) -> None:
    alone = readings(tiny_store2, 2.0)
    in_company = alone[[0, -1]]
    in_company[:, -3] += above
    in_company[:, -1] = 1
    stage = StageState({0: np.concatenate([alone, in_company])})
    found = measure_memory(tiny_store2, 1, stage=stage)
    assert found.company_bytes == pytest.approx(company_bytes, abs=2)
    assert found.options == measure_memory(tiny_store2, 1, stage=StageState({0: alone})).options


def test_only_what_is_missing_is_measured_and_each_process_is_saved(tiny_store2: Store) -> None:
    done = {0: readings(tiny_store2, 2.0), 7: np.zeros((2, 2))}  # of another run with more processes
    saved: list[KeptArrays] = []
    measure_memory(tiny_store2, 2, stage=StageState(done, lambda arrays: saved.append(dict(arrays))))
    assert [set(arrays) for arrays in saved] == [{0, 1, 7}]
    assert saved[0][1].shape[1] == len(tiny_store2.manifest.segments) + 3
