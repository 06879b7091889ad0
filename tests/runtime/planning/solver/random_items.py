"""Random blocks and random classes of items, for tests of the solver's parts."""

from __future__ import annotations

import numpy as np

from legodnn.arrays import Ints


def random_blocks(
    rng: np.random.Generator, blocks: int, options: int, most: int, interactions: float = 0.0
) -> list[tuple[Ints, Ints, Ints]]:
    """Memory, latency and loss; interactions up to a share of the greatest loss, between most neighbours."""
    sparsity = np.linspace(0, 0.9, options)

    def falling() -> Ints:
        return np.rint(most * (1 - sparsity) * rng.uniform(0.8, 1.2, options)).astype(np.int64)

    def loss(before: int) -> Ints:
        share = interactions * most * rng.integers(0, 4) / 3
        own = most * sparsity**2 * rng.uniform(0.8, 1.2, options)
        return np.rint(own + rng.uniform(-share, share, (before, options))).astype(np.int64)

    return [(falling(), falling(), loss(options if b else 1)) for b in range(blocks)]


def random_classes(
    rng: np.random.Generator, classes: int, items: int, limits: int, most: int
) -> tuple[list[Ints], list[list[Ints]]]:
    """Values that grow with weights, nearly in proportion: the hard kind."""
    values: list[Ints] = []
    weights: list[list[Ints]] = [[] for _ in range(limits)]
    for _ in range(classes):
        n = int(rng.integers(1, items + 1))
        first = np.sort(rng.integers(0, most, n))
        others = [rng.integers(0, most, n) for _ in range(limits - 1)]
        total = first + sum(others, np.zeros(n, dtype=np.int64))
        values.append(total * 3 + rng.integers(-most // 4, most // 4 + 1, n))
        for i, w in enumerate([first, *others]):
            weights[i].append(w)
    return values, weights
