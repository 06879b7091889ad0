"""Exact widths are what trying every choice finds. Covers also: blocks.pruning.cost_tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.blocks.pruning import exact_widths
from legodnn.blocks.pruning.cost_tables import cost_tables
from legodnn.blocks.pruning.exact_widths import best_order, exact, knapsack, measure_sensitivities, states
from legodnn.blocks.pruning.width_search import WidthSearch, best_widths
from legodnn.errors import ModelError
from tests.blocks.pruning.width_problems import LIMIT, cost, least_loss, made_up, quadratic, rewarding_nothing


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), groups=st.integers(1, 5), share=st.floats(0, 1))
def test_the_knapsack_finds_the_best_of_all_choices(seed: int, groups: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    levels = [np.sort(rng.choice(np.arange(1, 20), 4, replace=False)) for _ in range(groups)]
    alone, pairs = rng.uniform(size=groups), rng.uniform(size=(groups, groups)) * (rng.random((groups, groups)) < 0.4)
    losses = [np.sort(rng.uniform(size=4))[::-1] for _ in range(groups)]

    def cost_of(widths: np.ndarray) -> float:
        return float(alone @ widths + widths @ pairs @ widths)

    tables = cost_tables(cost_of, levels)
    every = {c: cost_of(tables.widths(c)) for c in itertools.product(range(4), repeat=groups)}
    low, high = min(every.values()), max(every.values())
    limit = low + share * (high - low) - 0.01 * low
    wanted = [sum(loss[i] for loss, i in zip(losses, c, strict=True)) for c, spent in every.items() if spent <= limit]
    order = best_order(tables)
    found = knapsack([losses[g] for g in order], tables.ordered(order), limit)
    if found is None:
        assert not wanted
        return
    chosen = np.array(found)[np.argsort(order)]
    assert every[tuple(chosen.tolist())] <= limit + 1e-9 * high
    assert sum(loss[i] for loss, i in zip(losses, chosen, strict=True)) <= min(wanted) + 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_a_limit_that_the_least_widths_just_hold_is_held(seed: int) -> None:
    """Costs of a billion are rounded by more than losses differ, at the price at which the least widths are best."""
    rng, groups = np.random.default_rng(seed), 1 + seed % 4
    levels = [np.array([1, 16, 32, 48, 64])] * groups
    alone, pairs = rng.integers(10**8, 10**9, groups), rng.integers(0, 10**9, (groups, groups))
    tables = cost_tables(lambda w: float(7e9 + alone @ w + w @ np.tril(pairs, -1) @ w), levels)
    losses = [np.append(np.sort(rng.uniform(size=4))[::-1], 0.0) for _ in range(groups)]
    least = tables.whole + sum(float(each[0]) for each in tables.alone)
    least += sum(float(table[0, 0]) for table in tables.together.values())
    assert knapsack(losses, tables, least) == [0] * groups


def test_it_finds_the_optimum_of_a_separable_quadratic() -> None:
    found = best_widths(made_up(), exact)
    assert cost(found) <= LIMIT
    assert quadratic(found) <= 1.02 * least_loss()


def test_levels_are_fewer_where_the_choices_would_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_widths, "_FRONT", 40)
    found = best_widths(made_up(), exact)
    assert cost(found) <= LIMIT
    assert quadratic(found) <= 1.1 * least_loss()
    monkeypatch.setattr(exact_widths, "_FRONT", 0)
    with pytest.raises(ModelError, match="depend on one another in too many ways"):
        best_widths(made_up(), exact)


def test_groups_that_costs_tie_too_tightly_are_refused_before_anything_is_measured() -> None:
    """As those of dense blocks, where every layer reads what all before it make."""

    def measured(_: np.ndarray) -> float:
        raise AssertionError("measured before it was known that widths can be decided")

    search = WidthSearch(np.full(14, 4), measured, lambda w: float(w.sum()) ** 2, 800.0)
    with pytest.raises(ModelError, match="the costs of 14 groups of channels depend on one another in too many ways"):
        exact(search)


def test_a_loss_that_is_the_same_everywhere_does_no_harm() -> None:
    search = rewarding_nothing()
    assert best_widths(search, exact).tolist() == search.uniform.tolist()


def test_a_loss_that_falls_with_fewer_channels_counts_as_that_of_the_wider_group() -> None:
    search = WidthSearch(np.array([8]), lambda w: abs(4.0 - w[0]), lambda w: float(w[0]), 8.0)
    ((widths, losses),) = measure_sensitivities(search)
    assert widths.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (np.diff(losses) <= 0).all()


def test_groups_of_a_residual_stage_are_decided_with_few_remembered() -> None:
    """27 inner groups, each between the channels of one of three stages: two groups at most are remembered."""

    def residual(w: np.ndarray) -> float:
        return sum(float(w[i] * w[27 + i // 9] * 2) for i in range(27)) + float(w[27] * w[28] + w[28] * w[29])

    tables = cost_tables(residual, [np.array([1, 4, 8])] * 30)
    assert states(tables.ordered(best_order(tables))) <= 27
    assert states(tables) > 10**6
