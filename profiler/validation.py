"""Whether plans take as long as predicted: random compositions, predicted from measurements, and measured whole."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from legodnn.console import ProgressLine
from legodnn.profile import ChainOverhead, Latency, Validation
from legodnn.profiler.latency import Bench

_RUNS = 4  # timed in a row, after one that is not
_LEAST_TURNS = 3


def measure_plans(bench: Bench, plans: Sequence[tuple[int, ...]], threads: int, seconds: float) -> list[float]:
    """Median milliseconds of compositions (see `Bench.composition`) that take turns until the time is up."""
    compositions = [bench.composition(numbers, threads) for numbers in plans]
    times: list[list[float]] = [[] for _ in plans]
    end, turns = time.monotonic() + seconds, 0
    with ProgressLine(
        f"validating {bench.store.name}, {threads} thread{'s' * (threads > 1)}", round(seconds)
    ) as progress:
        while turns < _LEAST_TURNS or time.monotonic() < end:
            for composition, values in zip(compositions, times, strict=True):
                composition.run(bench.input)
                for _ in range(_RUNS):
                    start = time.perf_counter_ns()
                    composition.run(bench.input)
                    values.append((time.perf_counter_ns() - start) / 1e6)
            turns += 1
            progress.at(min(progress.total, seconds - max(0.0, end - time.monotonic())))
    return [float(np.median(values)) for values in times]


def predict(
    bench: Bench,
    plans: Sequence[tuple[int, ...]],
    threads: int,
    latency: Mapping[tuple[str, str], Sequence[Latency]],
    chain: Sequence[ChainOverhead],
) -> list[float]:
    """Milliseconds that compositions are predicted to take: their segments' medians and the chain's overhead."""
    medians = {
        key: entry.median_ms for key, entries in latency.items() for entry in entries if entry.threads == threads
    }
    overhead = sum(c.overhead_ms for c in chain if c.threads == threads)
    return [sum(medians[c.segment, c.option] for c in bench.choices(plan, threads)) + overhead for plan in plans]


def validate(
    bench: Bench,
    latency: Mapping[tuple[str, str], Sequence[Latency]],
    chain: Sequence[ChainOverhead],
    plans: int,
    seconds: float,
    seed: int = 1,
    done: Mapping[str, np.ndarray] | None = None,
    save: Callable[[dict[str, np.ndarray]], None] = lambda times: None,
) -> tuple[Validation, ...]:
    """Errors of prediction at every thread count, over so many random compositions and so many seconds each.

    Args:
        bench: what is run.
        latency, chain: what predictions are made of.
        plans: how many.
        seconds: for each thread count.
        seed: of the compositions.
        done: what an interrupted validation had measured of as many plans, by thread count.
        save: is given all that has been measured after each thread count.
    """
    rng = random.Random(seed)
    drawn = [bench.draw(rng) for _ in range(plans)]
    times = {threads: ms for threads, ms in (done or {}).items() if len(ms) == plans}
    found = []
    for threads in bench.threads:
        if str(threads) not in times:
            times[str(threads)] = np.array(measure_plans(bench, drawn, threads, seconds))
            save(times)
        measured = times[str(threads)]
        errors = np.abs(np.array(predict(bench, drawn, threads, latency, chain)) / measured - 1)
        p50, p95 = np.percentile(errors, [50, 95])
        found.append(Validation(threads=threads, plans=plans, median_error=float(p50), p95_error=float(p95)))
    return tuple(found)
