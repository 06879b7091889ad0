"""Which points are not dominated, exactly and without a loop over points: in value and one weight or two.

`frontier` has a cheaper test of its own, which keeps a few dominated points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legodnn.arrays import Floats, Indices, Ints
from legodnn.runtime.planning.solver.frontier import INFINITE

_LEAF = 16


def undominated(value: Ints, weights: Sequence[Ints]) -> Indices:
    """Return the indices of the points that no other equals or beats in value and all weights, by ascending weight.

    Of equal points one is kept.

    Args:
        value: (n,) greater is better.
        weights: one or two weights, (n,) each; less is better.
    """
    if len(weights) == 1:
        order = np.lexsort((-value, weights[0]))
        ascending = value[order]
        keep = np.ones(len(order), dtype=np.bool_)
        keep[1:] = ascending[1:] > np.maximum.accumulate(ascending)[:-1]
        return order[keep]
    order = np.lexsort((-value, weights[1], weights[0]))
    second = weights[1][order]
    return order[earlier_min((-value[order]).astype(np.float64), second) > second]


def earlier_min(key: Floats, value: Ints) -> Ints:
    """Return for each position p the least value[q] over q < p with key[q] <= key[p]; INFINITE where there is none.

    This divides and conquers over positions, all parts of one size at once. Positions stand in rows sorted by key. A
    running minimum over the values of each row's left half answers for its right half, then each row splits into its
    halves, whose order is kept. Parts of 16 are compared pair by pair. It takes O(n log n).

    Args:
        key: (n,) by which earlier positions are admitted.
        value: (n,) of which the least is wanted.
    """
    n = len(key)
    size = _LEAF << max(0, (-(-n // _LEAF) - 1).bit_length())
    values = np.full(size, INFINITE)
    values[:n] = value
    rank = np.arange(size)  # of the keys, ties in order of position; padding comes last
    rank[np.argsort(key, kind="stable")] = np.arange(n)

    leaf_rank = np.ascontiguousarray(rank.reshape(-1, _LEAF).T)
    leaf_value = np.ascontiguousarray(values.reshape(-1, _LEAF).T)
    leaf_found = np.full_like(leaf_value, INFINITE)
    for q in range(min(_LEAF, n) - 1):
        seen = np.where(leaf_rank[q + 1 :] > leaf_rank[q], leaf_value[q], INFINITE)
        np.minimum(leaf_found[q + 1 :], seen, out=leaf_found[q + 1 :])
    found: Ints = np.ascontiguousarray(leaf_found.T).reshape(-1)

    rows = np.empty(size, dtype=np.intp)
    rows[rank] = np.arange(size)
    half = size >> 1
    while half >= _LEAF:
        is_right = (rows & half) != 0
        left, right = np.flatnonzero(~is_right), np.flatnonzero(is_right)
        running = values[rows]
        running[right] = INFINITE
        running = np.minimum.accumulate(running.reshape(-1, 2 * half), axis=1).reshape(-1)
        later = rows[right]
        found[later] = np.minimum(found[later], running[right])
        split = np.empty((size // (2 * half), 2, half), dtype=np.intp)
        split[:, 0] = rows[left].reshape(-1, half)
        split[:, 1] = later.reshape(-1, half)
        rows = split.reshape(-1)
        half >>= 1
    return found[:n]
