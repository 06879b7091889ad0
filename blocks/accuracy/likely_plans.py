"""The compositions that plans are likely to choose, found without a device.

A scheduler picks the composition with the least loss that fits its budgets. While a store is built, two costs of an
option are known that budgets depend on: the size of its file, which grows with memory, and its multiply-accumulates,
which grow with latency. For given prices of the two costs, the composition with the least loss + price x cost is found
exactly by dynamic programming along the chain of segments (Viterbi), because only neighbours interact. Trying many
prices gives the compositions that budgets lead to, from the tightest to none at all.

Predictions must be accurate here above all. A scheduler that minimises predicted loss favours exactly the compositions
whose loss is predicted too low.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Floats
from legodnn.blocks.accuracy.loss_fit import Fit
from legodnn.blocks.accuracy.option_chain import OptionNumbers

# Which costs have a price: budgets limit memory, compute, or both.
_DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
# Price of the whole original's cost, in units of the greatest loss: from next to nothing to far more than all losses.
_PRICES = np.concatenate([[0.0], np.geomspace(1e-9, 1e6, 600)])


def likely_compositions(fit: Fit, costs: Sequence[Floats], count: int) -> list[OptionNumbers]:
    """Return what plans would choose under budgets at equal ratios between the smallest composition and the original.

    At equal steps nearly all of them would leave so much that hardly anything is lost, and few would be where a wrong
    choice costs most.

    Args:
        fit: what options lose, alone and with their neighbours.
        costs: by segment, bytes and work of each option, shape (options, 2), none negative.
        count: the most compositions to return; there are fewer where several budgets lead to the same one.
    """
    whole = np.maximum(sum(cost[0] for cost in costs), 1e-12)
    shares = [cost / whole for cost in costs]
    greatest = max(sum(max(row) for row in fit.losses), 1e-9)
    found: dict[OptionNumbers, None] = {}
    for direction in np.array(_DIRECTIONS):
        choices = np.unique(_cheapest(fit, shares, _PRICES[:, None] * greatest * direction), axis=0)
        cost = sum(share[column] @ direction for share, column in zip(shares, choices.T, strict=True))
        for budget in np.geomspace(max(cost.min(), 1e-12), max(cost.max(), 1e-12), max(count // len(_DIRECTIONS), 3)):
            within = np.flatnonzero(cost <= budget * (1 + 1e-9))
            found[tuple(int(o) for o in choices[within[cost[within].argmax()]])] = None
    return list(found)[:count]


def _cheapest(fit: Fit, costs: Sequence[Floats], prices: Floats) -> NDArray[np.int64]:
    """Return the compositions with the least loss + price x cost.

    Args:
        fit: what options lose, alone and with their neighbours.
        costs: by segment, shape (options, 2).
        prices: of both costs, shape (K, 2).

    Returns:
        The option number of every segment for each of the K prices, shape (K, segments).
    """
    choices = np.zeros((len(prices), len(costs)), np.int64)
    totals = np.zeros((len(prices), 1))  # least sum up to each option of the block before
    best_before: list[tuple[int, NDArray[np.int64]]] = []  # by block, the best option before each of its options
    for segment, (losses, cost) in enumerate(zip(fit.losses, costs, strict=True)):
        if len(losses) == 1:
            continue
        interaction = np.array(fit.interactions[segment]) if fit.interactions[segment] else np.zeros((1, len(losses)))
        through = totals[:, :, None] + interaction
        best_before.append((segment, through.argmin(axis=1)))
        totals = through.min(axis=1) + np.array(losses) + prices @ cost.T
    option = totals.argmin(axis=1)
    for segment, before in reversed(best_before):
        choices[:, segment] = option
        option = before[np.arange(len(prices)), option]
    return choices
