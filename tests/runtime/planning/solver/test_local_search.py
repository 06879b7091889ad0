"""Local search: choices stay within the limits, get no worse, and no further change of one class would help."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.arrays import Ints
from legodnn.runtime.planning.solver.deadline import NO_DEADLINE, Deadline
from legodnn.runtime.planning.solver.lagrangian import padded
from legodnn.runtime.planning.solver.local_search import changed_one_by_one, changed_two_by_two
from legodnn.runtime.planning.solver.partial_sums import KnapsackProblem
from tests.runtime.planning.solver.random_items import random_classes


def total(columns: list[Ints], chosen: list[int]) -> int:
    return sum(int(c[i]) for c, i in zip(columns, chosen, strict=True))


def is_within(weights: list[list[Ints]], limits: list[int], chosen: list[int]) -> bool:
    return all(total(w, chosen) <= limit for w, limit in zip(weights, limits, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_changing_classes_improves_a_choice_as_far_as_it_can(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = random_classes(rng, int(rng.integers(2, 6)), 6, 1 + seed % 2, 50)
    start = [int(rng.integers(len(v))) for v in values]
    limits = [total(w, start) + int(rng.integers(0, 60)) for w in weights]

    one = changed_one_by_one(padded(values, weights, limits), np.array(start)).tolist()
    assert is_within(weights, limits, one)
    assert total(values, one) >= total(values, start)
    for c, v in enumerate(values):
        for item in range(len(v)):
            changed = [*one[:c], item, *one[c + 1 :]]
            assert total(values, changed) <= total(values, one) or not is_within(weights, limits, changed)

    gaps = [v.max() - v.astype(np.float64) for v in values]
    problem = KnapsackProblem(values, weights, gaps, limits, [0.0] * len(limits), float("inf"))
    two = changed_two_by_two(problem, start, NO_DEADLINE)
    assert is_within(weights, limits, two)
    assert total(values, two) >= total(values, start)
    for c, v in enumerate(values):
        for d, other in list(enumerate(values))[c + 1 :]:
            for pair in np.ndindex(len(v), len(other)):
                changed = list(two)
                changed[c], changed[d] = pair
                assert total(values, changed) <= total(values, two) or not is_within(weights, limits, changed)


def test_a_deadline_that_has_passed_leaves_a_choice_as_it_is() -> None:
    problem = KnapsackProblem([np.array([0, 1])] * 2, [[np.array([0, 1])] * 2], [np.zeros(2)] * 2, [2], [0.0], 2.0)
    assert changed_two_by_two(problem, [0, 0], Deadline.after(0)) == [0, 0]
    assert changed_two_by_two(problem, [0, 0], NO_DEADLINE) == [1, 1]
