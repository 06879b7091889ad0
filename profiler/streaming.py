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

from legodnn.errors import ConfigError
from legodnn.manifest import Option
from legodnn.profile import OptionKey
from legodnn.profiler.bench import random_inputs
from legodnn.profiler.measuring_process import printed_by
from legodnn.profiler.profiling_state import StageState
from legodnn.progress import Progress, no_progress
from legodnn.runtime.device.memory import process_memory_bytes, release_freed_memory
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.select import executor_kind, warm_up
from legodnn.schema import to_json
from legodnn.store import Store
from legodnn.streamed import StreamedModel, StreamedOption

_RUNS = 4  # of a composition; the first one is weighed, and not timed


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
    if executor_kind() != "capi":
        raise ConfigError("models are streamed by LiteRT's C API alone; `legodnn doctor` says why it is not used here")
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
    readings: list[tuple[OptionKey, int, int]] = []  # bytes before and after its weights were given back
    times: dict[tuple[OptionKey, int], list[float]] = {}
    end = time.monotonic() + seconds
    while not times or time.monotonic() < end:
        orders = [rng.sample(names, len(names)) for names in options]
        for i in range(max(map(len, orders))):  # compositions in which every option occurs
            names = [order[i % len(order)] for order in orders]
            for count in threads:
                segments = (s.name for s in store.manifest.segments)
                choices = tuple(Choice(s, name, count, True) for s, name in zip(segments, names, strict=True))
                steps, composed = executor.streamed_steps(choices), executor.compose(choices)
                executor.retain(choices)
                for run in range(_RUNS):
                    composed.put(inputs)
                    for choice, step in zip(choices, steps, strict=True):
                        key, start = (choice.segment, choice.option), time.perf_counter()
                        step.run()
                        if run == 0:
                            before = process_memory_bytes() - base
                            step.drop()
                            readings.append((key, before, process_memory_bytes() - base))
                            continue
                        step.drop()
                        times.setdefault((key, count), []).append(1e3 * (time.perf_counter() - start))
    executor.close()
    weights: dict[OptionKey, int] = {}
    for key, before, after in readings:
        weights[key] = max(weights.get(key, 0), before - after)
    floor = max(max(before - weights[key], after) for key, before, after in readings)
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


if __name__ == "__main__":
    path, limit, listed, *files = sys.argv[1:]
    print(to_json(stream(Store(path), float(limit), [int(n) for n in listed.split(",")], files)))
