"""Tails keep what a share of inferences takes at most: conformal order statistics, and what is refused.

Covers also: by_model.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from legodnn.errors import WorkloadError
from legodnn.profile import Profile
from legodnn.profile_merge import merge
from legodnn.tail import DEFAULT_QUANTILE, QUANTILES, Tail, percentile, tail_of
from legodnn.workload import Budget, Workload, WorkloadModel


def test_a_quantile_is_the_order_statistic_that_covers_it() -> None:
    tail = tail_of([[float(i) for i in range(1, 100)]], 2, "after", "other")
    assert tail.key == (2, "after", "other")
    assert tail.inferences == 99
    assert dict(zip(tail.quantiles, tail.stretch, strict=True)) == pytest.approx({
        0.5: 50.0, 0.75: 75.0, 0.9: 90.0, 0.95: 95.0, 0.98: 98.0, 0.99: 99.0
    })  # fmt: skip


def test_a_quantile_that_takes_more_inferences_is_not_known() -> None:
    assert max(tail_of([[1.0] * 98], 1, "alone").quantiles) == 0.98
    assert tail_of([[1.0]], 1, "alone").quantiles == (0.5,)


@given(st.lists(st.lists(st.floats(0.0, 1e7), min_size=1, max_size=100), min_size=1, max_size=20))
def test_tails_of_any_times_are_tails(ratios: list[list[float]]) -> None:
    tail = tail_of(ratios, 1, "alone")
    assert Tail.model_validate_json(tail.model_dump_json()) == tail
    assert set(tail.quantiles) <= set(QUANTILES)


def test_the_next_inference_is_within_as_often_as_promised() -> None:
    """Over many samples: split conformal prediction covers at least q, and little more."""
    rng, within, count = np.random.default_rng(0), 0, 4000
    for _ in range(count):
        times = rng.lognormal(0, 1, 60)
        tail = tail_of([times[:-1].tolist()], 1, "alone")
        within += times[-1] <= tail.stretch[tail.quantiles.index(DEFAULT_QUANTILE)]
    assert 0.94 < within / count < 0.97


@pytest.mark.parametrize("inferences", [6, 24, 200])
def test_nine_new_compositions_in_ten_are_late_no_more_often_than_promised(inferences: int) -> None:
    """Each composition is predicted a little wrong, and the faster it is, the more its times vary."""
    rng, kept, count = np.random.default_rng(1), 0, 300

    def times(number: int) -> NDArray[np.float64]:
        error, varies = rng.normal(0, 0.05), rng.uniform(0.02, 0.1)
        return np.exp(rng.normal(error, varies, number))

    for _ in range(count):
        tail = tail_of([times(inferences).tolist() for _ in range(20)], 1, "alone")
        promised = tail.stretch[tail.quantiles.index(DEFAULT_QUANTILE)]
        kept += np.mean(times(2000) > promised) <= 1 - DEFAULT_QUANTILE
    assert 0.85 < kept / count < 0.98


def test_where_few_were_seen_of_each_composition_far_quantiles_have_the_shape_of_all() -> None:
    """Three compositions at 1 to 3 times the prediction, of 9 inferences each: one of the 27 takes 4 times longer."""
    shape = (0.8, 0.9, 0.9, 1.0, 1.0, 1.0, 1.1, 1.1)
    ratios = [[m * x for x in (*shape, last)] for m, last in ((1, 4), (2, 1.2), (3, 1.2))]
    tail = tail_of(ratios, 1, "alone")
    assert tail.quantiles == (0.5, 0.75, 0.9, 0.95)
    assert tail.stretch == pytest.approx((3.0, 3.3, 3.6, 12.0))


@pytest.mark.parametrize(("others", "stretch"), [(20, 3.0), (19, 1.0)])
def test_of_twenty_inferences_of_each_five_tell_what_three_in_four_keep(others: int, stretch: float) -> None:
    """Of fewer of one of them all have one shape, in which nine long ones among so many are seldom."""
    tail = tail_of([[1.0] * 11 + [3.0] * 9, [1.0] * others], 1, "alone")
    assert dict(zip(tail.quantiles, tail.stretch, strict=True))[0.75] == stretch


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantiles": [0.9, 0.5]},
        {"stretch": [2.0, 1.0]},
        {"stretch": [1.0]},
        {"quantiles": [0.4, 0.5]},
        {"quantiles": [0.5, 1.0]},
        {"stretch": [0.0, 1.0]},
        {"condition": "often"},
        {"quantiles": [], "stretch": []},
    ],
)
def test_what_is_no_tail_is_refused(profile: Profile, wrong: dict[str, object]) -> None:
    good = {"threads": 1, "condition": "alone", "inferences": 9, "quantiles": [0.5, 0.9], "stretch": [1.0, 1.5]}
    Tail.model_validate({**good, "quantiles": (0.5, 0.9), "stretch": (1.0, 1.5)})
    document = {**profile.model_dump(mode="json", by_alias=True), "tail": [{**good, **wrong}]}
    with pytest.raises(ValueError, match="tail"):
        Profile.model_validate_json(json.dumps(document))


def test_a_profile_has_one_tail_of_each_kind_and_the_last_of_merged_ones(profile: Profile) -> None:
    one, other = tail_of([[1.0] * 30], 1, "use"), tail_of([[2.0] * 30], 1, "use")
    merged = merge(
        [profile.model_copy(update={"tail": (*profile.tail, one)}), profile.model_copy(update={"tail": (other,)})]
    )
    assert merged.tail == (*profile.tail, other)
    document = profile.model_copy(update={"tail": (one, other)}).model_dump_json(by_alias=True)
    with pytest.raises(ValueError, match="two tails of one condition"):
        Profile.model_validate_json(document)


def test_profiles_of_before_there_were_tails_still_open(profile: Profile) -> None:
    document = {k: v for k, v in profile.model_dump(mode="json", by_alias=True).items() if k != "tail"}
    assert Profile.model_validate_json(json.dumps(document)).tail == ()


def test_quantiles_have_names_for_people() -> None:
    assert [percentile(q) for q in (0.5, 0.9, 0.95, 0.999)] == ["median", "p90", "p95", "p99.9"]


def test_budgets_take_one_quantile_or_several_by_name() -> None:
    assert Budget(quantile=0.5).quantile == 0.5
    assert Budget(quantile={"a": 0.99}).quantile == {"a": 0.99}
    for wrong in (0.4, 1, 1.0, "most", True, {"a": 0.1}, {"": 0.9}, [0.9]):
        with pytest.raises(WorkloadError, match=r"^Budget: quantile: "):
            Budget(quantile=wrong)  # type: ignore[arg-type]
    model = WorkloadModel(name="a", store="s", quantile=0.99)
    with pytest.raises(WorkloadError, match="the budget has a quantile for 'b', which is none of a"):
        Workload(models=(model,), budget=Budget(quantile={"b": 0.9}))
    with pytest.raises(WorkloadError, match="quantile"):
        WorkloadModel(name="a", store="s", quantile=1.0)
