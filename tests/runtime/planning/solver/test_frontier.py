"""Frontiers against all compositions."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.arrays import Ints
from legodnn.runtime.planning.solver import frontier
from legodnn.runtime.planning.solver.dominance import earlier_min
from legodnn.runtime.planning.solver.frontier import build_frontier
from tests.runtime.planning.solver.random_items import random_blocks


def sums(blocks: list[tuple[Ints, Ints, Ints]], choice: np.ndarray) -> np.ndarray:
    """(compositions, 3): memory, latency, loss."""
    total = np.zeros((len(choice), 3), dtype=np.int64)
    last = np.zeros(len(choice), dtype=np.intp)
    for (memory, latency, loss), option in zip(blocks, choice.T, strict=True):
        total += np.stack([memory[option], latency[option], loss[last, option]], axis=1)
        last = option
    return total


@pytest.mark.parametrize("interactions", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("blocks", "options", "most"), [(3, 4, 50), (4, 6, 10), (5, 6, 1000), (5, 9, 10_000)])
def test_a_frontier_holds_every_composition_that_is_not_dominated(
    blocks: int, options: int, most: int, interactions: float
) -> None:
    check_frontier(random_blocks(np.random.default_rng(blocks), blocks, options, most, interactions))


@pytest.mark.parametrize("seed", range(20))
def test_nor_is_one_lost_among_few(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones are pruned as great ones are: sums that end in one option by what they lose exactly."""
    monkeypatch.setattr(frontier, "_FEW", 1)
    rng = np.random.default_rng(seed)
    check_frontier(random_blocks(rng, 4, 5, 1000, interactions=float(rng.choice([0.0, 0.01, 0.1]))))


def check_frontier(rows: list[tuple[Ints, Ints, Ints]]) -> None:
    """No composition that is not dominated is missing, sums are right, and they ascend."""
    blocks, options = len(rows), len(rows[0][0])
    found = build_frontier(rows, lambda loss: -loss.astype(np.float64), 1, 0, 0)
    everything = sums(rows, np.indices((options,) * blocks).reshape(blocks, -1).T)
    assert (np.diff(found.memory) >= 0).all()
    points = np.stack([found.memory, found.latency, -found.accuracy.astype(np.int64)], axis=1)
    assert (points == sums(rows, found.choice.astype(np.intp))).all()
    have = {tuple(p) for p in points.tolist()}
    order = np.lexsort((everything[:, 2], everything[:, 1], everything[:, 0]))
    ranked = everything[order]
    optimal = ranked[earlier_min(ranked[:, 1].astype(np.float64), ranked[:, 2]) > ranked[:, 2]]
    assert {tuple(p) for p in optimal.tolist()} <= have
    assert len(everything) < 1000 or len(have) < len(everything)


@pytest.mark.parametrize("interactions", [0.03, 0.3])
def test_interactions_do_not_make_frontiers_grow_much(interactions: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_blocks(np.random.default_rng(1), 6, 9, 1_000_000, interactions)
    monkeypatch.setattr(frontier, "_MOST", 8500)  # some 7000 are looked at; 10,000 or more by coarser comparison
    assert len(build_frontier(rows, lambda loss: -loss.astype(np.float64), 1, 0, 0))


def test_sums_too_great_to_be_compared_as_one_number_are_in_order_too() -> None:
    """Memory and latency have 39 bits each: half a terabyte, and nine minutes."""
    rows = random_blocks(np.random.default_rng(2), 4, 6, 1000)
    great = [(memory << 26, latency << 26, loss) for memory, latency, loss in rows]
    found, other = (build_frontier(of, lambda loss: -loss.astype(np.float64), 1, 0, 0) for of in (rows, great))
    assert other.choice.tolist() == found.choice.tolist()
    assert (other.memory == found.memory << 26).all()
