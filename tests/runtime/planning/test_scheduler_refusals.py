"""When not everything fits: what is suspended, what a report says; and which input is refused.

Covers also: runtime.planning.infeasible, runtime.planning.table_checks.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.plan import ModelPlan
from legodnn.runtime.planning.model_table import BlockRows, OptionRow
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget
from tests.runtime.planning.hand_made import model, option, small_or_great

# --- when not everything fits ----------------------------------------------------------------------------------------


def test_best_effort_models_are_suspended_only_when_they_must_be() -> None:
    scheduler = Scheduler([small_or_great("vital"), small_or_great("extra", weight=0.01, critical=False)])
    assert scheduler.plan(Budget(memory_bytes=20)).suspended == ()
    plan = scheduler.plan(Budget(memory_bytes=19))
    assert plan.suspended == ("extra",)
    assert plan["extra"] == ModelPlan(name="extra", suspended=True)
    assert "extra: suspended" in str(plan)


def test_as_few_as_possible_are_suspended_then_those_worth_least() -> None:
    light = [small_or_great(n, critical=False, weight=w) for n, w in (("a", 1.0), ("b", 3.0))]
    heavy = model("heavy", [option("o", 20, 1.0)], critical=False, weight=50.0)
    scheduler = Scheduler([*light, heavy])
    assert scheduler.plan(Budget(memory_bytes=20)).suspended == ("heavy",)
    assert scheduler.plan(Budget(memory_bytes=30)).suspended == ("a",)
    assert scheduler.plan(Budget(memory_bytes=5)).suspended == ("a", "b", "heavy")


def test_a_suspended_model_comes_back() -> None:
    scheduler = Scheduler([small_or_great("vital"), small_or_great("extra", critical=False)])
    suspended = scheduler.plan(Budget(memory_bytes=15))
    assert scheduler.plan(Budget(memory_bytes=20), running=suspended).suspended == ()


def test_an_infeasible_budget_is_explained() -> None:
    scheduler = Scheduler(
        [small_or_great("a"), small_or_great("b", latency_ms=5.0), small_or_great("c", critical=False)]
    )
    with pytest.raises(InfeasibleError) as caught:
        scheduler.plan(Budget(memory_bytes=15, latency_ms={"a": 3.0}))
    report = caught.value.report
    assert [c.title for c in report.clash] == ["memory"]
    assert {limit.title: limit.needed for limit in report.limits} == {
        "memory": 20.0,
        "p95 latency of a": None,
        "p95 latency of b": None,
    }
    assert report.suspended == ("c",)
    assert report.nearest is not None
    assert report.nearest.memory_bytes == 20
    assert report.excess == pytest.approx(20 / 15 - 1, abs=1e-5)
    assert "memory at most 15 B" in str(report)
    assert "memory 20 B" in str(report)
    assert len(str(report).splitlines()) == 2


def test_limits_that_clash_only_together_are_both_named() -> None:
    table = model("m", [option("quick", 100, 1.0), option("light", 10, 5.0)])
    with pytest.raises(InfeasibleError) as caught:
        Scheduler([table]).plan(Budget(memory_bytes=50, latency_ms=2.0))
    assert {c.title: c.needed for c in caught.value.report.clash} == {"memory": 100.0, "p95 latency of m": 5.0}


def test_where_no_single_limit_would_do_the_report_says_so() -> None:
    with pytest.raises(InfeasibleError, match="no single limit"):
        Scheduler([small_or_great("a"), small_or_great("b")]).plan(Budget(latency_ms=0.5))


def test_a_least_accuracy_that_nothing_reaches_has_no_plan() -> None:
    with pytest.raises(InfeasibleError) as caught:
        Scheduler([small_or_great("m", min_accuracy=11.0)]).plan(Budget())
    (limit,) = caught.value.report.clash
    assert (limit.title, limit.needed) == ("accuracy of m", 10.0)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        option("o", -1, 1.0),
        option("o", 1, -1.0),
        option("o", 1, math.nan),
        option("o", 1, math.inf),
        option("o", 1, 1.0, math.nan),
        option("o", 1, {}),
        option("o", 1, {0: 1.0}),
        option("o", 1 << 60, 1.0),
        option("o", 1, 1.0, bytes=-1),
        option("o", 1, 1.0, load_ms=math.nan),
        option("o", None, 1.0),  # type: ignore[arg-type]
        option("o", 1, {1: None}),  # type: ignore[dict-item]
        option("o", 1, 1.0, "0.1"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_measurements_are_refused(bad: OptionRow) -> None:
    with pytest.raises(WorkloadError, match="m/b0"):
        model("m", [bad, option("fine", 1, 1.0)])


@pytest.mark.parametrize(
    "limits",
    [
        {"weight": 0.0},
        {"weight": -1.0},
        {"weight": math.nan},
        {"rate_hz": -1.0},
        {"rate_hz": math.inf},
        {"latency_ms": 0.0},
        {"latency_ms": math.nan},
        {"min_accuracy": math.nan},
        {"weight": None},
        {"slowdown": None},
        {"rate_hz": "15"},
        {"latency_ms": 10**400},
        {"threads": 3},
    ],
)
def test_nonsense_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError, match="m"):
        small_or_great("m", **limits)


def test_limits_beyond_all_bounds_are_no_limits() -> None:
    budget = Budget(memory_bytes=(1 << 62) - 1, latency_ms=1e21, cores=1e21)
    assert Scheduler([small_or_great("m", rate_hz=1.0)]).plan(budget)["m"].options == {"b0": "great"}


def test_names_used_twice_are_refused() -> None:
    with pytest.raises(WorkloadError, match="two options called 'o'"):
        model("m", [option("o", 1, 1.0), option("o", 2, 2.0)])
    with pytest.raises(WorkloadError, match="two segments called 'b0'"):
        model("m", [option("o", 1, 1.0)], fixed=(BlockRows("b0", (option("o", 1, 1.0),)),))
    with pytest.raises(WorkloadError, match="two models are called 'm'"):
        Scheduler([small_or_great("m"), small_or_great("m")])


def test_missing_things_are_refused() -> None:
    with pytest.raises(WorkloadError, match="no models"):
        Scheduler([])
    with pytest.raises(WorkloadError, match="no options"):
        model("m", [])
    with pytest.raises(WorkloadError, match="no thread count in common"):
        model("m", [option("a", 1, {1: 1.0})], [option("b", 1, {2: 1.0})])
    with pytest.raises(WorkloadError, match="needs a rate_hz"):
        Scheduler([small_or_great("m")]).plan(Budget(cores=1.0))


@pytest.mark.parametrize("factors", [1.4, 0, ["m"], "m"])
def test_slow_downs_and_tails_that_are_no_numbers_by_model_are_refused(factors: Any) -> None:
    scheduler = Scheduler([small_or_great("m")])
    plan = scheduler.plan(Budget())
    for given in ({"slowdown": factors}, {"tail": factors}):
        with pytest.raises(WorkloadError, match="slow-downs and tails are numbers by model, not "):
            scheduler.plan(Budget(), **given)
        with pytest.raises(WorkloadError, match="slow-downs and tails are numbers by model, not "):
            scheduler.gains(plan, **given)
