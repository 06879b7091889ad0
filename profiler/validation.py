"""How well latency is predicted: random compositions are predicted from their parts, and measured as wholes."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence

import numpy as np

from legodnn.profile import ChainOverhead, Latency, OptionKey, Validation
from legodnn.profiler.bench import Bench
from legodnn.profiler.profiling_state import StageState
from legodnn.progress import Progress, no_progress

_TIMED_RUNS = 4  # in a row, after one run that is not timed
_LEAST_TURNS = 3


def validate(
    bench: Bench,
    latencies: Mapping[OptionKey, Sequence[Latency]],
    overheads: Sequence[ChainOverhead],
    plans: int,
    seconds: float,
    stage: StageState | None = None,
    progress: Progress = no_progress,
    seed: int = 1,
) -> tuple[Validation, ...]:
    """Measure random compositions at every thread count, and hold their predictions against that.

    Args:
        bench: the options.
        latencies, overheads: what predictions are made of, see `predict`.
        plans: number of compositions; nothing is validated if it is 0.
        seconds: time for each thread count.
        stage: holds, by thread count, the milliseconds that each composition took when an interrupted validation
            measured it; all are saved after each thread count. Those of another number of compositions are not used.
        progress: is told how many of the seconds are over.
        seed: of the random compositions.
    """
    if not plans:
        return ()
    stage = stage or StageState()
    rng = random.Random(seed)
    drawn = [bench.draw(rng) for _ in range(plans)]
    measured_ms = {threads: ms for threads, ms in stage.done.items() if len(ms) == plans}
    found = []
    for threads in bench.threads:
        if threads not in measured_ms:
            measured_ms[threads] = np.array(measure_plans(bench, drawn, threads, seconds, progress))
            stage.save(measured_ms)
        predicted_ms = np.array(predict(bench, drawn, threads, latencies, overheads))
        p50, p95 = np.percentile(np.abs(predicted_ms / measured_ms[threads] - 1), [50, 95])
        found.append(Validation(threads=threads, plans=plans, median_error=float(p50), p95_error=float(p95)))
    return tuple(found)


def measure_plans(
    bench: Bench,
    plans: Sequence[tuple[int, ...]],
    threads: int,
    seconds: float,
    progress: Progress = no_progress,
) -> list[float]:
    """The median milliseconds of each of some compositions (see `Bench`), which take turns until the time is up."""
    compositions = [bench.composition(numbers, threads) for numbers in plans]
    times: list[list[float]] = [[] for _ in plans]
    end, turns, total = time.monotonic() + seconds, 0, max(1, math.ceil(seconds))
    with progress(f"validating {bench.store.name}, {threads} thread{'s' * (threads > 1)}", total) as task:
        while turns < _LEAST_TURNS or time.monotonic() < end:
            for composition, values in zip(compositions, times, strict=True):
                composition.run(bench.inputs)
                for _ in range(_TIMED_RUNS):
                    start = time.perf_counter_ns()
                    composition.run(bench.inputs)
                    values.append((time.perf_counter_ns() - start) / 1e6)
            turns += 1
            task.at(min(total, seconds - max(0.0, end - time.monotonic())))
    return [float(np.median(values)) for values in times]


def predict(
    bench: Bench,
    plans: Sequence[tuple[int, ...]],
    threads: int,
    latencies: Mapping[OptionKey, Sequence[Latency]],
    overheads: Sequence[ChainOverhead],
) -> list[float]:
    """The predicted milliseconds of each of some compositions: the sum of its segments' medians, and the overhead.

    Args:
        bench: the options.
        plans: the compositions, see `Bench`.
        threads: the thread count.
        latencies: the latencies of each option, at this thread count and perhaps others.
        overheads: what whole compositions take beyond their segments.
    """
    medians = {
        key: entry.median_ms for key, entries in latencies.items() for entry in entries if entry.threads == threads
    }
    overhead = sum(c.overhead_ms for c in overheads if c.threads == threads)
    return [sum(medians[c.segment, c.option] for c in bench.choices(plan, threads)) + overhead for plan in plans]
