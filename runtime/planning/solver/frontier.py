"""The Pareto frontier of one model: every composition of its blocks that could ever be part of an optimal plan.

A composition x has memory M(x), latency T(x) and loss L(x), each a sum over blocks. It is *dominated* when another
has all three no greater. Let F_k be sums over the first k blocks among which are all non-dominated ones; then

    F_{k+1} = prune(F_k + options of block k+1)          (a Minkowski sum)

has them too, because dominance survives adding the same option to both sides. Eight blocks of ten options have 10^8
compositions and a frontier of some thousand points. It does not depend on any budget: it is built once. Pruning need
not be perfect for that, only cheap: a dominated point that stays is never chosen.

What an option loses may depend on the option of the block before it. Two sums that end in different options do not then
lose the same with the same next option; one is dominated where its loss is no less even if the next option is the best
for it and the worst for the other. (What a next option loses after any option at all does not count in that: centred,
interactions are small beside losses.) Two sums that end in the same option compare as ever.

Under a latency limit t, what matters of the frontier is its *staircase*: by ascending memory, the points with T <= t
that are worth more than all before them. An index by latency leaves few points to look at.

Sums are integers (bytes, nanoseconds, fixed-point loss), so they do not depend on the order of summation.
This module knows nothing of models running together, nor of limits other than latency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from legodnn.arrays import Floats, Indices, Ints

OptionIndices = npt.NDArray[np.uint16]

NEVER = int(np.iinfo(np.int64).max)
# So few points are not pruned; and the greatest grid, in cells along a side.
_FEW, _CELLS = 128, 1024
# Where so many sums would have to be looked at, or so many after a block at which most of them had to be kept, figures
# are noise: pruned blocks trade one thing for another.
_MOST, _MOST_AFTER_NOISE = 1 << 22, 1 << 17
# Fixed point of cells: _CELLS << _SHIFT is below 2^63.
_SHIFT = 52
# A frontier of N points gets sqrt(N) / 8 intervals of latency, between quantiles of so many samples for each.
_PER_INTERVAL, _SAMPLES = 8, 16


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
    choice: OptionIndices

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

    def beside(self, other: Frontier) -> Frontier:
        """The points of both, these first."""
        keys = ("memory", "latency", "accuracy", "threads", "choice")
        return Frontier(*(np.concatenate([getattr(self, key), getattr(other, key)]) for key in keys))


_NONE = np.zeros(0, dtype=np.int64)
EMPTY = Frontier(_NONE, _NONE, np.zeros(0), _NONE, np.zeros((0, 0), dtype=np.uint16))


@dataclass(frozen=True)
class Staircases:
    """A frontier's staircases for all latency limits: an index by latency.

    For limits between two neighbouring latencies of a few, s <= t < s', only those points can matter that are no slower
    than s' and that no point of latency <= s beats. They are found when an interval is first asked for, and kept.

    Attributes:
        frontier: whose.
        value: (N,) what is to be maximised.
        starts: (K,) the intervals' first latencies, ascending.
    """

    frontier: Frontier
    value: Ints
    starts: Ints
    _found: dict[int, Indices] = field(default_factory=dict)

    @classmethod
    def of(cls, frontier: Frontier, value: Ints) -> Staircases:
        """The index of a frontier, whose points are worth `value`."""
        latency = frontier.latency
        intervals = 1 + int(len(latency) ** 0.5) // _PER_INTERVAL
        some = latency[:: 1 + len(latency) // (_SAMPLES * intervals)]
        starts = np.sort(some)[:: 1 + len(some) // intervals]
        starts[0] = latency.min()
        return cls(frontier, value, np.unique(starts))

    def under(self, latency_limit: int) -> Indices:
        """The points that matter under a limit: by ascending memory, each worth more than all before."""
        at = int(self.starts.searchsorted(latency_limit, side="right")) - 1
        if at < 0:
            return np.zeros(0, dtype=np.intp)
        points = self._found.get(at)
        if points is None:
            points = self._found[at] = self._can_matter(at)
        worth = np.where(self.frontier.latency[points] <= latency_limit, self.value[points], -NEVER)
        rises = np.empty(len(worth), dtype=np.bool_)
        rises[0] = worth[0] > -NEVER
        best = np.maximum.accumulate(worth)
        np.greater(best[1:], best[:-1], out=rises[1:])
        return points[rises]

    def _can_matter(self, interval: int) -> Indices:
        """The points that can matter in one interval, ascending in memory."""
        latency, value = self.frontier.latency, self.value
        best = np.maximum.accumulate(np.where(latency <= self.starts[interval], value, -NEVER))
        possible = np.ones(len(value), dtype=np.bool_)
        np.greater(value[1:], best[:-1], out=possible[1:])
        if interval + 1 < len(self.starts):
            possible &= latency <= self.starts[interval + 1]
        return np.flatnonzero(possible)


def build_frontier(
    blocks: Sequence[tuple[Ints, Ints, Ints]], link: Callable[[Ints], Floats], threads: int, memory: int, latency: int
) -> Frontier:
    """The frontier of one model at one thread count.

    Args:
        blocks: for each block the memory and latency of its options, (options,) each, and the loss of each after each
            option of the block before, (options before, options); one row for the first block.
        link: summed losses -> accuracies, non-increasing.
        threads: thread count, to be noted.
        memory: what fixed segments add.
        latency: what fixed segments add.

    Raises:
        OverflowError: millions of compositions are each the best at something.
    """
    m, t, loss = np.array([memory]), np.array([latency]), np.zeros(1, dtype=np.int64)
    last = np.zeros(1, dtype=np.intp)
    choice = np.zeros((1, 0), dtype=np.uint16)
    order, noisy = list(range(len(blocks))), False
    if not any(interacts(after) for _, _, after in blocks):
        # Blocks that trade memory for latency at a like rate come one after the other: sums stay few for longer.
        order.sort(key=lambda b: np.ptp(blocks[b][0]) / (np.ptp(blocks[b][1]) + 1.0))
        blocks = [(memory_of, latency_of, after[:1]) for memory_of, latency_of, after in (blocks[b] for b in order)]
    for i, (memory_of, latency_of, after) in enumerate(blocks):
        looked_at = len(m) * len(memory_of)
        if looked_at > (_MOST_AFTER_NOISE if noisy else _MOST):
            raise OverflowError(f"{looked_at} sums")
        losses = (after.T if len(after) == 1 else after.T[:, last]) + loss
        ahead = _ahead(blocks[i + 1][2]) if i + 1 < len(blocks) and interacts(blocks[i + 1][2]) else None
        parent, option = _undominated((m, t), (memory_of, latency_of), losses, ahead)
        noisy = looked_at > _MOST_AFTER_NOISE // 32 and 2 * len(parent) > looked_at
        ascending = _ascending(m[parent] + memory_of[option], t[parent] + latency_of[option])
        parent, option = parent[ascending], option[ascending]
        m, t, loss, last = m[parent] + memory_of[option], t[parent] + latency_of[option], losses[option, parent], option
        choice = np.concatenate([choice[parent], option[:, None].astype(np.uint16)], axis=1)
    if order:
        choice = choice[:, np.argsort(order)]
    return Frontier(m, t, link(loss), np.full(len(m), threads), choice)


def interacts(after: Ints) -> bool:
    """Whether what options lose depends on the option of the block before."""
    return bool(np.ptp(after, axis=0).any())


def _ahead(following: Ints) -> tuple[Ints, Ints]:
    """For each option of a block, the least and the most that the next block's interaction with it adds to the loss."""
    centred = following - (following.max(axis=0) + following.min(axis=0)) // 2
    return centred.min(axis=1), centred.max(axis=1)


def side_by_side(frontiers: Sequence[Frontier]) -> Frontier:
    """The points of several frontiers of one model (its thread counts), in order."""
    keys = ("memory", "latency", "accuracy", "threads", "choice")
    joined = Frontier(*(np.concatenate([getattr(f, key) for f in frontiers]) for key in keys))
    return joined.take(_ascending(joined.memory, joined.latency * joined.threads))


def _ascending(m: Ints, work: Ints) -> Indices:
    """The order by memory, then work. Stable, and quick on a few ascending runs, which is what sums are."""
    bits = int(work.max(initial=0)).bit_length()
    if int(m.max(initial=0)).bit_length() + bits < 64:  # one sort of both packed is the quickest
        return np.argsort((m << bits) | work, kind="stable")
    return np.lexsort((work, m))


def _undominated(
    sums: tuple[Ints, Ints], block: tuple[Ints, Ints], losses: Ints, ahead: tuple[Ints, Ints] | None
) -> tuple[Indices, Indices]:
    """Which options to add to which sums: all that give a non-dominated sum, and few others.

    Args:
        sums: memory and latency of what is there, (n,) each.
        block: memory and latency of the options to add, (options,) each.
        losses: of an option with a sum, (options, n).
        ahead: the least and the most that an option may add to the loss of what comes next, (options,) each; None for
            the same whichever it is.
    """
    count, options = losses.shape[1], len(losses)
    if ahead is None:
        kept = _kept(sums, block, losses, losses)
    else:
        kept = _kept(sums, block, losses + ahead[0][:, None], losses + ahead[1][:, None])
        # But with one last option, all lose the same next.
        by_option = np.split(kept, np.searchsorted(kept, count * np.arange(1, options)))
        nothing = np.zeros(1, dtype=np.int64)
        for o, numbers in enumerate(by_option):
            parents = numbers - o * count
            loss = losses[o : o + 1, parents]
            same = _kept((sums[0][parents], sums[1][parents]), (nothing, nothing), loss, loss)
            by_option[o] = numbers[same]
        kept = np.concatenate(by_option)
    option, parent = np.divmod(kept, count)
    return parent, option


def _kept(sums: tuple[Ints, Ints], block: tuple[Ints, Ints], at_least: Ints, at_most: Ints) -> Indices:
    """The numbers (option x sums + sum) of all that are not dominated, and of a few others.

    Memory x latency is cut into a grid; a sum falls if one in a cell strictly lower in both loses at most what it loses
    at least. Sums of one row or column of cells are not compared: that leaves some too many, at a tenth of the cost of
    an exact answer.
    """
    n = at_least.size
    if n < _FEW:
        return np.arange(n)
    cells = min(_CELLS, int(n**0.5))
    width = cells + 1
    cell = _cells(sums[0], block[0], cells)
    cell *= width
    cell += _cells(sums[1], block[1], cells)
    least = np.full((width, width), NEVER)
    flat = least.reshape(-1)
    # A row and a column on, so that `cell` finds what is below it.
    np.minimum.at(flat[width + 1 :], cell, at_most.ravel())
    np.minimum.accumulate(least, axis=0, out=least)
    np.minimum.accumulate(least, axis=1, out=least)
    return np.flatnonzero(flat[cell] > at_least.ravel())


def _cells(x: Ints, y: Ints, cells: int) -> Indices:
    """All sums y + x, mapped to 0..cells-1 by a non-decreasing function: (len(y) * len(x),), those of one y in a row.

    A multiple of the sum is shifted right: two operations on all sums, and the multiplication before adding up.
    """
    low_x, low_y = int(x.min()), int(y.min())
    factor = (cells << _SHIFT) // (int(x.max()) - low_x + int(y.max()) - low_y + 1)
    found = np.add.outer((y - low_y) * factor, (x - low_x) * factor)
    found >>= _SHIFT
    return found.ravel()
