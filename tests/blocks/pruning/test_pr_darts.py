"""Architecture parameters descend to the optimum under the limit; probabilities of whole widths are plain masks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from legodnn.blocks.pruning.masked import loss_by_widths
from legodnn.blocks.pruning.pr_darts import descend, expected_cost, soft_block, width_levels
from legodnn.blocks.pruning.width_search import WidthSearch, best_widths
from legodnn.progress import Progress
from tests.blocks.pruning.width_problems import (
    FULL,
    LIMIT,
    WEIGHTS,
    cost,
    least_loss,
    made_up,
    quadratic,
    rewarding_nothing,
    small_problem,
)


def soft_quadratic(chances: Sequence[Any]) -> Any:
    levels = width_levels(made_up()).levels
    kept = [ops.sum(c * (level / n).astype(np.float32)) for c, level, n in zip(chances, levels, FULL, strict=True)]
    return sum(float(w) * ops.square(1 - share) for w, share in zip(WEIGHTS, kept, strict=True))


def test_it_finds_the_optimum_of_a_separable_quadratic() -> None:
    def method(search: WidthSearch, seed: int, progress: Progress) -> None:
        descend(search, width_levels(search), soft_quadratic)

    found = best_widths(made_up(), method)
    assert cost(found) <= LIMIT
    assert quadratic(found) <= 1.02 * least_loss()


def test_a_loss_that_is_the_same_everywhere_does_no_harm() -> None:
    def method(search: WidthSearch, seed: int, progress: Progress) -> None:
        descend(search, width_levels(search), lambda chances: 0.0 * ops.sum(chances[0]), steps=20)

    search = rewarding_nothing()
    assert best_widths(search, method).tolist() == search.uniform.tolist()


def test_the_expected_cost_is_the_mean_over_all_choices() -> None:
    search = WidthSearch(np.array([4, 6]), lambda _: 0.0, lambda w: float(w[0] * w[1] + 2 * w[1]), 30.0)
    tables = width_levels(search)
    rng = np.random.default_rng(0)
    chances = [rng.dirichlet(np.ones(len(level))) for level in tables.levels]
    mean = sum(
        float(chances[0][i] * chances[1][j]) * search.cost(tables.widths((i, j)))
        for i, j in itertools.product(*(range(len(level)) for level in tables.levels))
    )
    assert np.isclose(float(expected_cost(tables, [c.astype(np.float32) for c in chances])), mean, rtol=1e-5)


def test_the_loss_of_certain_widths_is_that_of_the_pruned_block_until_weights_are_trained() -> None:
    problem = small_problem()
    search = WidthSearch(problem.full, loss_by_widths(problem), problem.cost, problem.limit)
    tables = width_levels(search)
    loss, between = soft_block(problem, tables)
    x = problem.x
    held_out = loss_by_widths(
        type(problem)(problem.block, problem.channels, problem.target, problem.importance, x[40:])
    )

    def certain(numbers: Sequence[int]) -> list[Any]:
        return [np.eye(len(level), dtype=np.float32)[i] for level, i in zip(tables.levels, numbers, strict=True)]

    for numbers in ((0, 3, 2), (7, 8, 7)):
        assert np.isclose(float(loss(certain(numbers))), held_out(tables.widths(numbers)), rtol=1e-2, atol=1e-6)
    before = float(loss(certain((3, 3, 3))))
    for number in range(100):
        between(number, certain((3, 3, 3)))
    assert float(loss(certain((3, 3, 3)))) < before
