"""The staircases of a frontier: its best points under any latency limit, found quickly.

Under a latency limit, what matters of a frontier is its *staircase*: by ascending memory, the points within the limit
whose value is greater than that of all points before them. An index by latency leaves few points to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from legodnn.arrays import Floats, Indices, Ints, unique_values
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
        latency: (N,) nanoseconds of the points, which are in ascending order of memory.
        value: (N,) what is to be maximised: the points' values, or their accuracies.
        points: (N,) the points' indices in the frontier; None if all of its points are indexed.
        starts: (K,) the intervals' first latencies, ascending.
    """

    latency: Ints
    value: Ints | Floats
    points: Indices | None
    starts: Ints
    _found: dict[int, Indices] = field(default_factory=dict)

    @classmethod
    def of(cls, frontier: Frontier, value: Ints | Floats, points: Indices | None = None) -> Staircases:
        """Return the index of a frontier, or of some of its points, ascending.

        Args:
            frontier: the frontier.
            value: the values, or the accuracies, of all its points, (N,).
            points: the indices of the points that are indexed; None for all.
        """
        latency, value = (frontier.latency, value) if points is None else (frontier.latency[points], value[points])
        intervals = 1 + int(len(latency) ** 0.5) // _PER_INTERVAL
        some = latency[:: 1 + len(latency) // (_SAMPLES * intervals)]
        starts = np.sort(some)[:: 1 + len(some) // intervals]
        starts[0] = latency.min()
        return cls(latency, value, points, unique_values(starts))

    def under(self, latency_limit: int) -> Indices:
        """Return the staircase under a limit in nanoseconds: indices of points, ascending in memory and in value."""
        at = int(self.starts.searchsorted(latency_limit, side="right")) - 1
        if at < 0:
            return np.zeros(0, dtype=np.intp)
        found = self._found.get(at)
        if found is None:
            found = self._found[at] = self._can_matter(at)
        value = np.where(self.latency[found] <= latency_limit, self.value[found], -INFINITE)
        steps = found[_rises(value)]
        return steps if self.points is None else self.points[steps]

    def _can_matter(self, interval: int) -> Indices:
        """Return which points can matter under a limit in one interval, ascending in memory."""
        latency, value = self.latency, self.value
        best = np.maximum.accumulate(np.where(latency <= self.starts[interval], value, -INFINITE))
        possible = np.ones(len(value), dtype=np.bool_)
        np.greater(value[1:], best[:-1], out=possible[1:])
        if interval + 1 < len(self.starts):
            possible &= latency <= self.starts[interval + 1]
        return np.flatnonzero(possible)


def highest(value: Ints, staircases: Sequence[Indices]) -> Indices:
    """Return the staircase of several staircases of one frontier together.

    Args:
        value: the values of all points of the frontier, (N,).
        staircases: indices of points, each ascending.
    """
    points = np.sort(np.concatenate(staircases))
    return points[_rises(value[points])] if len(points) else points


def _rises(value: Ints | Floats) -> npt.NDArray[np.bool_]:
    """Return which of at least one values are greater than all before them; the first is unless it is infinite."""
    rises = np.empty(len(value), dtype=np.bool_)
    rises[0] = value[0] > -INFINITE
    best = np.maximum.accumulate(value)
    np.greater(best[1:], best[:-1], out=rises[1:])
    return rises
