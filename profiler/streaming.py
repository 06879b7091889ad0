"""What a streamed model takes: run segment by segment, with the weights of one segment in memory at a time.

A fresh process runs random compositions streamed. It is weighed after each segment has run, before and after the
segment's weights are given back: what an option's weights take is the difference, and what the process holds beside
them, at most, is the floor. So no composition that was weighed took more than the floor and the largest of its options'
weights. Each segment is timed with giving back its weights, and bringing them in again from the page cache.

As a program, with STORE, SECONDS, thread counts with commas and the files of skipped options, this module prints what
it measured as JSON.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Collection, Sequence

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.manifest import Option
from legodnn.profile import OptionKey
from legodnn.profiler.bench import random_inputs
from legodnn.profiler.measuring_process import printed_by
from legodnn.profiler.profiling_state import StageState
from legodnn.progress import Progress, no_progress
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.runtime.executors.capi_executor import CApiExecutor, StreamedStep
from legodnn.runtime.executors.select import check_capi, warm_up
from legodnn.schema import to_json
from legodnn.store import Store
from legodnn.streamed import StreamedModel, StreamedOption

_RUNS = 4  # of a composition; the first one is not timed
_ROUNDS_WEIGHED = 3


def measure_streaming(
    store: Store,
    threads: Sequence[int],
    seconds: float,
    skipped: Collection[Option] = (),
    stage: StageState | None = None,
    progress: Progress = no_progress,
) -> StreamedModel:
    """Measure a store's options in a streamed model, by a fresh process.

    Args:
        store: the store.
        threads: thread counts to time with.
        seconds: how long to time; longer where not every option has been measured yet.
        skipped: options that are not measured.
        stage: holds what was measured before an interruption.
        progress: is told when it is done.

    Raises:
        ConfigError: the executor cannot stream.
        ProfileError: the process failed.
    """
    check_capi("streamed")
    stage = stage or StageState()
    with progress(f"streaming {store.name}", 1, len(stage.done)) as task:
        done = stage.done
        if not done:
            arguments = (str(store.path), str(seconds), ",".join(map(str, threads)), *(o.file for o in skipped))
            done = {0: np.array(printed_by("legodnn.profiler.streaming", "streaming", *arguments))}
            stage.save(done)
            task.step()
    return StreamedModel.model_validate_json(str(done[0]))


def stream(store: Store, seconds: float, threads: Sequence[int], skipped: Collection[str] = ()) -> StreamedModel:
    """Measure in this process, which should be a fresh one (see `measure_streaming`)."""
    rng, inputs = random.Random(0), random_inputs(store)
    gc.disable()
    warm_up(store)
    release_freed_memory()
    base = process_memory_bytes()
    executor = CApiExecutor(store)
    options = [[o.name for o in s.options if o.file not in skipped] for s in store.manifest.segments]
    weights, most, left = _weighed(executor, store, options, max(threads), inputs, base)
    times: dict[tuple[OptionKey, int], list[float]] = {}
    end = time.monotonic() + seconds
    while not times or time.monotonic() < end:
        for names in _compositions(options, rng):
            for count in threads:
                choices, steps, composed = _composed(executor, store, names, count)
                for run in range(_RUNS):
                    composed.put(inputs)
                    for choice, step in zip(choices, steps, strict=True):
                        start = time.perf_counter()
                        step()
                        if run:  # the first one finds other blocks in the processor's caches
                            key = ((choice.segment, choice.option), count)
                            times.setdefault(key, []).append(1e3 * (time.perf_counter() - start))
    executor.close()
    floor = max(*(most[key] - weights[key] for key in weights), left)
    return StreamedModel(
        threads=tuple(threads),
        floor_bytes=max(0, floor),
        options=tuple(
            StreamedOption(
                segment=key[0],
                option=key[1],
                weights_bytes=weights[key],
                median_ms=tuple(statistics.median(times[key, count]) for count in threads),
            )
            for segment, names in zip(store.manifest.segments, options, strict=True)
            for key in ((segment.name, name) for name in names)
        ),
    )


def _compositions(options: Sequence[Sequence[str]], rng: random.Random) -> list[list[str]]:
    """Compositions in which every option occurs, given the names of each segment's options."""
    orders = [rng.sample(names, len(names)) for names in options]
    return [[order[i % len(order)] for order in orders] for i in range(max(map(len, orders)))]


def _composed(
    executor: CApiExecutor, store: Store, names: Sequence[str], threads: int
) -> tuple[tuple[Choice, ...], list[StreamedStep], ComposedModel]:
    """Switch to a streamed composition."""
    choices = tuple([Choice(s.name, n, threads, True) for s, n in zip(store.manifest.segments, names, strict=True)])
    steps, composed = executor.streamed_steps(choices), executor.compose(choices)
    executor.retain(choices)
    return choices, steps, composed


def _weighed(
    executor: CApiExecutor,
    store: Store,
    options: Sequence[Sequence[str]],
    threads: int,
    inputs: dict[str, AnyArray],
    base: int,
) -> tuple[dict[OptionKey, int], dict[OptionKey, int], int]:
    """Weigh random compositions before anything is timed: what is kept of times counts as this process's memory.

    Returns:
        For each option the bytes that its weights take, and the most that the process held before they were given back;
        and the most that it held after any were.
    """
    weights: dict[OptionKey, int] = {}
    most: dict[OptionKey, int] = {}
    left, rng = 0, random.Random(1)
    for _ in range(_ROUNDS_WEIGHED):
        for names in _compositions(options, rng):
            choices, steps, composed = _composed(executor, store, names, threads)
            composed.put(inputs)
            for choice, step in zip(choices, steps, strict=True):
                key = (choice.segment, choice.option)
                step.run()
                before = process_memory_bytes() - base
                step.drop()
                after = process_memory_bytes() - base
                weights[key] = max(weights.get(key, 0), before - after)
                most[key], left = max(most.get(key, 0), before), max(left, after)
    return weights, most, left


if __name__ == "__main__":
    path, limit, listed, *files = sys.argv[1:]
    print(to_json(stream(Store(path), float(limit), [int(n) for n in listed.split(",")], files)))
