"""Which compositions are measured: those that exchange a single option, and random ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legodnn.blocks.accuracy.option_chain import OptionNumbers


def single_swaps(sizes: Sequence[int]) -> list[OptionNumbers]:
    """Return the original, and every composition in which a single segment runs another option than the original.

    >>> single_swaps([2, 3])
    [(0, 0), (1, 0), (0, 1), (0, 2)]
    """
    original = (0,) * len(sizes)
    singles = [(*original[:i], o, *original[i + 1 :]) for i, n in enumerate(sizes) for o in range(1, n)]
    return [original, *singles]


def draw_compositions(sizes: Sequence[int], count: int, seed: int) -> list[OptionNumbers]:
    """Return `count` different random compositions, or nearly all there are if these are fewer.

    Args:
        sizes: number of options of each segment; all options of a segment are equally likely.
        count: how many to draw.
        seed: of the draw.
    """
    rng, found = np.random.default_rng(seed), dict[OptionNumbers, None]()
    for _ in range(20 * count):
        if len(found) == count:
            break
        found[tuple(int(rng.integers(n)) for n in sizes)] = None
    return list(found)
