"""The Pareto frontier of one model: every composition of its blocks that could ever be part of an optimal plan.

A composition x has memory M(x), latency T(x) and loss L(x), each a sum over blocks. It is *dominated* when another
has all three no greater. Let F_k be sums over the first k blocks among which are all non-dominated ones; then

    F_{k+1} = prune(F_k + options of block k+1)          (a Minkowski sum)

has them too, because dominance survives adding the same option to both sides. Eight blocks of ten options have 10^8
compositions and a frontier of some thousand points. It does not depend on any budget: it is built once. Pruning need
not be perfect for that, only cheap: a dominated point that stays is never chosen.

Under a latency limit t, what matters of the frontier is its *staircase*: by ascending memory, the points with T <= t
that are worth more than all before them. An index by latency leaves few points to look at.

Sums are integers (bytes, nanoseconds, fixed-point loss), so they do not depend on the order of summation.
This module knows nothing of models running together, nor of limits other than latency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Choices = npt.NDArray[np.uint16]

NEVER = int(np.iinfo(np.int64).max)
# So few points are not pruned; and the greatest grid, in cells along a side.
_FEW, _CELLS = 128, 1024
# A frontier of N points gets sqrt(N) / 16 intervals of latency.
_INTERVALS = 16


@dataclass(frozen=True)
class Frontier:
    """All non-dominated compositions of one model, and a few others, by memory, then work (threads x latency).

    Attributes:
        memory: (N,) bytes.
        latency: (N,) nanoseconds.
        accuracy: (N,) the link of the summed loss.
        threads: (N,) thread count; compositions are compared with those of the same thread count only.
        choice: (N, blocks) index of each block's option.
    """

    memory: Ints
    latency: Ints
    accuracy: Floats
    threads: Ints
    choice: Choices

    def __len__(self) -> int:
        return len(self.memory)

    def take(self, points: Indices) -> Frontier:
        """Some of the points."""
        return Frontier(
            memory=self.memory[points],
            latency=self.latency[points],
            accuracy=self.accuracy[points],
            threads=self.threads[points],
            choice=self.choice[points],
        )


_NONE = np.zeros(0, dtype=np.int64)
EMPTY = Frontier(_NONE, _NONE, np.zeros(0), _NONE, np.zeros((0, 0), dtype=np.uint16))


@dataclass(frozen=True)
class Staircases:
    """A frontier's staircases for all latency limits: an index by latency.

    For limits between two neighbouring latencies of a few, s <= t < s', only those points can matter that are no slower
    than s' and that no point of latency <= s beats. They are found once for each such interval.

    Attributes:
        frontier: whose.
        value: (N,) what is to be maximised.
        starts: (K,) the intervals' first latencies, ascending.
        points: for each interval the points that can matter, ascending in memory.
    """

    frontier: Frontier
    value: Ints
    starts: Ints
    points: tuple[Indices, ...]

    @classmethod
    def of(cls, frontier: Frontier, value: Ints) -> Staircases:
        """The index of a frontier, whose points are worth `value`."""
        latency = frontier.latency
        pieces = 1 + int(len(latency) ** 0.5) // _INTERVALS
        starts = np.unique(np.sort(latency)[:: max(1, len(latency) // pieces)])
        points = []
        for start, end in zip(starts, (*starts[1:], NEVER), strict=True):
            best = np.maximum.accumulate(np.where(latency <= start, value, -NEVER))
            before = np.concatenate([[-NEVER], best[:-1]])
            points.append(np.flatnonzero((value > before) & (latency <= end)))
        return cls(frontier, value, starts, tuple(points))

    def under(self, latency_limit: int) -> Indices:
        """The points that matter under a limit: by ascending memory, each worth more than all before."""
        at = int(self.starts.searchsorted(latency_limit, side="right")) - 1
        if at < 0:
            return np.zeros(0, dtype=np.intp)
        points = self.points[at]
        worth = np.where(self.frontier.latency[points] <= latency_limit, self.value[points], -NEVER)
        rises = np.empty(len(worth), dtype=np.bool_)
        rises[0] = worth[0] > -NEVER
        best = np.maximum.accumulate(worth)
        np.greater(best[1:], best[:-1], out=rises[1:])
        return points[rises]


def build(
    blocks: Sequence[tuple[Ints, Ints, Ints]], link: Callable[[Ints], Floats], threads: int, memory: int, latency: int
) -> Frontier:
    """The frontier of one model at one thread count.

    Args:
        blocks: for each block the memory, latency and loss of its options, (options,) each.
        link: summed losses -> accuracies, non-increasing.
        threads: thread count, to be noted.
        memory: what fixed segments add.
        latency: what fixed segments add.
    """
    m, t, loss = np.array([memory]), np.array([latency]), np.zeros(1, dtype=np.int64)
    choice = np.zeros((1, 0), dtype=np.uint16)
    # Blocks of little latency first: sums stay few for longer.
    order = sorted(range(len(blocks)), key=lambda b: int(np.ptp(blocks[b][1])))
    for block_memory, block_latency, block_loss in (blocks[b] for b in order):
        m = (m[:, None] + block_memory).ravel()
        t = (t[:, None] + block_latency).ravel()
        loss = (loss[:, None] + block_loss).ravel()
        kept = _prune(m, t, loss)
        m, t, loss = m[kept], t[kept], loss[kept]
        parent, option = np.divmod(kept, len(block_memory))
        choice = np.concatenate([choice[parent], option[:, None].astype(np.uint16)], axis=1)
    if order:
        choice = choice[:, np.argsort(order)]
    return side_by_side([Frontier(m, t, link(loss), np.full(len(m), threads), choice)])


def side_by_side(frontiers: Sequence[Frontier]) -> Frontier:
    """The points of several frontiers of one model (its thread counts), in order."""
    keys = ("memory", "latency", "accuracy", "threads", "choice")
    joined = Frontier(*(np.concatenate([getattr(f, key) for f in frontiers]) for key in keys))
    m, work = joined.memory, joined.latency * joined.threads
    bits = int(work.max(initial=0)).bit_length()
    if int(m.max(initial=0)).bit_length() + bits < 64:  # one sort of both packed is the quickest
        return joined.take(np.argsort((m << bits) | work, kind="stable"))
    return joined.take(np.lexsort((work, m)))


def _prune(m: Ints, t: Ints, loss: Ints) -> Indices:
    """Indices of all non-dominated points and of few others, at a tenth of the cost of an exact answer.

    Memory x latency is cut into a grid; a point falls if some point in a cell strictly lower in both has no more
    loss. Points of one row or column of cells are not compared.
    """
    if len(m) < _FEW:
        return np.arange(len(m))
    cells = min(_CELLS, int(1.25 * len(m) ** 0.5))
    width = cells + 1
    cell = _cells(m, cells) * width + _cells(t, cells)
    least = np.full((width, width), NEVER)
    flat = least.reshape(-1)
    np.minimum.at(flat[width + 1 :], cell, loss)  # one row and column on, so that `cell` finds what is below it
    np.minimum.accumulate(least, axis=0, out=least)
    np.minimum.accumulate(least, axis=1, out=least)
    kept: Indices = np.flatnonzero(flat[cell] > loss)
    return kept


def _cells(x: Ints, cells: int) -> Indices:
    """A non-decreasing map of values to 0..cells-1."""
    low = x.min()
    scaled: Floats = (x - low) * (cells / (float(x.max() - low) + 1.0))
    return scaled.astype(np.intp)
