"""How well latency is predicted: random compositions are predicted from their parts, and measured as wholes.

How far the slowest of these inferences are above their predictions is the model's tail (`legodnn.tail`).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from legodnn.profile import ChainOverhead, Latency, OptionKey, Validation
from legodnn.profiler.bench import Bench
from legodnn.profiler.latency import RUNS_TO_SETTLE
from legodnn.profiler.profiling_state import StageState
from legodnn.progress import Progress, no_progress
from legodnn.tail import Tail, tail_of

_RUNS_AFTER_THE_FIRST = 4
_LEAST_TURNS = 6  # so that 0.99 is known of twenty compositions, of first inferences too
GROUP = 4  # compositions that take turns: each has memory of its own for its tensors


def validate(
    bench: Bench,
    latencies: Mapping[OptionKey, Sequence[Latency]],
    overheads: Sequence[ChainOverhead],
    plans: int,
    seconds: float,
    stage: StageState | None = None,
    progress: Progress = no_progress,
    seed: int = 1,
) -> tuple[tuple[Validation, ...], tuple[Tail, ...]]:
    """Measure random compositions at every thread count, and hold their predictions against that.

    Args:
        bench: the options.
        latencies, overheads: what predictions are made of, see `predict`.
        plans: number of compositions; nothing is validated, and no tail is known, if it is 0.
        seconds: time for each thread count.
        stage: holds, by thread count, the milliseconds of each composition's inferences when an interrupted validation
            measured them, (plans, turns, 1 + 4): the first of each turn, and those that follow it. All are saved after
            each thread count. Those of another number of compositions are not used.
        progress: is told how many of the seconds are over.
        seed: of the random compositions.

    Returns:
        The errors at each thread count, by the medians; and the tails, alone and after another composition.
    """
    if not plans:
        return (), ()
    stage = stage or StageState()
    rng = random.Random(seed)
    drawn = [bench.draw(rng) for _ in range(plans)]
    measured_ms = {threads: ms for threads, ms in stage.done.items() if ms.ndim == 3 and len(ms) == plans}
    found, tails = [], []
    for threads in bench.threads:
        if threads not in measured_ms:
            measured_ms[threads] = measure_plans(bench, drawn, threads, seconds, progress)
            stage.save(measured_ms)
        predicted_ms = np.array(predict(bench, drawn, threads, latencies, overheads))
        first, warm = measured_ms[threads][:, :, 0], measured_ms[threads][:, :, 1:].reshape(plans, -1)
        p50, p95 = np.percentile(np.abs(predicted_ms / np.median(warm, axis=1) - 1), [50, 95])
        found.append(Validation(threads=threads, plans=plans, median_error=float(p50), p95_error=float(p95)))
        tails.append(tail_of((warm / predicted_ms[:, None]).tolist(), threads, "alone"))
        tails.append(tail_of((first / predicted_ms[:, None]).tolist(), threads, "after"))
    return tuple(found), tuple(tails)


def measure_plans(
    bench: Bench,
    plans: Sequence[tuple[int, ...]],
    threads: int,
    seconds: float,
    progress: Progress = no_progress,
) -> NDArray[np.float64]:
    """Run some compositions (see `Bench`), as in use, in turns until the time is up: `GROUP` of them at a time.

    Nothing is timed before each of a group has settled: a model is composed once, and then runs for long.

    Returns:
        Milliseconds, (compositions, turns, 1 + 4): of the first inference of each turn, which follows one of another
        composition, and of those that follow it.
    """
    groups = [plans[i : i + GROUP] for i in range(0, len(plans), GROUP)]
    times: list[list[list[float]]] = []
    start, total = time.monotonic(), max(1, math.ceil(seconds))
    with progress(f"validating {bench.store.name}, {threads} thread{'s' * (threads > 1)}", total) as task:
        for number, group in enumerate(groups, 1):
            compositions = [bench.composed(numbers, threads) for numbers in group]
            for composition in compositions:
                for _ in range(RUNS_TO_SETTLE):
                    composition.run()
            of_group: list[list[list[float]]] = [[] for _ in group]
            while len(of_group[0]) < _LEAST_TURNS or time.monotonic() - start < seconds * number / len(groups):
                for composition, turns in zip(compositions, of_group, strict=True):
                    turns.append([composition.run_ms() for _ in range(1 + _RUNS_AFTER_THE_FIRST)])
                task.at(min(total, time.monotonic() - start))
            times += of_group
    least = min(map(len, times))  # a later group may have had time for fewer turns
    return np.array([turns[:least] for turns in times])


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
