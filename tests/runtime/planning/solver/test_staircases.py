"""Staircases under every limit, by their definition."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.runtime.planning.solver.frontier import INFINITE, build_frontier
from legodnn.runtime.planning.solver.instance import NO_LIMIT_NS
from legodnn.runtime.planning.solver.staircases import Staircases
from tests.runtime.planning.solver.random_items import random_blocks


@pytest.mark.parametrize(("blocks", "opposed"), [(1, False), (3, False), (5, False), (5, True)])
def test_staircases_are_what_they_say(blocks: int, opposed: bool) -> None:
    rows = random_blocks(np.random.default_rng(0), blocks, 6, 200)
    if opposed:  # the smallest are the slowest
        rows = [(m, t.max() + t.min() - t, loss) for m, t, loss in rows]
    found = build_frontier(rows, lambda loss: -(loss // 7).astype(np.float64), 1, 0, 0)
    value = found.accuracy.astype(np.int64)
    index = Staircases.of(found, value)
    assert blocks < 5 or len(index.starts) > 2
    limits = np.unique(found.latency)
    for limit in (0, *limits[:: max(1, len(limits) // 50)], int(limits[-1]), NO_LIMIT_NS):
        best, expected = -INFINITE, []
        for p in range(len(found)):
            if found.latency[p] <= limit and value[p] > best:
                best = int(value[p])
                expected.append(p)
        assert index.under(int(limit)).tolist() == expected
