"""Staircases under every limit, by their definition."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.runtime.planning.solver.frontier import INFINITE, build_frontier
from legodnn.runtime.planning.solver.instance import NO_LIMIT_NS
from legodnn.runtime.planning.solver.staircases import Staircases, highest
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


def test_staircases_under_several_limits_are_one() -> None:
    """Each thread count has a limit of its own, as where their tails differ."""
    rng = np.random.default_rng(1)
    found = build_frontier(random_blocks(rng, 4, 6, 200), lambda loss: -(loss // 7).astype(np.float64), 1, 0, 0)
    value, threads = found.accuracy.astype(np.int64), rng.integers(1, 4, len(found))
    index = {n: Staircases.of(found, value, np.flatnonzero(threads == n)) for n in (1, 2, 3)}
    for _ in range(40):
        limits = dict(zip((1, 2, 3), rng.choice(found.latency, 3).tolist(), strict=True))
        best, expected = -INFINITE, []
        for p in range(len(found)):
            if found.latency[p] <= limits[int(threads[p])] and value[p] > best:
                best = int(value[p])
                expected.append(p)
        assert highest(value, [index[n].under(limit) for n, limit in limits.items()]).tolist() == expected
    none = [index[n].under(int(found.latency.min()) - 1) for n in (1, 2, 3)]
    assert highest(value, none).tolist() == []


def test_staircases_may_be_by_accuracies_that_one_value_stands_for() -> None:
    found = build_frontier(random_blocks(np.random.default_rng(2), 3, 6, 200), lambda loss: -loss / 7e3, 1, 0, 0)
    value = np.zeros(len(found), np.int64)
    assert Staircases.of(found, value).under(NO_LIMIT_NS).tolist() == [0]
    by_accuracy = Staircases.of(found, found.accuracy).under(NO_LIMIT_NS)
    assert np.diff(found.accuracy[by_accuracy]).min() > 0
    assert found.accuracy[by_accuracy[-1]] == found.accuracy.max()
