"""Compositions that plans are likely to choose, told without a device.

A plan under a tight budget runs what loses least for what it takes. Of that, a store knows the size of every option's
file, which memory goes with, and its multiply-accumulates, which latency goes with. For prices of the two, the
composition with the least loss + prices x costs is found exactly, by walking along the chain as the interactions do
(Viterbi). Many prices give the compositions that budgets all the way from the smallest to the original lead to.

Predictions must be true here, more than for random compositions: a scheduler chooses those that are predicted too well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Floats
from legodnn.blocks.accuracy.loss_fit import Fit, OptionNumbers

# Budgets are short of memory, of compute, or of both.
_DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
# What the whole original costs is worth so many times the greatest loss: from next to nothing to far more than all.
_PRICES = np.concatenate([[0.0], np.geomspace(1e-9, 1e6, 600)])


def likely(fit: Fit, costs: Sequence[Floats], count: int) -> list[OptionNumbers]:
    """What plans would choose under budgets at equal steps between the smallest composition and the original.

    Args:
        fit: what options lose, alone and with their neighbours.
        costs: by segment (options, 2): bytes and work of each option, none negative.
        count: at most so many; there are fewer where several budgets lead to the same one.
    """
    whole = np.maximum(sum(cost[0] for cost in costs), 1e-12)
    shares = [cost / whole for cost in costs]
    greatest = max(sum(max(row) for row in fit.losses), 1e-9)
    found: dict[OptionNumbers, None] = {}
    for direction in np.array(_DIRECTIONS):
        choices = np.unique(_cheapest(fit, shares, _PRICES[:, None] * greatest * direction), axis=0)
        cost = sum(share[column] @ direction for share, column in zip(shares, choices.T, strict=True))
        for budget in np.linspace(cost.min(), cost.max(), max(count // len(_DIRECTIONS), 3)):
            within = np.flatnonzero(cost <= budget * (1 + 1e-9))
            found[tuple(int(o) for o in choices[within[cost[within].argmax()]])] = None
    return list(found)[:count]


def _cheapest(fit: Fit, costs: Sequence[Floats], prices: Floats) -> NDArray[np.int64]:
    """For each of K prices (K, 2) the composition with the least loss + price x cost, (K, segments)."""
    choices = np.zeros((len(prices), len(costs)), np.int64)
    totals = np.zeros((len(prices), 1))  # of the best way to each option of the block before
    ways: list[tuple[int, NDArray[np.int64]]] = []
    for segment, (losses, cost) in enumerate(zip(fit.losses, costs, strict=True)):
        if len(losses) == 1:
            continue
        interaction = np.array(fit.interactions[segment]) if fit.interactions[segment] else np.zeros((1, len(losses)))
        through = totals[:, :, None] + interaction
        ways.append((segment, through.argmin(axis=1)))
        totals = through.min(axis=1) + np.array(losses) + prices @ cost.T
    option = totals.argmin(axis=1)
    for segment, way in reversed(ways):
        choices[:, segment] = option
        option = way[np.arange(len(prices)), option]
    return choices
