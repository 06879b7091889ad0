"""The Pareto frontier of one model: every composition of its blocks that could ever be part of an optimal plan.

A composition x has memory M(x), latency T(x) and loss L(x), each a sum over blocks. It is *dominated* if another
composition is no greater in all three. Let F_k be a set of sums over the first k blocks that contains all sums that
are not dominated. Then

    F_{k+1} = prune(F_k + options of block k+1)          (a Minkowski sum)

contains all such sums over k+1 blocks, because dominance survives adding the same option to both sides. Eight blocks
of ten options have 10^8 compositions and a frontier of a few thousand points. The frontier does not depend on any
budget, so it is built once. Pruning has to be cheap and need not be perfect: a dominated point that stays is never
chosen.

The loss of an option may depend on the option of the block before it (their interaction). Two sums that end in
different options may then lose differently with the same next option. One of them is dominated only if its loss is no
less even when the next option is the best one for it and the worst one for the other. What a next option loses
after every option alike says nothing about which of two sums is better, so it is left out of this comparison:
interactions centred in this way are small beside losses. Two sums that end in the same option are compared as usual.

Sums are whole numbers (bytes, nanoseconds, fixed-point loss), so they do not depend on the order of summation.
This module knows nothing of models that run together, nor of limits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from legodnn.arrays import Floats, Indices, Ints
from legodnn.runtime.planning.solver.modes import threads_of

OptionIndices = npt.NDArray[np.uint16]

# Stands for infinity where numbers are whole.
INFINITE = int(np.iinfo(np.int64).max)
# Fewer points than this are not pruned.
_FEW = 128
# The greatest number of cells along a side of the grid by which sums are compared.
_CELLS = 1024
# A block for which more sums than this have to be compared means that the figures are noise: in a pruned network an
# option that is smaller is usually faster as well, so most sums are dominated.
_MOST = 1 << 22
# The same limit after a block at which most sums had to be kept.
_MOST_AFTER_NOISE = 1 << 17
# Bits of the fixed point in which cells are computed: _CELLS << _SHIFT is below 2^63.
_SHIFT = 52


@dataclass(frozen=True)
class Frontier:
    """The compositions of one model that are not dominated, and a few others, by memory, then threads x latency.

    Attributes:
        memory: (N,) bytes.
        latency: (N,) nanoseconds.
        accuracy: (N,) the link of the summed loss.
        mode: (N,) the mode that it runs in (see `modes`); it is compared only with others of the same mode.
        choice: (N, blocks) index of each block's option.
    """

    memory: Ints
    latency: Ints
    accuracy: Floats
    mode: Ints
    choice: OptionIndices

    def __len__(self) -> int:
        return len(self.memory)

    def take(self, points: Indices) -> Frontier:
        """Return some of the points, in the order of `points`."""
        return Frontier(
            memory=self.memory[points],
            latency=self.latency[points],
            accuracy=self.accuracy[points],
            mode=self.mode[points],
            choice=self.choice[points],
        )

    def beside(self, other: Frontier) -> Frontier:
        """Return the points of both, those of this one first."""
        keys = ("memory", "latency", "accuracy", "mode", "choice")
        return Frontier(*(np.concatenate([getattr(self, key), getattr(other, key)]) for key in keys))


_NONE = np.zeros(0, dtype=np.int64)
EMPTY = Frontier(_NONE, _NONE, np.zeros(0), _NONE, np.zeros((0, 0), dtype=np.uint16))


def build_frontier(
    blocks: Sequence[tuple[Ints, Ints, Ints]], link: Callable[[Ints], Floats], mode: int, memory: int, latency: int
) -> Frontier:
    """Return the frontier of one model in one mode.

    Args:
        blocks: for each block the memory and the latency of its options, (options,) each, and the loss of each option
            after each option of the block before, (options before, options); one row for the first block.
        link: turns summed losses into accuracies; non-increasing.
        mode: the mode that the points are marked with.
        memory: bytes that fixed segments add.
        latency: nanoseconds that fixed segments add.

    Raises:
        OverflowError: millions of compositions are each the best at something.
    """
    m, t, loss = (np.array([start], dtype=np.int64) for start in (memory, latency, 0))
    last = np.zeros(1, dtype=np.intp)
    choice = np.zeros((1, 0), dtype=np.uint16)
    order, noisy = list(range(len(blocks))), False
    if not any(interacts(after) for _, _, after in blocks):
        # Blocks that trade memory for latency at a similar rate are added one after the other: it keeps sums few.
        order.sort(key=lambda b: np.ptp(blocks[b][0]) / (np.ptp(blocks[b][1]) + 1.0))
        blocks = [(memory_of, latency_of, after[:1]) for memory_of, latency_of, after in (blocks[b] for b in order)]
    for i, (memory_of, latency_of, after) in enumerate(blocks):
        compared = len(m) * len(memory_of)
        if compared > (_MOST_AFTER_NOISE if noisy else _MOST):
            raise OverflowError(f"{compared} sums")
        losses = (after.T if len(after) == 1 else after.T[:, last]) + loss
        ahead = _loss_ahead(blocks[i + 1][2]) if i + 1 < len(blocks) and interacts(blocks[i + 1][2]) else None
        parent, option = _undominated((m, t), (memory_of, latency_of), losses, ahead)
        noisy = compared > _MOST_AFTER_NOISE // 32 and 2 * len(parent) > compared
        ascending = _ascending(m[parent] + memory_of[option], t[parent] + latency_of[option])
        parent, option = parent[ascending], option[ascending]
        m, t, loss, last = m[parent] + memory_of[option], t[parent] + latency_of[option], losses[option, parent], option
        choice = np.concatenate([choice[parent], option[:, None].astype(np.uint16)], axis=1)
    if order:
        choice = choice[:, np.argsort(order)]
    return Frontier(m, t, link(loss), np.full(len(m), mode), choice)


def interacts(after: Ints) -> bool:
    """Return whether the loss of a block's options depends on the option of the block before it.

    Args:
        after: (options before, options) the loss of each option after each option of the block before.
    """
    return bool(np.ptp(after, axis=0).any())


def _loss_ahead(following: Ints) -> tuple[Ints, Ints]:
    """For each option of a block, the least and the most loss that its interaction with the next block can add."""
    centred = following - (following.max(axis=0) + following.min(axis=0)) // 2
    return centred.min(axis=1), centred.max(axis=1)


def side_by_side(frontiers: Sequence[Frontier]) -> Frontier:
    """Return the points of several frontiers of one model (those of its modes) as one, in the usual order."""
    joined = functools.reduce(Frontier.beside, frontiers)
    return joined.take(_ascending(joined.memory, joined.latency * threads_of(joined.mode)))


def _ascending(memory: Ints, work: Ints) -> Indices:
    """The order by memory, then work. It is stable, and quick on a few ascending runs, which is what sums are."""
    bits = int(work.max(initial=0)).bit_length()
    if int(memory.max(initial=0)).bit_length() + bits < 64:  # one sort of both in one number is the quickest
        return np.argsort((memory << bits) | work, kind="stable")
    return np.lexsort((work, memory))


def _undominated(
    sums: tuple[Ints, Ints], block: tuple[Ints, Ints], losses: Ints, ahead: tuple[Ints, Ints] | None
) -> tuple[Indices, Indices]:
    """Return which options to add to which sums: all pairs that are not dominated, and a few others.

    Args:
        sums: memory and latency of the sums so far, (n,) each.
        block: memory and latency of the options to add, (options,) each.
        losses: (options, n) the loss of each option added to each sum.
        ahead: the least and the most that each option can add to the loss of the next block, (options,) each; None if
            that is the same for all options.

    Returns:
        The index of the sum and the index of the option of each pair.
    """
    count, options = losses.shape[1], len(losses)
    if ahead is None:
        kept = _kept(sums, block, losses, losses)
    else:
        kept = _kept(sums, block, losses + ahead[0][:, None], losses + ahead[1][:, None])
        # Sums that end in the same option lose the same in the next block, so among them losses are compared exactly.
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
    """Return the numbers (option x sums + sum) of all pairs that are not dominated, and of a few others.

    The plane of memory and latency is cut into a grid. A pair is dropped if another one, in a cell that is lower in
    both, loses at most what this one loses at least. Pairs in one row or one column of cells are not compared. That
    leaves a few too many, at a tenth of the cost of an exact answer.
    """
    n = at_least.size
    if n < _FEW:
        return np.arange(n)
    cells = min(_CELLS, int(n**0.5))
    width = cells + 1
    cell = _cells(sums[0], block[0], cells)
    cell *= width
    cell += _cells(sums[1], block[1], cells)
    least = np.full((width, width), INFINITE)
    flat = least.reshape(-1)
    # Losses are entered one row and one column further on, so that `cell` finds what lies strictly below it.
    np.minimum.at(flat[width + 1 :], cell, at_most.ravel())
    np.minimum.accumulate(least, axis=0, out=least)
    np.minimum.accumulate(least, axis=1, out=least)
    return np.flatnonzero(flat[cell] > at_least.ravel())


def _cells(x: Ints, y: Ints, cells: int) -> Indices:
    """Return the cell 0..cells-1 of each sum y + x, (len(y) * len(x),), all sums of one y in a row.

    Cells do not decrease with the sum. A multiple of the sum is shifted right, so that there are two operations for all
    sums and the multiplications are done before the sums are formed.
    """
    low_x, low_y = int(x.min()), int(y.min())
    factor = (cells << _SHIFT) // (int(x.max()) - low_x + int(y.max()) - low_y + 1)
    found = np.add.outer((y - low_y) * factor, (x - low_x) * factor)
    found >>= _SHIFT
    return found.ravel()
