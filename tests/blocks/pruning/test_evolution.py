"""Evolution finds the optimum within its limit; a seed determines it."""

from __future__ import annotations

import numpy as np

from legodnn.blocks.pruning.evolution import evolve
from legodnn.blocks.pruning.width_search import best_widths
from tests.blocks.pruning.width_problems import LIMIT, cost, least_loss, made_up, quadratic, rewarding_nothing


def test_it_comes_near_the_optimum_of_a_separable_quadratic() -> None:
    search = made_up()
    found = best_widths(search, evolve)
    assert quadratic(found) <= 1.025 * least_loss()
    assert all(cost(np.array(key)) <= LIMIT for key in search.measured)


def test_fitness_that_is_the_same_everywhere_does_no_harm() -> None:
    search = rewarding_nothing()
    assert best_widths(search, evolve).tolist() == search.uniform.tolist()


def test_a_seed_determines_it() -> None:
    def evolved(seed: int) -> list[tuple[int, ...]]:
        search = made_up()
        evolve(search, seed, rounds=2)
        return list(search.measured)

    assert evolved(1) == evolved(1)
    assert evolved(1) != evolved(2)
