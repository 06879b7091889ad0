"""The latency of finished files on this machine, to compare a few of them; devices measure stores by `profiler`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from legodnn.arrays import Array
from legodnn.runtime.executors.interpreter import open_interpreter

_TIMED_S, _LEAST_RUNS, _MOST_RUNS = 2.0, 5, 200  # of each file


def latencies_ms(files: Sequence[bytes], inputs: Sequence[Array]) -> list[float]:
    """Return the median milliseconds of an inference of each `.tflite` file, on one thread, measured in turn.

    Args:
        files: their contents.
        inputs: what they take, in their order, each of shape (1, ...).
    """
    interpreters = [open_interpreter(model_content=content, threads=1) for content in files]
    for interpreter in interpreters:
        for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], np.asarray(x, np.float32))
        interpreter.invoke()
    times: list[list[float]] = [[] for _ in files]
    end = time.monotonic() + _TIMED_S * len(files)
    while len(times[0]) < _LEAST_RUNS or (time.monotonic() < end and len(times[0]) < _MOST_RUNS):
        for interpreter, own in zip(interpreters, times, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            own.append(time.perf_counter() - start)
    return [1e3 * float(np.median(own)) for own in times]
