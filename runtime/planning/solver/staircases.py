"""The staircases of a frontier: its best points under any latency limit, found quickly.

Under a latency limit, what matters of a frontier is its *staircase*: by ascending memory, the points within the limit
whose value is greater than that of all points before them. An index by latency leaves few points to look at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from legodnn.arrays import Indices, Ints
from legodnn.runtime.planning.solver.frontier import INFINITE, Frontier

# A frontier of N points gets sqrt(N) / _PER_INTERVAL intervals of latency. Their bounds are quantiles of a sample, with
# _SAMPLES latencies for each interval.
_PER_INTERVAL, _SAMPLES = 8, 16


@dataclass(frozen=True)
class Staircases:
    """An index by latency of a frontier, from which the staircase under any limit is read.

    Latencies are divided into intervals. For a limit in the interval from s to s', only those points can matter that
    are no slower than s' and whose value no lighter point of latency <= s reaches. They are found when a limit in
    the interval is first asked for, and kept.

    Attributes:
        frontier: the frontier that is indexed.
        value: (N,) the points' values, which are to be maximised.
        starts: (K,) the intervals' first latencies, ascending.
    """

    frontier: Frontier
    value: Ints
    starts: Ints
    _found: dict[int, Indices] = field(default_factory=dict)

    @classmethod
    def of(cls, frontier: Frontier, value: Ints) -> Staircases:
        """Return the index of a frontier whose points have these values, (N,)."""
        latency = frontier.latency
        intervals = 1 + int(len(latency) ** 0.5) // _PER_INTERVAL
        some = latency[:: 1 + len(latency) // (_SAMPLES * intervals)]
        starts = np.sort(some)[:: 1 + len(some) // intervals]
        starts[0] = latency.min()
        return cls(frontier, value, np.unique(starts))

    def under(self, latency_limit: int) -> Indices:
        """Return the staircase under a limit in nanoseconds: indices of points, ascending in memory and in value."""
        at = int(self.starts.searchsorted(latency_limit, side="right")) - 1
        if at < 0:
            return np.zeros(0, dtype=np.intp)
        points = self._found.get(at)
        if points is None:
            points = self._found[at] = self._can_matter(at)
        value = np.where(self.frontier.latency[points] <= latency_limit, self.value[points], -INFINITE)
        rises = np.empty(len(value), dtype=np.bool_)
        rises[0] = value[0] > -INFINITE
        best = np.maximum.accumulate(value)
        np.greater(best[1:], best[:-1], out=rises[1:])
        return points[rises]

    def _can_matter(self, interval: int) -> Indices:
        """Return the points that can matter under a limit in one interval, ascending in memory."""
        latency, value = self.frontier.latency, self.value
        best = np.maximum.accumulate(np.where(latency <= self.starts[interval], value, -INFINITE))
        possible = np.ones(len(value), dtype=np.bool_)
        np.greater(value[1:], best[:-1], out=possible[1:])
        if interval + 1 < len(self.starts):
            possible &= latency <= self.starts[interval + 1]
        return np.flatnonzero(possible)
