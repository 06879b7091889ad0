"""The close of a search: channels move from one group to another as long as that makes the best widths better.

Learned searches come near an optimum and then go round it; a hill climb over pairs of groups goes the rest of the way.
"""

from __future__ import annotations

import itertools

import numpy as np

from legodnn.blocks.pruning.width_search import WidthSearch
from legodnn.blocks.pruning.widths import Widths
from legodnn.progress import Progress, no_progress

_SHARES = (0.25, 0.125, 0.0625, 0.03, 0.0)  # of a group, that it gains in one exchange; at last one set


def exchange(search: WidthSearch, seed: int = 0, progress: Progress = no_progress, most: int = 400) -> None:
    """Move channels between pairs of groups, in random order, and keep to each exchange that lowers the loss.

    Args:
        search: what is searched for; something within the limit was measured.
        seed: of the order of pairs.
        progress: shows the exchanges that were tried.
        most: exchanges that are tried at most.
    """
    rng = np.random.default_rng(seed)
    widths, tried = search.best, 0
    pairs = list(itertools.permutations(range(len(search.full)), 2))
    with progress("exchanging channels", most) as task:
        for share in _SHARES:
            improved = True
            while improved:
                improved = False
                for number in rng.permutation(len(pairs)):
                    gains, loses = pairs[number]
                    step = max(1, round(share * int(search.full[gains])))
                    if (trial := _exchanged(search, widths, gains, loses, step)) is None:
                        continue
                    if tried == most:
                        return
                    tried += 1
                    if search.measure(trial) < search.measure(widths):
                        widths, improved = trial, True
                    task.step(f"loss {search.measure(widths):.4g}")


def _exchanged(search: WidthSearch, widths: Widths, gains: int, loses: int, step: int) -> Widths | None:
    """Return widths in which one group has gained up to `step` sets and another has lost as few as pay for them."""
    trial = widths.copy()
    trial[gains] = min(int(search.full[gains]), int(trial[gains]) + step)
    low, high = 1, int(trial[loses])
    while low < high:  # the largest width of the group that loses
        trial[loses] = middle = (low + high + 1) // 2
        low, high = (middle, high) if search.cost(trial) <= search.limit else (low, middle - 1)
    trial[loses] = low
    while search.cost(trial) > search.limit and trial[gains] > widths[gains]:
        trial[gains] -= 1
    return None if trial[gains] == widths[gains] else trial
