"""Latency of every option, timed as a segment of a whole composition that runs again and again.

In each round every option of every segment is part of one composition drawn at random, which runs a few times in a
row, one segment after another. The first run, after other compositions, finds caches cold and is reported apart; the
next runs give the option's latency. Thread counts take turns, so that all of them see the same drift of clock and
temperature.

In use a composition runs in one step, which is faster (`linked_front`). So in each round two compositions are also
composed and timed as in use: one drawn at random, and one of options of equal rank, so that both fast and slow ones
occur. `in_use` makes latencies of all this.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import AnyArray
from legodnn.profiler.bench import Bench, RunnableModel
from legodnn.profiler.profiling_state import KeptArrays, StageState
from legodnn.progress import Progress, no_progress
from legodnn.runtime.executors.base import Choice, ComposedModel

WARM_RUNS = 3
RUNS_TO_SETTLE = 3  # of a model that has just been composed, which takes its memory and weights from the kernel
LEAST_ROUNDS = 5
_SAVE_S = 5.0
_CHECK_S = 1.0
_NORMAL_95 = 1.96

Samples = dict[Choice, list[float]]


@dataclass
class Timings:
    """All times measured so far, in milliseconds.

    Attributes:
        first: runs of an option right after another one ran in its place, by option and thread count.
        warm: the runs after these.
        whole: the medians of runs of whole compositions as in use, by thread count.
        compositions: for each value of `whole`, the composition that ran, as `Bench` numbers it.
        seconds: how long measuring took, earlier, interrupted measurements included.
    """

    first: Samples = field(default_factory=lambda: defaultdict(list))
    warm: Samples = field(default_factory=lambda: defaultdict(list))
    whole: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    compositions: dict[int, list[tuple[int, ...]]] = field(default_factory=lambda: defaultdict(list))
    seconds: float = 0.0

    def to_arrays(self) -> dict[tuple[str | int, ...], NDArray[np.generic]]:
        """The timings as arrays by key, to be kept in a `ProfilingState`."""
        arrays: dict[tuple[str | int, ...], NDArray[np.generic]] = {("seconds",): np.array(self.seconds)}
        for kind, samples in (("first", self.first), ("warm", self.warm)):
            for choice, values in samples.items():
                key: tuple[str | int, ...] = (kind, *astuple(choice))
                arrays[key] = np.array(values)
        for threads, values in self.whole.items():
            arrays["whole", threads] = np.array(values)
            arrays["compositions", threads] = np.array(self.compositions[threads], np.int32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: KeptArrays) -> Timings:
        """The timings that `to_arrays` made into arrays; none of no arrays."""
        timings = cls()
        for (kind, *key), values in arrays.items():
            if kind == "seconds":
                timings.seconds = float(values)
            elif kind == "whole":
                timings.whole[key[0]] = values.tolist()
            elif kind == "compositions":
                timings.compositions[key[0]] = [tuple(row) for row in values.tolist()]
            else:
                samples = timings.first if kind == "first" else timings.warm
                samples[Choice(*key)] = values.tolist()
        return timings


def measure_latency(
    bench: Bench,
    seconds: float,
    precision: float,
    stage: StageState | None = None,
    progress: Progress = no_progress,
) -> Timings:
    """Time every option until all medians are known well enough, or the time is up.

    Args:
        bench: the options.
        seconds: the longest that this may take, an interrupted measurement's time included. But at least one round is
            measured now, and `LEAST_ROUNDS` in all.
        precision: the half-width of a median's 95 % confidence interval, relative to it, that is good enough.
        stage: holds the arrays of an interrupted measurement's `Timings`, to which this one adds; all timings are saved
            every few seconds.
        progress: is told how many of the seconds are over.
    """
    stage = stage or StageState()
    timings = Timings.from_arrays(stage.done)
    rounds = min((len(v) for v in timings.first.values()), default=0)
    rng = random.Random(rounds)
    saved = checked = time.monotonic()
    start = saved - timings.seconds
    with progress(
        f"timing {bench.store.name}{' (compact)' * bench.compact}",
        math.ceil(seconds),
        int(min(seconds, timings.seconds)),
    ) as task:
        sample_round(bench, Timings(), rng)  # a round that only warms up
        while True:
            sample_round(bench, timings, rng)
            rounds += 1
            now = time.monotonic()
            timings.seconds = now - start
            if now - saved >= _SAVE_S:
                stage.save(timings.to_arrays())
                saved = now
            if now - checked >= _CHECK_S or timings.seconds >= seconds:
                checked = now
                widest = max(half_width(values) for values in timings.warm.values())
                note = f"± {widest:.1%}" if math.isfinite(widest) else ""
                task.at(min(timings.seconds, math.ceil(seconds)), note)
                if rounds >= LEAST_ROUNDS and (widest <= precision or timings.seconds >= seconds):
                    break
    stage.save(timings.to_arrays())
    return timings


def sample_round(bench: Bench, timings: Timings, rng: random.Random) -> None:
    """Time every option at every thread count, in as many compositions as the widest segment has options."""
    for threads in rng.sample(bench.threads, len(bench.threads)):
        orders = [rng.sample(range(len(options)), len(options)) for options in bench.options]
        for turn in range(max(map(len, orders))):
            numbers = tuple(order[turn % len(order)] for order in orders)
            composition = bench.by_segments(numbers, threads)
            runs = [_segment_ms(composition, bench.inputs) for _ in range(1 + WARM_RUNS)]
            for s, choice in enumerate(composition.choices):
                timings.first[choice].append(runs[0][s])
                timings.warm[choice].extend(run[s] for run in runs[1:])
        for numbers in (bench.draw(rng), bench.draw_rank(rng)):
            timings.whole[threads].append(_whole_ms(bench.composed(numbers, threads)))
            timings.compositions[threads].append(numbers)


def _whole_ms(composition: RunnableModel) -> float:
    """Run a new composition until it has settled, and then a few times; returns the median of their milliseconds."""
    times = []
    for _ in range(RUNS_TO_SETTLE + WARM_RUNS):
        start = time.perf_counter_ns()
        composition.run()
        times.append((time.perf_counter_ns() - start) / 1e6)
    return float(np.median(times[RUNS_TO_SETTLE:]))


def _segment_ms(composition: ComposedModel, inputs: Mapping[str, AnyArray]) -> list[float]:
    """Run a composition once; returns the milliseconds that each of its segments took."""
    composition.put(inputs)
    marks = [time.perf_counter_ns()]
    for step in composition.steps:
        step()
        marks.append(time.perf_counter_ns())
    return [(b - a) / 1e6 for a, b in itertools.pairwise(marks)]


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % confidence interval of the median, relative to the median; infinite for few values.

    The interval lies between two order statistics, which hold the true median with that probability whatever the
    distribution is.
    """
    count = len(values)
    reach = math.ceil(_NORMAL_95 * math.sqrt(count) / 2)
    low, high = count // 2 - reach, count // 2 + reach
    if low < 0 or high >= count:
        return math.inf
    ordered = sorted(values)
    return (ordered[high] - ordered[low]) / 2 / ordered[count // 2]
