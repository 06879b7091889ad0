"""Widths come as close to the limit as they can and never exceed it; searches remember, stop, and do no harm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.pruning.exchange import exchange
from legodnn.blocks.pruning.width_search import WidthSearch, best_widths
from legodnn.errors import StoreError
from legodnn.progress import Progress
from tests.blocks.pruning.width_problems import COSTS, FULL, LIMIT, cost, made_up, quadratic

SHARES = st.lists(st.floats(0, 1), min_size=6, max_size=6).map(np.array)


@given(SHARES)
def test_fitted_widths_hold_the_limit_and_leave_no_room_for_another_channel(shares: np.ndarray) -> None:
    widths = made_up().fitted(shares)
    assert (widths >= 1).all()
    assert (widths <= FULL).all()
    assert cost(widths) <= LIMIT
    assert all(cost(widths) + COSTS[g] > LIMIT for g in range(6) if widths[g] < FULL[g])


@given(SHARES)
def test_whatever_is_chosen_within_the_bounds_the_limit_is_met_closely(choices: np.ndarray) -> None:
    search, widths, least = made_up(), FULL.copy(), FULL // 5
    for group, choice in enumerate(choices):
        low, high = search.bounds(widths, group, least)
        assert least[group] <= low <= high <= FULL[group]
        widths[group] = round(low + choice * (high - low))
    assert LIMIT - COSTS.max() < cost(widths) <= LIMIT


def test_a_limit_above_the_whole_cost_keeps_everything() -> None:
    search = WidthSearch(FULL, quadratic, cost, 2 * cost(FULL))
    assert (search.fitted(np.full(6, 0.1)) == FULL).all()


def test_a_limit_below_the_least_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="one channel in each group costs 25, more than the limit 24"):
        WidthSearch(FULL, quadratic, cost, 24.0)


def wasteful(search: WidthSearch, seed: int, progress: Progress) -> None:
    """Measure the full widths, which exceed the limit, and the least."""
    search.measure(search.full)
    search.measure(search.least)


def test_uniform_widths_are_taken_where_a_search_finds_nothing_better() -> None:
    search = made_up()
    assert best_widths(search, wasteful).tolist() == search.uniform.tolist()


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    search = WidthSearch(FULL, lambda w: float("nan") if w[0] > 5 else 1.0, cost, LIMIT)
    search.measure(search.uniform)
    search.measure(search.least)
    assert search.best.tolist() == search.least.tolist()


def test_finalists_differ_and_the_best_comes_first() -> None:
    search = made_up()
    for first in range(4, 15):
        search.measure(np.array([first, 8, 8, 8, 8, 8]))
    found = [widths[0] for widths in search.finalists(3, apart=0.25)]
    assert found == [14, 10, 6]


def test_an_interrupted_search_gives_the_best_so_far(caplog: pytest.LogCaptureFixture) -> None:
    better = np.array([14, 14, 1, 39, 22, 1])

    def interrupted(search: WidthSearch, seed: int, progress: Progress) -> None:
        search.measure(better)
        raise KeyboardInterrupt

    assert best_widths(made_up(), interrupted).tolist() == better.tolist()
    assert "the search is stopped; the best of 2 measured widths are taken" in caplog.text


def test_a_search_that_is_started_again_measures_nothing_twice(tmp_path: Path) -> None:
    kept = tmp_path / "measured.json"
    first = WidthSearch(FULL, quadratic, cost, LIMIT, kept)
    best_widths(first, wasteful)

    def measured_before(_: np.ndarray) -> float:
        raise AssertionError("measured again")

    second = WidthSearch(FULL, measured_before, cost, LIMIT, kept)
    assert best_widths(second, wasteful).tolist() == first.best.tolist()
    assert second.measured == first.measured


class Killed(Exception):
    """The process is gone."""


def test_a_search_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    def climb(search: WidthSearch, seed: int, progress: Progress) -> None:
        exchange(search, seed, progress, 100)

    def killed(widths: np.ndarray) -> float:
        if len(first.measured) == 60:
            raise Killed
        return quadratic(widths)

    whole = made_up()
    best_widths(whole, climb)
    first = WidthSearch(FULL, killed, cost, LIMIT, tmp_path / "measured.json")
    with pytest.raises(Killed):
        best_widths(first, climb)
    first.keep()
    again = WidthSearch(FULL, quadratic, cost, LIMIT, tmp_path / "measured.json")
    assert best_widths(again, climb).tolist() == whole.best.tolist()
    assert list(again.measured.items()) == list(whole.measured.items())


def test_a_search_that_is_interrupted_after_it_was_killed_gives_the_best_of_both(tmp_path: Path) -> None:
    better = np.array([14, 14, 1, 39, 22, 1])
    first = WidthSearch(FULL, quadratic, cost, LIMIT, tmp_path / "measured.json")
    first.measure(better)
    first.keep()

    def interrupted(search: WidthSearch, seed: int, progress: Progress) -> None:
        raise KeyboardInterrupt

    again = WidthSearch(FULL, quadratic, cost, LIMIT, tmp_path / "measured.json")
    assert best_widths(again, interrupted).tolist() == better.tolist()
    assert json.dumps(better.tolist()) in (tmp_path / "measured.json").read_text()


@pytest.mark.parametrize("content", ["", "[[[1, 2], 0.5]]", '[["a", 1]]', "[1]"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    kept = tmp_path / "measured.json"
    kept.write_text(content)
    with pytest.raises(StoreError, match=r"measured\.json is damaged; remove it"):
        WidthSearch(FULL, quadratic, cost, LIMIT, kept)
