"""Problems of widths whose optimum is known, and small blocks to prune."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from legodnn.blocks.pruning.allocation import PruningProblem, Target, pose
from legodnn.blocks.pruning.width_search import WidthSearch
from legodnn.blocks.pruning.widths import Widths

FULL = np.array([16, 24, 32, 48, 64, 64])
WEIGHTS = np.array([3.0, 1.0, 0.3, 2.0, 0.5, 0.1])
COSTS = np.array([9, 6, 4, 3, 2, 1])
LIMIT = float((COSTS * FULL).sum() // 2)


def quadratic(widths: Widths) -> float:
    """A separable quadratic over six layers."""
    return float((WEIGHTS * np.square(1 - widths / FULL)).sum())


def cost(widths: Widths) -> float:
    return float((COSTS * widths).sum())


def least_loss() -> float:
    """The least that the quadratic can be within the limit, by trying all sums of costs."""
    best = np.full(int(LIMIT) + 1, np.inf)
    best[0] = 0.0
    for full, weight, price in zip(FULL.tolist(), WEIGHTS.tolist(), COSTS.tolist(), strict=True):
        wider = np.full_like(best, np.inf)
        for width in range(1, full + 1):
            if (spent := width * price) < len(best):
                wider[spent:] = np.minimum(wider[spent:], best[: len(best) - spent] + weight * (1 - width / full) ** 2)
        best = wider
    return float(best.min())


def made_up() -> WidthSearch:
    return WidthSearch(FULL, quadratic, cost, LIMIT)


def rewarding_nothing() -> WidthSearch:
    return WidthSearch(FULL, lambda _: 1.0, cost, LIMIT)


def chain(filters: tuple[int, ...] = tuple(FULL.tolist())) -> keras.Model:
    """A chain of convolutions with as many filters, and one more that closes it."""
    x = inputs = keras.Input((8, 8, 3))
    for number, count in enumerate(filters):
        x = layers.Conv2D(count, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Conv2D(4, 1, name="last")(x), name="chain")


def small_problem(target: float = 0.5) -> PruningProblem:
    """A chain of three groups, of which the second matters little, with sample inputs and their statistics."""
    keras.utils.set_random_seed(3)
    block = chain((8, 12, 8))
    x = np.random.default_rng(0).uniform(size=(50, 8, 8, 3)).astype(np.float32)
    norms = [layer for layer in block.layers if isinstance(layer, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    block(x, training=True)
    for norm in norms:
        norm.momentum = 0.99
    return pose(block, Target("macs", target), x=x)
