"""Traces of disturbances, by seed: processes that take processor time, memory or caches, and come and go."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

# What a process of each kind does until it is ended. `busy` computes for a share of the time, `walk` for a share that
# changes every second, `cache` writes to more memory than caches hold, `memory` holds so many megabytes.
_WORK = {
    "busy": "import time\nwhile True:\n e = time.monotonic() + .01 * x\n while time.monotonic() < e: pass\n"
    " time.sleep(max(0, .01 * (1 - x)))",
    "walk": "import random, time\nr = random.Random(int(1e6 * x))\nwhile True:\n end = time.monotonic() + 1\n"
    " x = min(1, max(0, x + r.uniform(-.3, .3)))\n while time.monotonic() < end:\n  e = time.monotonic() + .01 * x\n"
    "  while time.monotonic() < e: pass\n  time.sleep(max(0, .01 * (1 - x)))",
    "cache": "import numpy, time\na = numpy.zeros(1 << 23)\nwhile True:\n a += x\n time.sleep(.005)",
    "memory": "import time\nb = bytearray(int(x * 1e6))\nb[::4096] = bytes([1]) * len(b[::4096])\ntime.sleep(1e9)",
}
_STRENGTH = {"busy": (0.5, 1.0), "walk": (0.2, 0.8), "cache": (0.5, 1.0), "memory": (50.0, 200.0)}


@dataclass(frozen=True)
class Disturbance:
    """A process that runs from `start_s` to `end_s` of a trace; `strength` is what its kind makes of it."""

    kind: str
    strength: float
    start_s: float
    end_s: float


def draw(seconds: float, seed: int) -> list[Disturbance]:
    """Return a trace of disturbances: for two thirds of the time one or two run, and all kinds come."""
    rng, found, now = random.Random(seed), [], 0.0
    kinds = list(_WORK)
    while now < seconds:
        now += rng.uniform(0.03, 0.1) * seconds
        for kind in rng.sample(kinds, rng.choice((1, 1, 2))):
            length = rng.uniform(0.05, 0.2) * seconds
            found.append(Disturbance(kind, rng.uniform(*_STRENGTH[kind]), now, min(seconds, now + length)))
        now = max(d.end_s for d in found)
    return [d for d in found if d.start_s < d.end_s]


class Disturbed:
    """Starts and ends the processes of a trace as time goes on; all are ended when its `with` statement ends."""

    def __init__(self, trace: Sequence[Disturbance]) -> None:
        self._trace = trace
        self._running: dict[Disturbance, subprocess.Popen[bytes]] = {}

    def at(self, now_s: float) -> None:
        """Have those run that the trace has at this time."""
        for d in self._trace:
            wanted = d.start_s <= now_s < d.end_s
            if wanted and d not in self._running:
                work = f"x = {d.strength}\n{_WORK[d.kind]}"
                self._running[d] = subprocess.Popen([sys.executable, "-c", work])
            elif not wanted and d in self._running:
                self._end(d)

    def _end(self, d: Disturbance) -> None:
        process = self._running.pop(d)
        process.kill()
        process.wait()

    def __enter__(self) -> Disturbed:
        return self

    def __exit__(self, *_: object) -> None:
        for d in list(self._running):
            self._end(d)
