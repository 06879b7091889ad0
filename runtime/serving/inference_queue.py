"""Requests wait in line for one model: first come, first served, in a thread beside the event loop.

Each model has a line and a thread of its own, so that a model with many requests does not hold up another one. A line
that is full, or in which a request waits too long, says when to try again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from legodnn.arrays import AnyArray, percentiles
from legodnn.errors import ClosedError, OverloadedError
from legodnn.runtime.running_model import Inference

# So many of the last latencies tell how long a line will take, and what the service reports.
_REMEMBERED = 1000


class RunsModels(Protocol):
    """What a line needs of a runtime."""

    def run(self, model: str, x: AnyArray | Mapping[str, AnyArray], /, *, observed: bool = True) -> Inference:
        """See `Runtime.run`."""
        ...


class InferenceQueue:
    """The line of one model.

    Attributes:
        model: the model's name.
        waiting: requests that wait or run.
        served: inferences that were run.
        latencies_ms: how long the last inferences ran, in milliseconds, with the time (`time.monotonic`) when they
            ended.
    """

    def __init__(self, runtime: RunsModels, model: str, length: int, timeout_s: float) -> None:
        """Open a line.

        Args:
            runtime: runs the model.
            model: its name.
            length: requests that may wait or run at a time.
            timeout_s: how long a request may wait before it runs, in seconds.
        """
        self._runtime, self._length, self._timeout_s = runtime, length, timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"legodnn-{model}")
        self._closed = False
        self.model, self.waiting, self.served = model, 0, 0
        self.latencies_ms: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)

    async def infer(self, inputs: AnyArray | Mapping[str, AnyArray], observed: bool = True) -> Inference:
        """Wait in line and run one inference. A request whose client went away leaves the line.

        Args:
            inputs: what `Runtime.run` takes.
            observed: False for one that says nothing of how long inferences take, as for `Runtime.run`.

        Raises:
            OverloadedError: the line is full, or the request waited too long.
            ClosedError: the line is closed, or was while the request waited.
            LegoError: whatever `Runtime.run` raises.
        """
        if self._closed:
            raise self._refused()
        if self.waiting >= self._length:
            raise OverloadedError(f"{self.waiting} requests wait for {self.model!r} already", self.seconds_to_wait())
        held, given_up = [inputs], []
        del inputs  # only `held` holds them now, and lets go of them

        def run() -> Inference:
            inference = self._runtime.run(self.model, held.pop(), observed=observed)
            self.served += 1
            if observed:
                self.latencies_ms.append((time.monotonic(), inference.latency_ms))
            return inference

        self.waiting += 1
        try:
            future = self._thread.submit(run)
            patience = asyncio.get_running_loop().call_later(
                self._timeout_s, lambda: given_up.append(True) if future.cancel() else None
            )
            done = asyncio.wrap_future(future)
            try:
                # Unlike awaiting it, this tells whether the request is cancelled, or the line let go of it.
                await asyncio.wait((done,))
            except asyncio.CancelledError:
                done.cancel()  # if it has not started yet; what runs, runs to its end
                raise
            finally:
                patience.cancel()
            if not done.cancelled():
                return done.result()
            if not given_up:
                raise self._refused()
            raise OverloadedError(
                f"the request waited more than {self._timeout_s:g} s for {self.model!r}", self.seconds_to_wait()
            )
        finally:
            self.waiting -= 1
            held.clear()  # the thread may keep what was cancelled until it comes to it

    def seconds_to_wait(self) -> int:
        """Return after how many whole seconds the line as it is now will have been served, at least 1."""
        recent = [ms for _, ms in list(self.latencies_ms)[-20:]]
        return max(1, math.ceil(self.waiting * percentiles(recent, 50)[0] / 1e3)) if recent else 1

    def _refused(self) -> ClosedError:
        return ClosedError(f"{self.model!r} is served no longer; try again")

    def close(self) -> None:
        """Let the request that runs end, and drop those that wait."""
        self._closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)
