"""Measuring at one speed of the machine: virtual ones are slower by a half for minutes while others use their cores.

A reference is timed before and after each measurement. What was measured while it was slower than it can be is measured
again, so that what is compared was measured at the same speed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from legodnn.files import write_atomic
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store
from support.originals import image
from support.timing import in_turns

Found = TypeVar("Found")

SLOWER = 1.1  # times the least time of the reference: so far it counts as the same speed
_SECONDS, _PAUSE_SECONDS, _PAUSES, _ATTEMPTS = 1.0, 15.0, 20, 4


def reference_ms(store: Store) -> float:
    """Return the median time of an inference with the last option of every segment, over a second.

    It should be in int8: its instructions become slower than others when other machines use them too.
    """
    executor, inputs = open_executor(store), image(store)
    model = executor.compose(tuple(Choice(s.name, s.options[-1].name, 1) for s in store.manifest.segments))
    times = in_turns({"reference": partial(model.run, inputs)}, _SECONDS)["reference"]
    executor.close()
    return statistics.median(times)


def times_predicted(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return how many times longer than predicted inferences took, as the median over rows that kept their limit."""
    return statistics.median([r["median_ms"] / r["predicted_ms"] for r in rows if r["accuracy"]] or [1.0])


class Steady:
    """Measures again what was measured while the machine was slower than it can be."""

    def __init__(
        self, reference: Callable[[], float], best: Path, waits: bool = True, pause_seconds: float = _PAUSE_SECONDS
    ) -> None:
        """Begin, or go on.

        Args:
            reference: returns how long something takes now that always is the same work.
            best: the file that keeps the least time of it.
            waits: whether it does; else it measures once, whatever the machine does.
            pause_seconds: how long is waited before the machine is tried again.
        """
        self._reference, self._best, self._waits, self._pause = reference, best, waits, pause_seconds

    def at_full_speed(self) -> bool:
        """Whether the machine is as fast as it has ever been."""
        took = self._reference()
        best = min(took, float(self._best.read_text()) if self._best.exists() else took)
        write_atomic(self._best, str(best))
        return took <= SLOWER * best

    def measured(self, measure: Callable[[], Found]) -> Found:
        """Return what `measure` returns, when it began and ended at full speed, or after some attempts."""
        if not self._waits:
            return measure()
        for attempt in range(_ATTEMPTS):
            for _ in range(_PAUSES):
                if self.at_full_speed():
                    break
                time.sleep(self._pause)
            found = measure()
            if self.at_full_speed():
                return found
            print(f"the machine became slower, measured {attempt + 1} times", file=sys.stderr)
        return found
