"""Dominance among points with three coordinates, exactly and without a loop over points."""

from __future__ import annotations

import numpy as np

from legodnn.arrays import Floats, Ints
from legodnn.runtime.planning.solver.frontier import NEVER

_LEAF = 16


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
