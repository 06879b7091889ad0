"""Timing that the rest of the machine disturbs little: things that are compared take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

TURN = 5  # runs in a row
Name = TypeVar("Name", bound=Hashable)


def in_turns(
    runs: Mapping[Name, Callable[[], Any]], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[Name, list[float]]:
    """Run functions in turns of `TURN` runs each until the time is up, after three rounds to warm up.

    Args:
        runs: what is run, by name.
        seconds: for all of them together.
        clock: what times a run, in seconds: `time.process_time` counts only what the processor did for it.

    Returns:
        Milliseconds of every run, by name.
    """
    times: dict[Name, list[float]] = {name: [] for name in runs}
    end, number = time.perf_counter() + seconds, -3
    while time.perf_counter() < end or number < 5:
        for name, once in runs.items():
            for _ in range(TURN):
                start = clock()
                once()
                if number >= 0:
                    times[name].append((clock() - start) * 1e3)
        number += 1
    return times


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds that work takes by the clock, and those of all its threads on a processor."""
    start, start_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - start_cpu
