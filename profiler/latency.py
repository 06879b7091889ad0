"""Latency of every option, timed where it will run: as a segment of a whole composition that runs again and again.

In each round every option of every block is in one composition drawn at random, which runs a few times in a row, as it
would in use: the first run, after other blocks, finds caches cold and is reported apart; the next are the option's
latency. One more run of the whole, without a clock between its segments, tells what the chain costs beyond them. Thread
counts take turns, so that all see the same drift of clock and temperature, and no order favours anyone.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from legodnn.arrays import Array
from legodnn.console import ProgressLine
from legodnn.manifest import Option, Segment
from legodnn.profile import ChainOverhead, Latency
from legodnn.runtime.executors.base import Choice, ComposedModel
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store

WARM_RUNS = 3
LEAST_ROUNDS = 5
_SAVE_S = 5.0
_NORMAL_95 = 1.96

Samples = dict[str, list[float]]


@dataclass
class Timings:
    """Milliseconds, by `threads/segment number/option number`, and of whole compositions.

    Attributes:
        first, warm: first runs of an option after another, and the ones after these.
        whole: runs of compositions, by thread count.
        choices: the numbers of these compositions' options.
        seconds: how long all this took.
    """

    first: Samples = field(default_factory=dict)
    warm: Samples = field(default_factory=dict)
    whole: Samples = field(default_factory=dict)
    choices: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    seconds: float = 0.0

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file."""
        found = {f"{kind}/{k}": np.array(v) for kind in _KINDS for k, v in getattr(self, kind).items()}
        found.update({f"choices/{k}": np.array(v, np.int32) for k, v in self.choices.items()})
        return {**found, "seconds": np.array(self.seconds)}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Timings:
        """What `arrays` gave."""
        made = cls()
        for name, values in arrays.items():
            kind, _, key = name.partition("/")
            if kind in _KINDS:
                getattr(made, kind)[key] = values.tolist()
            elif kind == "choices":
                made.choices[key] = [tuple(row) for row in values.tolist()]
            elif kind == "seconds":
                made.seconds = float(values)
        return made


_KINDS = ("first", "warm", "whole")


class Bench:
    """A store's options, loaded and ready to be timed.

    Args:
        store: the store.
        threads: thread counts.
        skipped: options that are not to be timed.
    """

    def __init__(self, store: Store, threads: Sequence[int], skipped: Sequence[Option] = ()) -> None:
        self.store, self.threads = store, tuple(threads)
        self.segments: tuple[Segment, ...] = store.manifest.segments
        self.options = tuple(tuple(o for o in s.options if o not in skipped) for s in self.segments)
        self._executor = open_executor(store)
        self._steps: dict[Choice, Callable[[], None]] = {}
        for count in self.threads:
            # Every option is in one of these; all stay loaded, for the executor is not told to let go of any.
            for i in range(max(map(len, self.options))):
                composition = self._executor.compose(self.choices(tuple(i % len(o) for o in self.options), count))
                self._steps.update(zip(composition.choices, composition.steps, strict=True))
        self._composition = composition
        self.input = input_of(store)

    def choices(self, numbers: Sequence[int], threads: int) -> tuple[Choice, ...]:
        """What a composition, given by the number of each segment's option, is to the executor."""
        chosen = (options[i] for options, i in zip(self.options, numbers, strict=True))
        return tuple(Choice(s.name, o.name, threads) for s, o in zip(self.segments, chosen, strict=True))

    def composition(self, numbers: Sequence[int], threads: int) -> ComposedModel:
        """One ready to run."""
        choices = self.choices(numbers, threads)
        return replace(self._composition, choices=choices, steps=[self._steps[c] for c in choices])

    def draw(self, rng: random.Random) -> tuple[int, ...]:
        """A random composition."""
        return tuple(rng.randrange(len(options)) for options in self.options)

    def switch_and_run(self, numbers: Sequence[int], threads: int) -> None:
        """Go to a composition as a runtime does, letting go of the others, and run it once."""
        choices = self.choices(numbers, threads)
        composition = self._executor.compose(choices)
        self._executor.retain(choices)
        composition.run(self.input)

    def close(self) -> None:
        """Let go of everything."""
        self._executor.close()


def input_of(store: Store) -> dict[str, Array]:
    """A random image by input name, of the range that the model takes."""
    rng = np.random.default_rng(0)
    return {s.name: rng.uniform(*s.range, s.shape).astype(np.float32) for s in store.manifest.inputs}


def sample_round(bench: Bench, timings: Timings, rng: random.Random) -> None:
    """Time every option at every thread count, in as many compositions as the widest block has options."""
    for threads in rng.sample(bench.threads, len(bench.threads)):
        orders = [rng.sample(range(len(options)), len(options)) for options in bench.options]
        for turn in range(max(map(len, orders))):
            numbers = tuple(order[turn % len(order)] for order in orders)
            composition = bench.composition(numbers, threads)
            times = [_run(composition, bench.input) for _ in range(1 + WARM_RUNS)]
            start = time.perf_counter_ns()
            composition.run(bench.input)
            whole = (time.perf_counter_ns() - start) / 1e6
            for s, i in enumerate(numbers):
                key = f"{threads}/{s}/{i}"
                timings.first.setdefault(key, []).append(times[0][s])
                timings.warm.setdefault(key, []).extend(t[s] for t in times[1:])
            timings.whole.setdefault(str(threads), []).append(whole)
            timings.choices.setdefault(str(threads), []).append(numbers)


def _run(composition: ComposedModel, image: Mapping[str, Array]) -> list[float]:
    """Milliseconds of each segment in one run."""
    composition.put(image)
    marks = [time.perf_counter_ns()]
    for step in composition.steps:
        step()
        marks.append(time.perf_counter_ns())
    return [(b - a) / 1e6 for a, b in itertools.pairwise(marks)]


def measure_latency(
    bench: Bench,
    seconds: float,
    precision: float,
    timings: Timings | None = None,
    save: Callable[[Timings], None] = lambda timings: None,
    seed: int = 0,
) -> Timings:
    """Time every option until all medians are known well enough, or the time is up.

    Args:
        bench: what to time.
        seconds: how long, at most, with what `timings` took; but at least `LEAST_ROUNDS` rounds, and one.
        precision: the half-width of the median's 95 % confidence interval that is well enough, relative to it.
        timings: what an interrupted measurement had; it is added to.
        save: is given all timings every few seconds.
        seed: of the compositions.
    """
    timings = timings or Timings()
    rounds = min((len(v) for v in timings.first.values()), default=0)
    rng = random.Random(seed * 1_000_003 + rounds)
    saved = checked = time.monotonic()
    start = saved - timings.seconds
    with ProgressLine(f"timing {bench.store.name}", math.ceil(seconds), int(min(seconds, timings.seconds))) as progress:
        sample_round(bench, Timings(), rng)  # to warm up
        while True:
            sample_round(bench, timings, rng)
            rounds += 1
            now = time.monotonic()
            timings.seconds = now - start
            if now - saved >= _SAVE_S:
                save(timings)
                saved = now
            if now - checked >= 1.0 or timings.seconds >= seconds:
                checked = now
                widest = max(half_width(values) for values in timings.warm.values())
                progress.at(min(timings.seconds, progress.total), f"± {widest:.1%}" if math.isfinite(widest) else "")
                if rounds >= LEAST_ROUNDS and (widest <= precision or timings.seconds >= seconds):
                    break
    save(timings)
    return timings


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % confidence interval of the median, relative to it; infinite for few values.

    Values between two order statistics that hold the true median with that probability, whatever the distribution.
    """
    count = len(values)
    reach = math.ceil(_NORMAL_95 * math.sqrt(count) / 2)
    low, high = count // 2 - reach, count // 2 + reach
    if low < 0 or high >= count:
        return math.inf
    ordered = sorted(values)
    return (ordered[high] - ordered[low]) / 2 / ordered[count // 2]


def latency_summary(bench: Bench, timings: Timings) -> dict[tuple[str, str], tuple[Latency, ...]]:
    """By (segment, option), its latency at each thread count."""
    return {
        (segment.name, option.name): tuple(_latency(timings, f"{n}/{s}/{i}", n) for n in bench.threads)
        for s, (segment, options) in enumerate(zip(bench.segments, bench.options, strict=True))
        for i, option in enumerate(options)
    }


def _latency(timings: Timings, key: str, threads: int) -> Latency:
    values = timings.warm[key]
    p50, p95 = np.percentile(values, [50, 95])
    return Latency(
        threads=threads,
        runs=len(values),
        first_ms=float(np.median(timings.first[key])),
        min_ms=min(values),
        median_ms=float(p50),
        p95_ms=float(p95),
    )


def chain(bench: Bench, timings: Timings) -> tuple[ChainOverhead, ...]:
    """What whole compositions take beyond their segments' medians."""
    medians = {key: float(np.median(values)) for key, values in timings.warm.items()}
    found = []
    for n in bench.threads:
        parts = [sum(medians[f"{n}/{s}/{i}"] for s, i in enumerate(row)) for row in timings.choices[str(n)]]
        beyond = np.median(np.array(timings.whole[str(n)]) - np.array(parts))
        found.append(ChainOverhead(threads=n, overhead_ms=max(0.0, float(beyond))))
    return tuple(found)
