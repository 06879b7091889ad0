"""Memory and load time of every option, weighed in fresh processes.

An option is weighed where it will run: a process composes the originals, and then the same with one of them replaced,
for every option in random order. The difference of the two is what replacing saves or costs, what options share
(workspace, tensors) being the same in both; and the whole that the originals take is divided among them by size. So
the sum over any composition's options is, up to what is not additive, what that composition takes. The whole
includes what a process that has switched many times holds beyond one that has not: pieces of the heap in use here and
there, and what options left behind that may be needed again.

Memory is what `legodnn.runtime.device.memory.process_memory_bytes` says. Several processes do this in different orders.

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
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from legodnn.arrays import Array, Floats
from legodnn.console import ProgressLine
from legodnn.errors import ProfileError
from legodnn.manifest import Option
from legodnn.processes import run_module
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice, Executor
from legodnn.runtime.executors.select import open_executor, warm_up
from legodnn.store import Store

Key = tuple[str, str]
_SWITCHES, _READ_EVERY = 60, 10


def measure_memory(
    store: Store,
    processes: int = 3,
    skipped: Collection[Option] = (),
    done: Mapping[int, Floats] | None = None,
    save: Callable[[int, Floats], None] = lambda seed, rows: None,
) -> dict[Key, tuple[int, float]]:
    """Memory (bytes) and load time (ms) of every option: the median over several fresh processes.

    Args:
        store: the store.
        processes: how many.
        skipped: options that are not weighed.
        done: what processes of an interrupted measurement found, by seed.
        save: is given the rows (bytes and ms of every option, in the store's order) of each process that ends.

    Raises:
        ProfileError: a measuring process failed.
    """
    keys = [(s.name, o.name) for s in store.manifest.segments for o in s.options if o not in skipped]
    results = dict(done or {})
    with ProgressLine(f"weighing {store.name}", processes, min(processes, len(results))) as progress:
        for seed in range(processes):
            if seed in results:
                continue
            arguments = (str(store.path), str(seed), *(o.file for o in skipped))
            try:
                ended = run_module("legodnn.profiler.memory", *arguments)
            except OSError as e:
                raise ProfileError(f"the process that measures memory cannot be started: {e.strerror or e}") from None
            if ended.returncode:
                last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
                raise ProfileError(f"the process that measures memory failed: {last}")
            found = {(segment, option): (memory, ms) for segment, option, memory, ms in json.loads(ended.stdout)}
            results[seed] = np.array([found[key] for key in keys], np.float64)
            save(seed, results[seed])
            progress.step()
    medians = np.median([results[seed] for seed in range(processes)], axis=0)
    return {key: (round(memory), float(ms)) for key, (memory, ms) in zip(keys, medians, strict=True)}


def weigh(store: Store, seed: int, skipped: Collection[str] = ()) -> list[tuple[str, str, int, float]]:
    """(segment, option, bytes, load ms) of every option whose file is not skipped, measured in random order."""
    segments = store.manifest.segments
    zeros = _zeros(store)
    originals = tuple(Choice(s.name, s.original.name, 1) for s in segments)
    gc.disable()
    warm_up(store)
    release_freed_memory()
    base = process_memory_bytes()

    def going_to(executor: Executor, choices: tuple[Choice, ...]) -> float:
        """Milliseconds from deciding to ready: composing, and what the first run takes more than the next."""
        start = time.perf_counter()
        composition = executor.compose(choices)
        executor.retain(choices)
        composed = time.perf_counter()
        composition.run(zeros)
        first = time.perf_counter()
        composition.run(zeros)
        second = time.perf_counter()
        return (composed - start + max(0.0, (first - composed) - (second - first))) * 1e3

    def weighed(choices: tuple[Choice, ...]) -> tuple[int, float, float]:
        """Memory of a composition; and the load times of the whole, and of what it has instead of originals."""
        executor = open_executor(store)
        whole_ms = going_to(executor, choices)
        release_freed_memory()
        memory = process_memory_bytes() - base
        going_to(executor, originals)
        part_ms = going_to(executor, choices)
        executor.close()
        return memory, whole_ms, part_ms

    # The first is what a fresh process grows by. What the process keeps of it after closing is in all later figures,
    # and grows: so the originals are weighed again before and after each option.
    whole, whole_ms, _ = weighed(originals)
    readings, parts_ms = [weighed(originals)[0]], []
    tasks = [(i, o) for i, s in enumerate(segments) for o in s.options if o is not s.original and o.file not in skipped]
    random.Random(seed).shuffle(tasks)
    for i, option in tasks:
        replaced = (*originals[:i], Choice(segments[i].name, option.name, 1), *originals[i + 1 :])
        memory, _, part_ms = weighed(replaced)
        readings += [memory, weighed(originals)[0]]
        parts_ms.append(part_ms)
    extra = without_drift(readings)
    found = [(segments[i], o, more, ms) for (i, o), more, ms in zip(tasks, extra, parts_ms, strict=True)]
    whole += switching_keeps(store, seed)
    # Each original gets of the whole what a byte of its file takes, as savings tell, and an equal part of the rest.
    files = sum(s.original.bytes for s in segments)
    rates = [more / (o.bytes - s.original.bytes) for s, o, more, _ in found if o.bytes < s.original.bytes]
    rate = min(max(0.0, statistics.median(rates or [1.0])), whole / files)
    share = {s.name: s.original.bytes * rate + (whole - files * rate) / len(segments) for s in segments}
    results = [(s.name, s.original.name, round(share[s.name]), whole_ms / len(segments)) for s in segments]
    results += [(s.name, o.name, max(0, round(share[s.name] + more)), part_ms) for s, o, more, part_ms in found]
    return results


def switching_keeps(store: Store, seed: int) -> int:
    """What the originals take more after many random switches than before, in bytes: the median of several readings."""
    segments = store.manifest.segments
    zeros = _zeros(store)
    rng, executor = random.Random(seed), open_executor(store)

    def go_to(names: Sequence[str]) -> None:
        choices = tuple(Choice(s.name, name, 1) for s, name in zip(segments, names, strict=True))
        composition = executor.compose(choices)
        executor.retain(choices)
        composition.run(zeros)

    def held_by_originals() -> int:
        go_to([s.original.name for s in segments])
        release_freed_memory()
        return process_memory_bytes()

    before, readings = held_by_originals(), []
    for number in range(1, _SWITCHES + 1):
        go_to([rng.choice(s.options).name for s in segments])
        if number % _READ_EVERY == 0:
            readings.append(held_by_originals() - before)
    executor.close()
    return max(0, round(statistics.median(readings)))


def _zeros(store: Store) -> dict[str, Array]:
    return {spec.name: np.zeros(spec.shape, np.float32) for spec in store.manifest.inputs}


def without_drift(readings: Sequence[float]) -> list[float]:
    """What each option takes more than the originals, of readings [originals, option, originals, option, ...].

    An option is held against the mean of the originals before and after it: what grows evenly meanwhile cancels.
    """
    originals, options = readings[::2], readings[1::2]
    return [b - (a + c) / 2 for a, b, c in zip(originals[:-1], options, originals[1:], strict=True)]


if __name__ == "__main__":
    print(json.dumps(weigh(Store(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])))
