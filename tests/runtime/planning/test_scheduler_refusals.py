"""When not everything fits: what is suspended, what a report says; and which input is refused.

Covers also: runtime.planning.infeasible, runtime.planning.table_checks.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.manifest import Link
from legodnn.plan import ModelPlan, Plan
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow, Streaming
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget, SwitchCharge
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


def test_a_suspended_model_tells_the_limit_that_it_would_have_to_hold() -> None:
    scheduler = Scheduler([small_or_great("vital"), small_or_great("extra", critical=False, latency_ms=4.0)])
    found = scheduler.plan(Budget(memory_bytes=15, latency_ms=5.0, quantile=0.5))["extra"]
    assert (found.suspended, found.latency_limit_ms, found.quantile) == (True, 4.0, 0.5)


def test_a_suspended_model_comes_back() -> None:
    scheduler = Scheduler([small_or_great("vital"), small_or_great("extra", critical=False)])
    suspended = scheduler.plan(Budget(memory_bytes=15))
    assert scheduler.plan(Budget(memory_bytes=20), running=suspended).suspended == ()


def test_a_model_that_stays_suspended_stays_as_it_is() -> None:
    """One of two is suspended, and the other has to change: of equally good plans the one that changes one model."""
    first = model("first", [option("o", 10, 1.0)], critical=False)
    second = model("second", [option("slow", 20, 9.0), option("quick", 20, 1.0)], critical=False)
    scheduler = Scheduler([first, second])
    runs = ModelPlan(name="second", options={"b0": "slow"})
    running = Plan(models=(ModelPlan(name="first", suspended=True), runs), budget=Budget(), objective=0.0)
    tight = Budget(memory_bytes=25, latency_ms=5.0)
    assert scheduler.plan(tight).suspended == ("second",)
    assert scheduler.plan(tight, running=running).suspended == ("first",)


@pytest.mark.parametrize("y", [(1.0, -1.0), (-0.5, -3.0)])
def test_no_accuracy_of_another_model_is_worth_a_suspension(y: tuple[float, float]) -> None:
    """Not even where a model is worth less than nothing, and takes from another one all that it has."""
    link = Link(x=(0.0, 1.0), y=y)
    vital = model("vital", [option("great", 100, 1.0), option("small", 10, 1.0, 1.0)], link=link)
    extra = model("extra", [option("o", 50, 1.0, 1.0)], link=link, critical=False)
    assert Scheduler([vital, extra]).plan(Budget(memory_bytes=100)).suspended == ()


def test_no_charge_for_loading_it_keeps_a_model_suspended() -> None:
    extra = model("extra", [option("o", 10, 1.0, bytes=1_000_000)], critical=False)
    scheduler = Scheduler([extra], SwitchCharge(per_mb=1000.0))
    running = Plan(models=(ModelPlan(name="extra", suspended=True),), budget=Budget(), objective=0.0)
    assert scheduler.plan(Budget(memory_bytes=10), running=running).suspended == ()


def test_an_infeasible_budget_is_explained() -> None:
    scheduler = Scheduler(
        [small_or_great("a"), small_or_great("b", latency_ms=5.0), small_or_great("c", critical=False, latency_ms=7.0)]
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
    with pytest.raises(InfeasibleError) as caught:
        Scheduler([replace(table, rate_hz=100.0)]).plan(Budget(memory_bytes=50, cores=0.2))
    assert {c.title: c.needed for c in caught.value.report.clash} == {"memory": 100.0, "cores": 0.5}


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
        option("o", 1, {1025: 1.0}),
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


def test_interactions_and_tails_that_make_no_sense_are_refused() -> None:
    first, second = (BlockRows(name, (option("o", 1, 1.0),)) for name in ("b0", "b1"))
    for value in (math.nan, math.inf, 1e13):
        with pytest.raises(WorkloadError, match="m/b1: interaction is"):
            ModelTable("m", (first, replace(second, interaction=((value,),))))
    for tails in ({0.95: 0.0}, {0.95: math.nan}, {0.4: 1.0}, {1.5: 1.0}):
        with pytest.raises(WorkloadError, match=r"m: (tail at quantile|quantile of a tail)"):
            ModelTable("m", (first,), tails={1: tails})


def test_a_fixed_segment_has_one_option() -> None:
    with pytest.raises(WorkloadError, match="m/head: a fixed segment has one option, not 2"):
        model("m", fixed=(BlockRows("head", (option("a", 1, 1.0), option("b", 1, 1.0))),))


@pytest.mark.parametrize(
    ("levels", "said"),
    [((), "must ascend"), ((9, 8), "must ascend"), ((8, 8), "must ascend"), ((7,), "is 7; .* at least 8")],
)
def test_levels_of_streaming_ascend_and_admit_a_composition(levels: tuple[int, ...], said: str) -> None:
    rows = tuple(option(f"o{size}", 1, 1.0, streamed_bytes=size, streamed_ms={1: 1.0}) for size in (8, 9))
    with pytest.raises(WorkloadError, match=said):
        ModelTable("m", (BlockRows("b", rows),), streaming=Streaming(0, levels))


def test_a_model_is_compact_only_if_all_options_were_measured_so() -> None:
    rows = (option("o", 1, {1: 1.0, 2: 1.0}, compact_ms={1: 1.0}),)
    with pytest.raises(WorkloadError, match=r"m/b/o has no compact latency; .* --compact --threads 1,2`"):
        ModelTable("m", (BlockRows("b", rows),), compact_overhead_ms={})
    assert ModelTable("m", (BlockRows("b", rows),), compact_overhead_ms={}, threads=1).thread_counts == (1,)
    with pytest.raises(WorkloadError, match="m: overhead_ms is -1"):
        ModelTable("m", (BlockRows("b", rows),), compact_overhead_ms={1: -1.0}, threads=1)


@pytest.mark.parametrize("factors", [1.4, 0, ["m"], "m"])
def test_slow_downs_and_tails_that_are_no_numbers_by_model_are_refused(factors: Any) -> None:
    scheduler = Scheduler([small_or_great("m")])
    plan = scheduler.plan(Budget())
    for given in ({"slowdown": factors}, {"tail": factors}):
        with pytest.raises(WorkloadError, match="slow-downs and tails are numbers by model, not "):
            scheduler.plan(Budget(), **given)
        with pytest.raises(WorkloadError, match="slow-downs and tails are numbers by model, not "):
            scheduler.gains(plan, **given)
