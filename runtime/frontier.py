"""The Pareto frontier of one model: every composition of its blocks that could ever be part of an optimal plan.

A composition x has memory M(x), latency T(x) and loss L(x), each a sum over blocks. It is *dominated* when another
has all three no greater. Let F_k be sums over the first k blocks among which are all non-dominated ones; then

    F_{k+1} = prune(F_k + options of block k+1)          (a Minkowski sum)

has them too, because dominance survives adding the same option to both sides. Eight blocks of ten options have 10^8
compositions and a frontier of some thousand points. It does not depend on any budget: it is built once.

Under a latency limit t and a memory limit, what matters of the frontier is its *staircase*: the points with T <= t
that no other such point beats in memory and accuracy. A point enters the staircase at t = T and leaves it at its
*death*, the least latency of any point with no more memory and no less accuracy. The deaths are known when the
frontier is built (a point that dies before it enters is dominated), so the staircase of any t is a comparison of two
arrays with t, already in order of memory.

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
_GRID_FROM, _GRID_CELLS = 128, 224
_LEAF = 16


@dataclass(frozen=True)
class Frontier:
    """Non-dominated compositions of one model, by ascending memory, then latency.

    Attributes:
        memory: (N,) bytes.
        latency: (N,) nanoseconds.
        accuracy: (N,) the link of the summed loss.
        death: (N,) the latency limit from which on another point is no worse in memory and accuracy, or NEVER.
        threads: (N,) thread count.
        choice: (N, blocks) index of each block's option.
    """

    memory: Ints
    latency: Ints
    accuracy: Floats
    death: Ints
    threads: Ints
    choice: Choices

    def __len__(self) -> int:
        return len(self.memory)

    def staircase(self, latency_limit: int) -> Indices:
        """Indices of the points worth considering under a latency limit; memory and accuracy ascend along them."""
        return np.flatnonzero((self.latency <= latency_limit) & (self.death > latency_limit))


_NONE = np.zeros(0, dtype=np.int64)
EMPTY = Frontier(_NONE, _NONE, np.zeros(0), _NONE, _NONE, np.zeros((0, 0), dtype=np.uint16))


def build(
    blocks: Sequence[tuple[Ints, Ints, Ints]],
    link: Callable[[Ints], Floats],
    threads: int,
    memory: int,
    latency: int,
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
    for block_memory, block_latency, block_loss in blocks:
        m = (m[:, None] + block_memory).ravel()
        t = (t[:, None] + block_latency).ravel()
        loss = (loss[:, None] + block_loss).ravel()
        kept = _maybe_pareto(m, t, loss)
        m, t, loss = m[kept], t[kept], loss[kept]
        parent, option = np.divmod(kept, len(block_memory))
        choice = np.concatenate([choice[parent], option[:, None].astype(np.uint16)], axis=1)
    return _exact(m, t, link(loss), np.full(len(m), threads), choice)


def join(frontiers: Sequence[Frontier]) -> Frontier:
    """One frontier of several of the same model (its thread counts)."""
    if len(frontiers) == 1:
        return frontiers[0]
    m, t, a, n = (
        np.concatenate([getattr(f, key) for f in frontiers]) for key in ("memory", "latency", "accuracy", "threads")
    )
    return _exact(m, t, a, n, np.concatenate([f.choice for f in frontiers]))


def _exact(m: Ints, t: Ints, accuracy: Floats, threads: Ints, choice: Choices) -> Frontier:
    order = np.argsort(m)
    if (np.diff(m[order]) == 0).any():  # order must not depend on how argsort treats ties
        order = np.lexsort((threads, -accuracy, t, m))
    m, t, accuracy = m[order], t[order], accuracy[order]
    death = earlier_min(-accuracy, t)
    kept = np.flatnonzero(death > t)
    rest = order[kept]
    return Frontier(m[kept], t[kept], accuracy[kept], death[kept], threads[rest], choice[rest])


def _maybe_pareto(m: Ints, t: Ints, loss: Ints) -> Indices:
    """Indices of all non-dominated points and of few others, at a tenth of the cost of an exact answer.

    Memory x latency is cut into a grid; a point falls if some point in a cell strictly lower in both has no more
    loss. Points of one row or column of cells are not compared.
    """
    n = len(m)
    if n < _GRID_FROM:
        return np.arange(n)
    cells = min(_GRID_CELLS, 2 * int(n**0.5))
    row, column = _cells(m, cells), _cells(t, cells)
    width = cells + 1
    least = np.full((width, width), NEVER)
    flat = least.reshape(-1)
    np.minimum.at(flat, (row + 1) * width + column + 1, loss)
    np.minimum.accumulate(least, axis=0, out=least)
    np.minimum.accumulate(least, axis=1, out=least)
    kept: Indices = np.flatnonzero(flat[row * width + column] > loss)
    return kept


def _cells(x: Ints, cells: int) -> Indices:
    """A non-decreasing map of values to 0..cells-1."""
    low = x.min()
    return ((x - low) * (cells / (float(x.max() - low) + 1.0))).astype(np.intp)


def earlier_min(key: Floats, value: Ints) -> Ints:
    """For each position p the least value[q] over q < p with key[q] <= key[p]; NEVER if there is none.

    Divide and conquer over positions, all parts of one size at once: positions stand in rows sorted by key, a running
    minimum over the values of each row's left half answers for its right half, then the row splits into its halves,
    order kept. Parts of 16 are compared pair by pair. O(n log n), no loop over points.
    """
    n = len(key)
    size = _LEAF << max(0, (-(-n // _LEAF) - 1).bit_length())
    values = np.full(size, NEVER)
    values[:n] = value
    rank = np.arange(size)  # of the keys, ties in order of position; padding comes last
    rank[np.argsort(key, kind="stable")] = np.arange(n)

    leaf_rank = np.ascontiguousarray(rank.reshape(-1, _LEAF).T)
    leaf_value = np.ascontiguousarray(values.reshape(-1, _LEAF).T)
    leaf_found = np.full_like(leaf_value, NEVER)
    for q in range(min(_LEAF, n) - 1):
        seen = np.where(leaf_rank[q + 1 :] > leaf_rank[q], leaf_value[q], NEVER)
        np.minimum(leaf_found[q + 1 :], seen, out=leaf_found[q + 1 :])
    found: Ints = np.ascontiguousarray(leaf_found.T).reshape(-1)

    rows = np.empty(size, dtype=np.intp)
    rows[rank] = np.arange(size)
    half = size >> 1
    while half >= _LEAF:
        is_right = (rows & half) != 0
        left, right = np.flatnonzero(~is_right), np.flatnonzero(is_right)
        running = values[rows]
        running[right] = NEVER
        running = np.minimum.accumulate(running.reshape(-1, 2 * half), axis=1).reshape(-1)
        later = rows[right]
        found[later] = np.minimum(found[later], running[right])
        split = np.empty((size // (2 * half), 2, half), dtype=np.intp)
        split[:, 0] = rows[left].reshape(-1, half)
        split[:, 1] = later.reshape(-1, half)
        rows = split.reshape(-1)
        half >>= 1
    return found[:n]
