"""Memory and load time of every option, measured in fresh processes.

An option is weighed where it will run. A process composes the originals, and then the originals with one of them
replaced by the option; the difference is what the replacement saves or costs, since what options share (workspace,
tensors) is the same in both. The memory that the originals take together is divided among them by size. So the sum
over the options of any composition is what that composition takes, as far as memory is additive. The memory of the
originals includes what a process that has switched many times holds beyond one that has not: pieces of the heap that
are in use here and there, and what unloaded options left behind.

Memory is what `legodnn.runtime.device.memory.process_memory_bytes` says. Several processes measure, each in another
order, and medians count.

As a program, with STORE, SEED and the files of skipped options, this module prints the measurements of one process as
JSON.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from legodnn.arrays import AnyArray, Floats
from legodnn.errors import ProfileError
from legodnn.manifest import Option
from legodnn.processes import run_module
from legodnn.profile import OptionKey
from legodnn.profiler.profiling_state import StageState
from legodnn.progress import Progress, no_progress
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice, Executor
from legodnn.runtime.executors.select import open_executor, warm_up
from legodnn.store import Store

_SWITCHES, _READ_EVERY = 60, 10


class Footprint(NamedTuple):
    """What it takes to have an option loaded: its share of the process's memory, and the time to load it."""

    memory_bytes: int
    load_ms: float


def measure_memory(
    store: Store,
    processes: int = 3,
    skipped: Collection[Option] = (),
    stage: StageState | None = None,
    progress: Progress = no_progress,
) -> dict[OptionKey, Footprint]:
    """The memory and load time of every option: medians over several fresh processes.

    Args:
        store: the store.
        processes: number of processes.
        skipped: options that are not measured.
        stage: holds, by the seed of a process, its rows (bytes and milliseconds of every option, in the store's order)
            if that process ended before an interruption; all are saved after each process.
        progress: is told how many processes have ended.

    Raises:
        ProfileError: a measuring process failed.
    """
    stage = stage or StageState()
    keys = [(s.name, o.name) for s in store.manifest.segments for o in s.options if o not in skipped]
    results = dict(stage.done)
    with progress(f"weighing {store.name}", processes, min(processes, len(results))) as task:
        for seed in range(processes):
            if seed not in results:
                results[seed] = _rows_of_process(store, seed, skipped, keys)
                stage.save(results)
                task.step()
    medians = np.median([results[seed] for seed in range(processes)], axis=0)
    return {key: Footprint(round(memory), float(ms)) for key, (memory, ms) in zip(keys, medians, strict=True)}


def _rows_of_process(store: Store, seed: int, skipped: Collection[Option], keys: Sequence[OptionKey]) -> Floats:
    """What a fresh process measures: (options, 2), bytes and milliseconds of each key."""
    arguments = (str(store.path), str(seed), *(o.file for o in skipped))
    try:
        ended = run_module("legodnn.profiler.memory", *arguments)
    except OSError as e:
        raise ProfileError(f"the process that measures memory cannot be started: {e.strerror or e}") from None
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProfileError(f"the process that measures memory failed: {last}")
    found = {(segment, option): (memory, ms) for segment, option, memory, ms in json.loads(ended.stdout)}
    return np.array([found[key] for key in keys], np.float64)


def weigh(store: Store, seed: int, skipped: Collection[str] = ()) -> list[tuple[str, str, int, float]]:
    """Measure every option in this process, which should be a fresh one, in random order.

    Args:
        store: the store.
        seed: of the order.
        skipped: the files of options that are not measured.

    Returns:
        (segment, option, bytes, milliseconds to load) of each option.
    """
    segments = store.manifest.segments
    inputs = _zeros(store)
    originals = tuple(Choice(s.name, s.original.name, 1) for s in segments)
    gc.disable()
    warm_up(store)
    release_freed_memory()
    base = process_memory_bytes()

    def memory_and_times(choices: tuple[Choice, ...]) -> tuple[int, float, float]:
        """Bytes of a composition; milliseconds to load all of it, and to switch to it from the originals."""
        executor = open_executor(store)
        whole_ms = _switch_ms(executor, choices, inputs)
        release_freed_memory()
        memory = process_memory_bytes() - base
        _switch_ms(executor, originals, inputs)
        part_ms = _switch_ms(executor, choices, inputs)
        executor.close()
        return memory, whole_ms, part_ms

    # The first reading is what a fresh process grows by. The process keeps some of that after closing the executor, and
    # keeps more each time: so the originals are weighed again before and after each option.
    whole, whole_ms, _ = memory_and_times(originals)
    readings, parts_ms = [memory_and_times(originals)[0]], []
    tasks = [(i, o) for i, s in enumerate(segments) for o in s.options if o is not s.original and o.file not in skipped]
    random.Random(seed).shuffle(tasks)
    for i, option in tasks:
        replaced = (*originals[:i], Choice(segments[i].name, option.name, 1), *originals[i + 1 :])
        memory, _, part_ms = memory_and_times(replaced)
        readings += [memory, memory_and_times(originals)[0]]
        parts_ms.append(part_ms)
    extra = without_drift(readings)
    whole += kept_by_switching(store, seed)
    share = _shares(store, whole, [(segments[i].name, o, more) for (i, o), more in zip(tasks, extra, strict=True)])
    results = [(s.name, s.original.name, round(share[s.name]), whole_ms / len(segments)) for s in segments]
    results += [
        (segments[i].name, o.name, max(0, round(share[segments[i].name] + more)), part_ms)
        for (i, o), more, part_ms in zip(tasks, extra, parts_ms, strict=True)
    ]
    return results


def _switch_ms(executor: Executor, choices: tuple[Choice, ...], inputs: dict[str, AnyArray]) -> float:
    """Milliseconds until a composition is ready: composing it, and what its first run takes longer than the second."""
    start = time.perf_counter()
    composition = executor.compose(choices)
    executor.retain(choices)
    composed = time.perf_counter()
    composition.run(inputs)
    first = time.perf_counter()
    composition.run(inputs)
    second = time.perf_counter()
    return (composed - start + max(0.0, (first - composed) - (second - first))) * 1e3


def _shares(store: Store, whole: float, measured: Sequence[tuple[str, Option, float]]) -> dict[str, float]:
    """What each segment's original takes of the bytes that all of them take.

    An original takes as much for each byte of its file as smaller options save for each byte that their files are
    smaller, by the median; what is left is divided equally.

    Args:
        store: the store.
        whole: bytes of all originals.
        measured: (segment, option, bytes that the option takes more than the original).
    """
    segments = store.manifest.segments
    original_bytes = {s.name: s.original.bytes for s in segments}
    files = sum(original_bytes.values())
    rates = [
        more / (option.bytes - original_bytes[segment])
        for segment, option, more in measured
        if option.bytes < original_bytes[segment]
    ]
    rate = min(max(0.0, statistics.median(rates or [1.0])), whole / files)
    return {name: size * rate + (whole - files * rate) / len(segments) for name, size in original_bytes.items()}


def kept_by_switching(store: Store, seed: int) -> int:
    """The bytes that the originals take more after many random switches than before: the median of several readings."""
    segments = store.manifest.segments
    inputs = _zeros(store)
    rng, executor = random.Random(seed), open_executor(store)

    def switch_to(names: Sequence[str]) -> None:
        choices = tuple(Choice(s.name, name, 1) for s, name in zip(segments, names, strict=True))
        composition = executor.compose(choices)
        executor.retain(choices)
        composition.run(inputs)

    def memory_of_originals() -> int:
        switch_to([s.original.name for s in segments])
        release_freed_memory()
        return process_memory_bytes()

    before, readings = memory_of_originals(), []
    for number in range(1, _SWITCHES + 1):
        switch_to([rng.choice(s.options).name for s in segments])
        if number % _READ_EVERY == 0:
            readings.append(memory_of_originals() - before)
    executor.close()
    return max(0, round(statistics.median(readings)))


def _zeros(store: Store) -> dict[str, AnyArray]:
    return {spec.name: spec.zeros() for spec in store.manifest.inputs}


def without_drift(readings: Sequence[float]) -> list[float]:
    """What each option takes more than the originals, of readings [originals, option, originals, option, ...].

    Each option is compared with the mean of the originals before and after it, so that steady growth cancels.

    >>> without_drift([100, 130, 102, 90, 104])
    [29.0, -13.0]
    """
    originals, options = readings[::2], readings[1::2]
    return [b - (a + c) / 2 for a, b, c in zip(originals[:-1], options, originals[1:], strict=True)]


if __name__ == "__main__":
    print(json.dumps(weigh(Store(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])))
