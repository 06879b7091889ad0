"""Memory and load time of every option, measured in fresh processes that switch all the time.

Each process goes from one composition to the next: to the originals with one of them replaced, for every option, to
random compositions, and back to the originals. It is weighed after the first inferences on each of these, before it
gives anything back: the figures are of the most that it holds, with whatever switching has left behind. What options
take is fitted to all readings (`memory_model`), with a workspace that they share where that tells compositions better.

A process that runs several models holds more than they take by themselves, however often each is switched there: what
one gives back leaves gaps between what others hold. So each process then goes through more compositions beside another
model that is switched as well, and let go before each reading. The most that a reading is above its sum is what a model
takes more in company.

Memory is what `legodnn.runtime.device.memory.process_memory_bytes` says. Several processes measure, each in another
order; the sums hold for the readings of all of them.

As a program, with STORE, SEED, whether models are compact (0 or 1) and the files of skipped options, this module prints
the readings of one process as JSON.
"""

from __future__ import annotations

import gc
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Collection
from contextlib import closing
from typing import NamedTuple

import numpy as np

from legodnn.arrays import AnyArray, Floats
from legodnn.manifest import Option
from legodnn.profile import OptionKey
from legodnn.profiler.measuring_process import printed_by
from legodnn.profiler.memory_model import Composition, MemoryModel, originals_of
from legodnn.profiler.packing import open_measured
from legodnn.profiler.profiling_state import StageState
from legodnn.profiler.workspaces import option_workspaces
from legodnn.progress import Progress, no_progress
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice, Executor, Runnable
from legodnn.runtime.executors.select import warm_up
from legodnn.store import Store

_BETTER = 0.9  # a workspace is told apart if compositions are then said to take so much less beyond what they took
_RANDOM = 2  # random compositions that are weighed for each option
_IN_COMPANY = 12  # random compositions that are weighed in company; most of what it adds is there after five


class Footprint(NamedTuple):
    """What it takes to have an option loaded (see `legodnn.profile.OptionProfile`)."""

    memory_bytes: int
    load_ms: float
    own_bytes: int | None = None
    workspace_bytes: int | None = None


class StoreMemory(NamedTuple):
    """What each option takes, and how many bytes a model takes more in the company of others (`Profile`)."""

    options: dict[OptionKey, Footprint]
    company_bytes: int


def measure_memory(
    store: Store,
    processes: int = 3,
    skipped: Collection[Option] = (),
    stage: StageState | None = None,
    progress: Progress = no_progress,
    compact: bool = False,
) -> StoreMemory:
    """The memory and load time of every option, by several fresh processes; and what company adds.

    Args:
        store: the store.
        processes: number of processes.
        skipped: options that are not measured.
        stage: holds, by the seed of a process, its readings as `weigh` returns them if that process ended before an
            interruption; all are saved after each process.
        progress: is told how many processes have ended.
        compact: whether compact models are weighed.

    Raises:
        ProfileError: a measuring process failed.
    """
    stage = stage or StageState()
    results = dict(stage.done)
    with progress(f"weighing {store.name}{' (compact)' * compact}", processes, min(processes, len(results))) as task:
        for seed in range(processes):
            if seed not in results:
                results[seed] = _readings_of_process(store, seed, skipped, compact)
                stage.save(results)
                task.step()
    segments = store.manifest.segments
    found = [results[seed] for seed in range(processes)]
    alone = [rows[rows[:, -1] == 0, :-1] for rows in found]
    readings = [reading for rows in alone for reading in _weighed(rows)]
    needs = option_workspaces(store)
    sums = MemoryModel.fitted(store, readings, [[0] * len(s.options) for s in segments])
    own = MemoryModel.fitted(store, readings, [[needs[s.name, o.name] for o in s.options] for s in segments])
    exact = own.excess(readings) < _BETTER * sums.excess(readings)
    load_ms = [_load_ms(originals_of(store), rows) for rows in alone]
    options = {
        (segment.name, option.name): Footprint(
            sums.of_option(i, number),
            statistics.median(times[i, number] for times in load_ms),
            *((own.of_option(i, number), own.workspaces[i][number]) if exact else ()),
        )
        for i, segment in enumerate(segments)
        for number, option in enumerate(segment.options)
        if option not in skipped
    }
    best = own if exact else sums
    more = [held - best.of(numbers) for rows in found for numbers, held in _weighed(rows[rows[:, -1] == 1, :-1])]
    return StoreMemory(options, round(max([0.0, *more])))


def _weighed(rows: Floats) -> list[tuple[Composition, float]]:
    """The compositions that readings are of, and their bytes."""
    return [(tuple(map(int, row[:-2])), float(row[-2])) for row in rows]


def _readings_of_process(store: Store, seed: int, skipped: Collection[Option], compact: bool) -> Floats:
    """What `weigh` returns in a fresh process."""
    arguments = (str(store.path), str(seed), str(int(compact)), *(o.file for o in skipped))
    return np.array(json.loads(printed_by("legodnn.profiler.memory", "memory", *arguments)), np.float64)


def weigh(store: Store, seed: int, skipped: Collection[str] = (), compact: bool = False) -> list[list[float]]:
    """Weigh this process, which should be a fresh one, after switches in random order.

    Args:
        store: the store.
        seed: of the order.
        skipped: the files of options that are not measured.
        compact: whether compact models are weighed.

    Returns:
        Readings in the order in which they were taken: the number of the option that each segment ran, bytes, the
        milliseconds of the switch, and whether this was in company (1, else 0). The first one is that of the originals.
        Each option occurs in one that follows on the originals, and differs from them by this option alone; those in
        company come last.
    """
    inputs = {spec.name: spec.zeros() for spec in store.manifest.inputs}
    rng = random.Random(seed)
    alone = _in_turn(store, rng, skipped, compact)
    company = [(rng.choice(alone), rng.choice(alone)) for _ in range(_IN_COMPANY)]  # of the model and of the other one
    compositions = [*alone, *(choices for choices, _ in company)]
    readings = np.full((len(compositions), len(store.manifest.segments) + 3), np.nan)  # its memory counts before
    gc.disable()
    warm_up(store)
    release_freed_memory()
    base = process_memory_bytes()
    with closing(open_measured(store)) as executor:
        for choices, row in zip(alone, readings, strict=False):
            running, ms = _switched(executor, choices, inputs)
            row[-3:] = process_memory_bytes() - base, ms, 0
            del running
        before = process_memory_bytes()
        with closing(open_measured(store)) as other:
            base += process_memory_bytes() - before
            for (choices, beside), row in zip(company, readings[len(alone) :], strict=True):
                meanwhile, _ = _switched(other, beside, inputs)
                running, ms = _switched(executor, choices, inputs)
                del meanwhile
                other.retain(())
                row[-3:] = process_memory_bytes() - base, ms, 1
                del running
    for choices, row in zip(compositions, readings, strict=True):
        row[:-3] = [s.options.index(s.option(c.option)) for s, c in zip(store.manifest.segments, choices, strict=True)]
    return readings.tolist()


def _in_turn(store: Store, rng: random.Random, skipped: Collection[str], compact: bool) -> list[tuple[Choice, ...]]:
    """The compositions that `weigh` switches to, in order."""
    segments = store.manifest.segments
    names = [[o.name for o in s.options if o == s.original or o.file not in skipped] for s in segments]
    originals = [s.original.name for s in segments]
    tasks = [(i, name) for i, found in enumerate(names) for name in found if name != originals[i]]
    rng.shuffle(tasks)
    found = [originals]
    for i, name in tasks:
        found += [[rng.choice(few) for few in names] for _ in range(_RANDOM)]
        found += [originals, [*originals[:i], name, *originals[i + 1 :]]]
    return [
        tuple([Choice(s.name, o, 1, compact=compact) for s, o in zip(segments, chosen, strict=True)])
        for chosen in found
    ]


def _switched(executor: Executor, choices: tuple[Choice, ...], inputs: dict[str, AnyArray]) -> tuple[Runnable, float]:
    """Switch to a composition; return it, and the milliseconds until it is ready: composing it, and what its first run
    takes longer than the second."""
    start = time.perf_counter()
    composition = executor.compose(choices)
    executor.retain(choices)
    composed = time.perf_counter()
    composition.run(inputs)
    first = time.perf_counter()
    composition.run(inputs)
    second = time.perf_counter()
    return composition, (composed - start + max(0.0, (first - composed) - (second - first))) * 1e3


def _load_ms(originals: Composition, readings: Floats) -> dict[tuple[int, int], float]:
    """How long it took to switch to each option, given one process's readings; for originals, to one of all of them."""
    found = {(i, n): float(readings[0, -1]) / len(originals) for i, n in enumerate(originals)}
    for before, row in itertools.pairwise(readings):
        different = [(i, int(n)) for i, n in enumerate(row[:-2]) if n != originals[i]]
        if len(different) == 1 and tuple(before[:-2]) == originals:
            found[different[0]] = float(row[-1])
    return found


if __name__ == "__main__":
    path, number, kind, *files = sys.argv[1:]
    print(json.dumps(weigh(Store(path), int(number), files, kind == "1")))
