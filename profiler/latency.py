"""Latency of every option, timed where it will run: as a segment of a whole, running composition.

In each round every option of every block runs once, in compositions drawn at random, so each is measured with warm
and cold caches as it comes in use, all see the same drift of clock and temperature, and no order favours anyone.
"""

from __future__ import annotations

import random
import time

import numpy as np

from legodnn.console import Progress
from legodnn.profile import Latency
from legodnn.runtime.executor import Array, Choice, compositions, open_executor
from legodnn.store import Store

_WARM_UP_ROUNDS = 2


def measure_latency(store: Store, threads: int, rounds: int, seed: int = 0) -> dict[tuple[str, str], Latency]:
    """Time every option of a store.

    Args:
        store: the store.
        threads: thread count of each option.
        rounds: how often each option is timed.
        seed: of the compositions and the input.

    Returns:
        Latency by (segment, option).
    """
    rng = random.Random(seed)
    segments = store.manifest.segments
    executor = open_executor(store)
    image = _input(store, seed)
    # Every option is in one of these; they stay loaded together, for the executor is not told to let go of any.
    composed = [executor.compose(choices) for choices in compositions(store, threads)]
    steps = {choice: step for c in composed for choice, step in zip(c.choices, c.steps, strict=True)}
    times: dict[tuple[str, str], list[float]] = {(c.segment, c.option): [] for c in steps}
    longest = max(len(s.options) for s in segments)
    with Progress(f"timing {store.name}, {threads} thread" + "s" * (threads > 1), rounds) as progress:
        for number in range(-_WARM_UP_ROUNDS, rounds):
            orders = [rng.sample(s.options, len(s.options)) for s in segments]
            for turn in range(longest):
                composed[0].put(image)
                for segment, order in zip(segments, orders, strict=True):
                    choice = Choice(segment.name, order[turn % len(order)].name, threads)
                    start = time.perf_counter_ns()
                    steps[choice]()
                    if number >= 0:
                        times[choice.segment, choice.option].append((time.perf_counter_ns() - start) / 1e6)
            if number >= 0:
                progress.step()
    executor.close()
    return {key: _summary(threads, values) for key, values in times.items()}


def _input(store: Store, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {s.name: rng.uniform(*s.range, s.shape).astype(np.float32) for s in store.manifest.inputs}


def _summary(threads: int, values: list[float]) -> Latency:
    p50, p95 = np.percentile(values, [50, 95])
    return Latency(threads=threads, runs=len(values), min_ms=min(values), median_ms=float(p50), p95_ms=float(p95))
