"""Compositions that plans are likely to choose: each the best for what it takes, from the smallest to the original."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.blocks.accuracy.likely_plans import likely_compositions
from legodnn.blocks.accuracy.loss_fit import Fit, neighbours
from legodnn.manifest import Link

Costs = list[np.ndarray]


def random_fit(seed: int, sizes: list[int]) -> tuple[Fit, Costs]:
    """A chain whose options lose more the less they cost, and whose neighbours interact."""
    rng = np.random.default_rng(seed)
    losses = [[0.0, *np.sort(rng.uniform(0.05, 1, n - 1)).tolist()] for n in sizes]
    interactions: list[list[list[float]]] = [[] for _ in sizes]
    for a, b in neighbours(sizes):
        matrix = rng.uniform(-0.4, 0.4, (sizes[a], sizes[b])) * np.sqrt(np.outer(losses[a], losses[b]))
        interactions[b] = matrix.tolist()
    costs = [np.sort(rng.uniform(1, 100, (n, 2)), axis=0)[::-1] for n in sizes]
    return Fit(losses, interactions, Link(x=(0.0, 10.0), y=(1.0, 0.0))), costs


def taken(costs: Costs, composition: tuple[int, ...]) -> np.ndarray:
    return np.asarray(sum(cost[o] for cost, o in zip(costs, composition, strict=True)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_none_loses_more_than_another_that_takes_no_more(seed: int, sizes: list[int]) -> None:
    fit, costs = random_fit(seed, sizes)
    everything = list(itertools.product(*(range(n) for n in sizes)))
    whole = taken(costs, (0,) * len(sizes))
    for found in likely_compositions(fit, costs, 30):
        better = [c for c in everything if fit.loss(c) < fit.loss(found) - 1e-9]
        share = taken(costs, found) / whole
        takes = np.array([taken(costs, c) / whole for c in better]).reshape(-1, 2)
        # Of memory alone, of compute alone, or of both together.
        assert any(not (takes @ d < share @ d - 1e-9).any() for d in (np.array(d) for d in ((1, 0), (0, 1), (1, 1))))


def test_they_reach_from_the_smallest_to_the_original() -> None:
    fit, costs = random_fit(3, [4, 1, 5, 4])
    found = likely_compositions(fit, costs, 30)
    assert (0, 0, 0, 0) in found
    assert (3, 0, 4, 3) in found
    assert 5 < len(found) == len(set(found)) <= 30
    assert all(c[1] == 0 for c in found)


def test_no_more_are_given_than_were_asked_for() -> None:
    fit, costs = random_fit(3, [4, 4, 5, 4])
    assert 0 < len(likely_compositions(fit, costs, 4)) <= 4
