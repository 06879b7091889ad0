"""The roof over what a device can compute: its peak of multiply-accumulates, and how fast it moves memory.

After Williams, Waterman and Patterson, "Roofline: an insightful visual performance model" (2009). A piece of a model
takes at least its multiply-accumulates over the one, and at least its bytes over the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legodnn.manifest import Precision
from legodnn.profiler.probe_blocks import CONVOLUTION, layers_file
from legodnn.runtime.executors.interpreter import open_interpreter

# A 3x3 convolution that kernels are at their best with: many channels, and all of it in the caches.
_SIZE, _CHANNELS = 16, 256
_COPIED_BYTES = 64_000_000  # more than caches hold
_SECONDS = 0.5  # for each measurement


@dataclass(frozen=True)
class Roof:
    """What a device reaches at best.

    Attributes:
        threads: the number of threads that compute.
        float32_macs_per_s, int8_macs_per_s: multiply-accumulates in a second.
        bytes_per_s: bytes that one thread reads and writes in a second.
    """

    threads: int
    float32_macs_per_s: float
    int8_macs_per_s: float
    bytes_per_s: float

    def peak(self, precision: Precision) -> float:
        """Return the multiply-accumulates in a second of an option; weights in float16 are computed with in float32."""
        return self.int8_macs_per_s if precision == "int8" else self.float32_macs_per_s

    def least_ms(self, macs: float, moved: float, precision: Precision) -> float:
        """Return the milliseconds that so many multiply-accumulates and moved bytes take at least."""
        return 1e3 * max(macs / self.peak(precision), moved / self.bytes_per_s)


def measure_roof(threads: int) -> Roof:
    """Measure the device's roof: a large convolution in each precision, run by TensorFlow Lite, and a copy of memory.

    Args:
        threads: the number of threads that run the convolution.

    Raises:
        ExecutionError: the convolution cannot be run here.
    """
    work = _SIZE**2 * 9 * _CHANNELS**2
    peaks = {}
    for precision in ("float32", "int8"):
        content = layers_file(precision, _SIZE, [(CONVOLUTION, (_CHANNELS, 3, 3, _CHANNELS))])
        interpreter = open_interpreter(model_content=content, threads=threads)
        peaks[precision] = work / _least_seconds(interpreter.invoke)
    source = np.zeros(_COPIED_BYTES // 2, np.uint8)
    target = source.copy()
    moved = _COPIED_BYTES / _least_seconds(lambda: np.copyto(target, source))
    return Roof(threads, peaks["float32"], peaks["int8"], moved)


def _least_seconds(once: Callable[[], object]) -> float:
    """Return the least time of a call, since what disturbs one only adds to it."""
    once()
    end = time.perf_counter() + _SECONDS
    found: list[float] = []
    while not found or time.perf_counter() < end:
        start = time.perf_counter()
        once()
        found.append(time.perf_counter() - start)
    return min(found)
