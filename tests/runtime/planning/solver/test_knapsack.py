"""The knapsack against dynamic programming, with its searches at full width and cut short.

Covers also: runtime.planning.solver.partial_sums.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.arrays import Ints
from legodnn.errors import WorkloadError
from legodnn.runtime.planning.solver import knapsack, partial_sums
from legodnn.runtime.planning.solver.deadline import NO_DEADLINE
from legodnn.runtime.planning.solver.partial_sums import KnapsackProblem
from tests.runtime.planning.solver.random_items import random_classes


def by_table(values: list[Ints], weights: list[list[Ints]], limits: list[int]) -> tuple[int, list[int]] | None:
    """The greatest value and, of the total weights that go with it, the least first one, then the least second one."""
    none = -(1 << 60)
    shape = tuple(limit + 1 for limit in limits)
    table = np.full(shape, none)
    table[(0,) * len(limits)] = 0
    for c, v in enumerate(values):
        following = np.full(shape, none)
        for item in range(len(v)):
            w = [int(ws[c][item]) for ws in weights]
            if all(x <= limit for x, limit in zip(w, limits, strict=True)):
                target = tuple(slice(x, None) for x in w)
                source = tuple(slice(0, limit + 1 - x) for x, limit in zip(w, limits, strict=True))
                following[target] = np.maximum(
                    following[target], np.where(table[source] > none, table[source] + v[item], none)
                )
        table = following
    if table.max() == none:
        return None
    return int(table.max()), np.argwhere(table == table.max())[0].tolist()


@pytest.mark.parametrize("seed", range(120))
def test_knapsack_equals_dynamic_programming(seed: int) -> None:
    rng = np.random.default_rng(seed)
    limits = 1 + seed % 2
    most = 300 if limits == 1 else 30
    values, weights = random_classes(rng, int(rng.integers(1, 10)), 40, limits, most)
    caps = [int(sum(w.mean() for w in ws) * rng.uniform(0.1, 1.2)) for ws in weights]
    check_knapsack(values, weights, caps)


@given(st.data())
def test_knapsack_equals_dynamic_programming_where_ties_abound(data: st.DataObject) -> None:
    limits = data.draw(st.integers(1, 2))
    item = st.tuples(*[st.integers(0, 4)] * (limits + 1))
    classes = data.draw(st.lists(st.lists(item, min_size=1, max_size=5), min_size=1, max_size=5))
    columns = [np.array(sorted(c, key=lambda i: i[0]), dtype=np.int64) for c in classes]
    values = [c[:, limits] for c in columns]
    weights = [[c[:, i] for c in columns] for i in range(limits)]
    check_knapsack(values, weights, data.draw(st.lists(st.integers(0, 16), min_size=limits, max_size=limits)))


def check_knapsack(values: list[Ints], weights: list[list[Ints]], caps: list[int]) -> None:
    values = [v << 30 for v in values]  # as great as they are: bounds are rounded up by some thousands
    expected, found = by_table(values, weights, caps), knapsack.solve(values, weights, caps)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.value == found.bound
    chosen = found.chosen
    totals = [sum(int(w[i]) for w, i in zip(ws, chosen, strict=True)) for ws in weights]
    assert all(t <= cap for t, cap in zip(totals, caps, strict=True))
    assert (sum(int(v[i]) for v, i in zip(values, chosen, strict=True)), totals) == expected


def test_of_equal_choices_of_equal_first_weight_the_one_of_least_second_weight_is_taken() -> None:
    values = [np.array([1, 1], np.int64) << 30, np.array([5, 7], np.int64) << 30]
    weights = [[np.array([1, 1]), np.array([0, 3])], [np.array([4, 2]), np.array([1, 1])]]
    found = knapsack.solve(values, weights, [10, 10])
    assert found is not None
    assert found.chosen == [1, 1]


def test_pairs_and_sums_that_width_cuts_are_in_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at does not fit, or is dominated: the best that is left is in what was cut."""
    monkeypatch.setattr(partial_sums, "AT_ONCE", 1)
    first, one = np.arange(20), np.zeros(1, np.int64)
    weights = np.where(first < 12, 5, 0)
    pairs = KnapsackProblem(
        [one, 20 - first], [[one, weights]], [one.astype(np.float64), first.astype(np.float64)], [1], [0.0], 20.0
    )
    chosen, lost = partial_sums.best_sums(pairs, 0.0, 1, None, NO_DEADLINE)
    assert chosen is None
    assert 20 - 12 <= lost <= 20
    gaps, none = np.arange(4), np.zeros(5, np.int64)
    sums = KnapsackProblem(
        [20 - gaps, none], [[gaps, none]], [gaps.astype(np.float64), none.astype(np.float64)], [9], [0.0], 20.0
    )
    assert partial_sums.best_sums(sums, 0.0, 1, None, NO_DEADLINE) == ([0, 0], 18.0)


@pytest.mark.parametrize("seed", range(40))
def test_the_least_cost_within_a_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, (weights,) = random_classes(rng, 3, 6, 1, 50)
    limit = int(rng.integers(20, 120))
    every = itertools.product(*(range(len(c)) for c in costs))
    fitting = [
        sum(int(c[i]) for c, i in zip(costs, pick, strict=True))
        for pick in every
        if sum(int(w[i]) for w, i in zip(weights, pick, strict=True)) <= limit
    ]
    assert knapsack.least(costs, weights, limit) == (min(fitting) if fitting else None)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("seed", range(30))
def test_the_optimum_of_a_knapsack_lies_between_value_and_bound(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legodnn.runtime.planning.solver.partial_sums.AT_ONCE", 8)
    rng = np.random.default_rng(seed)
    limits = 1 + seed % 2
    values, weights = random_classes(rng, int(rng.integers(3, 8)), 12, limits, 300 if limits == 1 else 30)
    values = [v << 30 for v in values]
    caps = [int(sum(w.mean() for w in ws) * rng.uniform(0.4, 1.1)) for ws in weights]
    expected = by_table(values, weights, caps)
    if expected is None:
        return
    try:
        found = knapsack.solve(values, weights, caps)
    except WorkloadError:  # so little was looked at that not even that anything fits was found out
        return
    assert found is not None
    totals = [sum(int(w[i]) for w, i in zip(ws, found.chosen, strict=True)) for ws in weights]
    assert all(total <= cap for total, cap in zip(totals, caps, strict=True))
    assert sum(int(v[i]) for v, i in zip(values, found.chosen, strict=True)) == found.value
    assert found.value <= expected[0] <= found.bound
