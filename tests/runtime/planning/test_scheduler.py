"""The scheduler's promises: what never changes, who wins ties, what switching, limits and chains cost.

Covers also: plan.
"""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.manifest import Link
from legodnn.plan import Infeasible, ModelPlan, Plan
from legodnn.runtime.planning.model_table import BlockRows, ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget, SwitchCharge
from tests.runtime.planning.hand_made import model, option, small_or_great

# --- invariants ------------------------------------------------------------------------------------------------------

figures = st.integers(1, 40)


@st.composite
def tables(draw: st.DrawFn, most: int = 3) -> list[ModelTable]:
    found = []
    for i in range(draw(st.integers(1, most))):
        blocks = [
            [
                option(f"o{k}", draw(figures) * 10, draw(figures) / 8, draw(figures) / 64)
                for k in range(draw(st.integers(1, 4)))
            ]
            for _ in range(draw(st.integers(0, 4)))
        ]
        knee = draw(st.floats(0.01, 1.99))
        link = Link(x=(0.0, knee, 2.0), y=(1.0, draw(st.floats(0.2, 1.0)), 0.1))
        weight, critical = draw(st.integers(1, 5)), draw(st.booleans())
        found.append(model(f"m{i}", *blocks, link=link, weight=float(weight), critical=critical, rate_hz=10.0))
    return found


def objective(scheduler: Scheduler, budget: Budget, **more: Any) -> tuple[int, float] | None:
    """(models that run, weighted accuracy), compared in this order; None where nothing fits."""
    try:
        plan = scheduler.plan(budget, **more)
    except InfeasibleError:
        return None
    return len(plan.models) - len(plan.suspended), plan.objective


def plan_or_report(scheduler: Scheduler, budget: Budget) -> Plan | Infeasible:
    try:
        return scheduler.plan(budget)
    except InfeasibleError as e:
        return e.report


def no_less(wide: tuple[int, float] | None, narrow: tuple[int, float] | None) -> bool:
    if narrow is None:
        return True
    return wide is not None and (wide[0] > narrow[0] or (wide[0] == narrow[0] and wide[1] >= narrow[1] - 1e-9))


@given(tables(), st.integers(1, 2000), st.integers(0, 500), st.floats(0.1, 30), st.floats(0, 10), st.floats(0.01, 2))
def test_more_budget_never_gives_less(
    found: list[ModelTable], memory: int, more: int, ms: float, more_ms: float, cores: float
) -> None:
    scheduler = Scheduler(found)
    narrow = objective(scheduler, Budget(memory_bytes=memory, latency_ms=ms, cores=cores))
    for wide in (
        Budget(memory_bytes=memory + more, latency_ms=ms, cores=cores),
        Budget(memory_bytes=memory, latency_ms=ms + more_ms, cores=cores),
        Budget(memory_bytes=memory, latency_ms=ms, cores=cores * 1.5),
        Budget(memory_bytes=memory),
    ):
        assert no_less(objective(scheduler, wide), narrow)


@given(tables(), st.integers(1, 2000), st.floats(0.1, 30), st.randoms(use_true_random=False))
def test_order_of_models_blocks_and_options_does_not_matter(
    found: list[ModelTable], memory: int, ms: float, random: Any
) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(items, len(items)))

    mixed = [
        replace(t, blocks=shuffled(tuple(replace(b, options=shuffled(b.options)) for b in t.blocks)))
        for t in shuffled(tuple(found))
    ]
    budget = Budget(memory_bytes=memory, latency_ms=ms)
    mine, other = objective(Scheduler(found), budget), objective(Scheduler(mixed), budget)
    if mine is None or other is None:
        assert mine is other
    else:
        assert mine[0] == other[0]
        assert mine[1] == pytest.approx(other[1], abs=1e-9)


@given(tables(), st.integers(1, 2000), st.integers(1, 400), st.sampled_from([2, 3, 1000]))
def test_scaling_memory_latency_or_weights_changes_no_plan(
    found: list[ModelTable], memory: int, eighths: int, factor: int
) -> None:
    def scaled(t: ModelTable) -> ModelTable:
        blocks = [
            [
                replace(o, memory_bytes=o.memory_bytes * factor, latency_ms={1: o.latency_ms[1] * factor})
                for o in b.options
            ]
            for b in t.blocks
        ]
        return model(t.name, *blocks, link=t.link, weight=t.weight * factor, critical=t.critical, rate_hz=t.rate_hz)

    one = objective(Scheduler(found), Budget(memory_bytes=memory, latency_ms=eighths / 8))
    many = objective(
        Scheduler([scaled(t) for t in found]), Budget(memory_bytes=memory * factor, latency_ms=eighths / 8 * factor)
    )
    assert (one is None) == (many is None)
    if one is not None and many is not None:
        assert many[0] == one[0]
        assert many[1] == pytest.approx(one[1] * factor, rel=1e-9)


@given(tables(), st.integers(1, 2000), st.sampled_from([1, 4, 10, 64]))
def test_a_slow_down_is_a_tighter_latency_limit(found: list[ModelTable], memory: int, factor: int) -> None:
    scheduler = Scheduler(found)
    slow = objective(
        scheduler, Budget(memory_bytes=memory, latency_ms=8.0), slowdown={t.name: float(factor) for t in found}
    )
    assert slow == objective(scheduler, Budget(memory_bytes=memory, latency_ms=8.0 / factor))


@given(tables(), st.integers(1, 2000), st.floats(0.1, 30), st.floats(0.01, 2))
def test_the_same_question_gets_the_same_answer(found: list[ModelTable], memory: int, ms: float, cores: float) -> None:
    budget = Budget(memory_bytes=memory, latency_ms=ms, cores=cores)
    scheduler = Scheduler(found)
    first = plan_or_report(scheduler, budget)
    assert plan_or_report(Scheduler(found), budget) == first
    if isinstance(first, Plan):
        assert scheduler.plan(budget, running=first) == first


def test_replans_do_not_depend_on_what_was_planned_before() -> None:
    scheduler = Scheduler([small_or_great("a"), small_or_great("b")])
    before = scheduler.plan(Budget(memory_bytes=150))
    scheduler.plan(Budget(memory_bytes=20, latency_ms=1.0))
    assert scheduler.plan(Budget(memory_bytes=150)) == before


# --- ties ------------------------------------------------------------------------------------------------------------


def test_ties_go_to_less_memory() -> None:
    tied = model("m", [option("heavy", 50, 1.0, 1.0), option("light", 40, 1.5, 1.0)])
    assert Scheduler([tied]).plan(Budget()).models[0].options == {"b0": "light"}


def test_ties_go_to_the_running_plan_before_less_memory() -> None:
    tied = model("m", [option("heavy", 50, 1.0, 1.0), option("light", 40, 1.5, 1.0)])
    running = Plan(models=(ModelPlan(name="m", options={"b0": "heavy"}),), budget=Budget(), objective=0.0)
    scheduler = Scheduler([tied])
    assert scheduler.plan(Budget(), running=running)["m"].options == {"b0": "heavy"}
    assert scheduler.plan(Budget(memory_bytes=45), running=running)["m"].options == {"b0": "light"}


def test_a_flat_link_makes_ties_that_the_running_plan_wins() -> None:
    flat = Link(x=(0.0, 1.0), y=(0.9, 0.9))
    tied = model("m", [option("more", 50, 1.0, 0.0), option("less", 40, 1.0, 0.5)], link=flat)
    running = Plan(models=(ModelPlan(name="m", options={"b0": "more"}),), budget=Budget(), objective=0.0)
    assert Scheduler([tied]).plan(Budget())["m"].options == {"b0": "less"}
    assert Scheduler([tied]).plan(Budget(), running=running)["m"].options == {"b0": "more"}


def test_of_two_optimal_plans_the_one_that_keeps_more_models_wins() -> None:
    scheduler = Scheduler([small_or_great("a"), small_or_great("b")])
    budget = Budget(memory_bytes=110)  # room for one of them to be great
    for great, small in (("a", "b"), ("b", "a")):
        running = Plan(
            models=(ModelPlan(name=great, options={"b0": "great"}), ModelPlan(name=small, options={"b0": "small"})),
            budget=budget,
            objective=0.0,
        )
        plan = scheduler.plan(budget, running=running)
        assert plan[great].options == {"b0": "great"}
        assert plan[small].options == {"b0": "small"}


# --- the switch charge -----------------------------------------------------------------------------------------------


def charged(per_mb: float = 0.0, per_ms: float = 0.0) -> Scheduler:
    blocks = [
        option("great", 100, 2.0, 0.0, bytes=1_000_000, load_ms=5.0),
        option("small", 10, 1.0, 1.0, bytes=100_000),
    ]
    return Scheduler([model("m", blocks)], SwitchCharge(per_mb=per_mb, per_ms=per_ms))


@pytest.mark.parametrize(("charge", "switches"), [(0.9, True), (1.1, False)])
def test_a_gain_below_the_charge_is_not_worth_a_switch(charge: float, switches: bool) -> None:
    for scheduler in (charged(per_mb=charge), charged(per_ms=charge / 5)):
        small = scheduler.plan(Budget(memory_bytes=50))
        plan = scheduler.plan(Budget(memory_bytes=200), running=small)
        assert plan["m"].options["b0"] == ("great" if switches else "small")
        assert plan.switch_charge == pytest.approx(charge if switches else 0.0)


def test_without_a_running_plan_nothing_is_charged() -> None:
    plan = charged(per_mb=100.0).plan(Budget())
    assert plan["m"].options == {"b0": "great"}
    assert plan.switch_charge == 0.0


def test_a_budget_that_the_running_plan_breaks_is_held_whatever_the_charge() -> None:
    scheduler = charged(per_mb=1000.0)
    great = scheduler.plan(Budget())
    assert scheduler.plan(Budget(memory_bytes=50), running=great)["m"].options == {"b0": "small"}


def test_a_change_of_threads_loads_everything() -> None:
    block = [option("o", 10, {1: 4.0, 2: 2.5}, bytes=2_000_000)]
    fixed = (BlockRows("stem", (option("stem", 1, {1: 1.0, 2: 0.6}, bytes=1_000_000),)),)
    scheduler = Scheduler([model("m", block, fixed=fixed)], SwitchCharge(per_mb=0.01))
    one = scheduler.plan(Budget())
    assert one["m"].threads == 1
    two = scheduler.plan(Budget(latency_ms=4.0), running=one)
    assert two["m"].threads == 2
    assert two.switch_charge == pytest.approx(0.03)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_threads_are_chosen_where_latency_asks_for_them_and_cores_allow() -> None:
    table = model("m", [option("o", 10, {1: 8.0, 2: 5.0, 4: 4.0})], rate_hz=50.0)
    scheduler = Scheduler([table])
    assert scheduler.plan(Budget())["m"].threads == 1
    assert scheduler.plan(Budget(latency_ms=5.0))["m"].threads == 2
    assert scheduler.plan(Budget(latency_ms=5.0, cores=0.5))["m"].cores == 0.5
    with pytest.raises(InfeasibleError):
        scheduler.plan(Budget(latency_ms=5.0, cores=0.49))
    fixed = Scheduler([replace(table, threads=4)])
    assert fixed.plan(Budget())["m"].threads == 4


def test_a_model_that_is_never_called_takes_no_cores() -> None:
    scheduler = Scheduler([small_or_great("idle", rate_hz=0.0), small_or_great("busy", rate_hz=100.0)])
    plan = scheduler.plan(Budget(cores=0.1))
    assert plan["idle"].options == {"b0": "great"}
    assert plan["busy"].options == {"b0": "small"}


def test_the_tighter_of_two_latency_limits_holds() -> None:
    scheduler = Scheduler([small_or_great("m", latency_ms=1.5)])
    assert scheduler.plan(Budget(latency_ms=10.0))["m"].options == {"b0": "small"}
    assert scheduler.plan(Budget(latency_ms={"m": 1.0}))["m"].latency_limit_ms == 1.0


def test_a_model_with_one_option_per_block_or_no_blocks_is_planned() -> None:
    single = model("single", [option("only", 10, 1.0, 0.5)])
    none = model("none", fixed=(BlockRows("all", (option("all", 7, 1.0),)),))
    plan = Scheduler([single, none]).plan(Budget(memory_bytes=17))
    assert plan.memory_bytes == 17
    assert plan["none"].options == {}


def test_a_limit_that_is_met_exactly_holds() -> None:
    plan = Scheduler([small_or_great()]).plan(Budget(memory_bytes=100, latency_ms=2.0))
    assert plan["m"].options == {"b0": "great"}
    assert plan["m"].latency_ms == 2.0


def test_the_least_budget_of_cores_is_told_apart_from_none_and_has_a_nearest_plan() -> None:
    scheduler = Scheduler([model("m", [option("great", 1_000_000, 2.0, 0.0)], rate_hz=10.0)])
    with pytest.raises(InfeasibleError) as e:
        scheduler.plan(Budget(cores=4e-10))
    assert e.value.report.nearest is not None


# --- what a chain takes, and what other models slow down -------------------------------------------------------------


def chained(overhead_ms: float, **more: Any) -> ModelTable:
    """`small_or_great` with a fixed head: 2.5 or 1.5 ms, and the chain's overhead."""
    return small_or_great(
        fixed=(BlockRows("head", (option("s0", 1, 0.5),)),), overhead_ms={1: overhead_ms, 2: 99.0}, **more
    )


def test_what_the_chain_takes_is_part_of_the_latency() -> None:
    plan = Scheduler([chained(0.25)]).plan(Budget(latency_ms=2.75))
    assert plan["m"].options == {"b0": "great"}
    assert plan["m"].latency_ms == 2.75
    assert Scheduler([chained(0.25)]).plan(Budget(latency_ms=2.749))["m"].options == {"b0": "small"}
    assert Scheduler([chained(0.0)]).plan(Budget(latency_ms=2.5))["m"].options == {"b0": "great"}


def test_where_only_the_chain_exceeds_the_limit_nothing_fits_and_the_report_counts_it() -> None:
    with pytest.raises(InfeasibleError) as caught:
        Scheduler([chained(5.0)]).plan(Budget(latency_ms=6.0))
    assert [limit.needed for limit in caught.value.report.limits if limit.kind == "latency"] == [6.5]


def test_what_the_chain_takes_costs_compute_and_is_slowed_down_too() -> None:
    plan = Scheduler([chained(0.5, rate_hz=100.0)]).plan(Budget(), slowdown={"m": 2.0})
    assert plan["m"].latency_ms == 6.0
    assert plan["m"].cores == pytest.approx(0.6)


@given(tables(), st.floats(0, 5), st.floats(0.5, 40))
def test_overhead_is_like_a_fixed_segment_that_takes_no_memory(
    found: list[ModelTable], overhead: float, ms: float
) -> None:
    as_overhead = [replace(t, overhead_ms={1: overhead}) for t in found]
    as_segment = [replace(t, fixed=(BlockRows("chain", (option("o", 0, overhead),)),)) for t in found]
    budget = Budget(latency_ms=ms, cores=1.0)
    mine, other = (plan_or_report(Scheduler(t), budget) for t in (as_overhead, as_segment))
    assert type(mine) is type(other)
    if isinstance(mine, Plan):
        assert mine == other


def test_a_tables_slow_down_is_expected_and_replaced_by_what_is_said() -> None:
    scheduler = Scheduler([small_or_great(slowdown=1.5)])
    assert scheduler.plan(Budget())["m"].latency_ms == 3.0
    assert scheduler.plan(Budget(latency_ms=2.9))["m"].options == {"b0": "small"}
    assert scheduler.plan(Budget(latency_ms=2.9), slowdown={"m": 1.0})["m"].options == {"b0": "great"}
    assert scheduler.plan(Budget(), slowdown={"m": 4.0})["m"].latency_ms == 8.0
    assert scheduler.gains(scheduler.plan(Budget(latency_ms=2.0))).latency["m"].objective == 1.0
    both = Scheduler([*scheduler.tables, small_or_great("n", slowdown=2.0)])
    assert both.plan(Budget(), slowdown={"m": 1.0})["n"].latency_ms == 4.0


@given(tables(), st.sampled_from([0.5, 1.25, 3.0]), st.integers(1, 2000), st.floats(0.1, 30))
def test_an_expected_slow_down_plans_as_one_that_is_said(
    found: list[ModelTable], factor: float, memory: int, ms: float
) -> None:
    budget = Budget(memory_bytes=memory, latency_ms=ms, cores=2.0)
    expected = objective(Scheduler([replace(t, slowdown=factor) for t in found]), budget)
    assert expected == objective(Scheduler(found), budget, slowdown={t.name: factor for t in found})


@pytest.mark.parametrize("change", [{"slowdown": 0.0}, {"slowdown": math.nan}, {"overhead_ms": {1: -0.1}}])
def test_tables_whose_overhead_or_slow_down_makes_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError, match=next(iter(change))):
        small_or_great(**change)


def test_unknown_names_are_refused() -> None:
    scheduler = Scheduler([small_or_great("m")])
    with pytest.raises(WorkloadError, match="'x', which is none of m"):
        scheduler.plan(Budget(latency_ms={"x": 1.0}))
    with pytest.raises(WorkloadError, match="'x', which is none of m"):
        scheduler.plan(Budget(), slowdown={"x": 2.0})


@pytest.mark.parametrize("factor", [0.0, -1.0, 2e6, math.nan, math.inf])
def test_nonsense_slow_downs_are_refused(factor: float) -> None:
    with pytest.raises(WorkloadError, match=r"slow-down of 'm' is .*; it must be above 0 and at most 1000000"):
        Scheduler([small_or_great("m")]).plan(Budget(), slowdown={"m": factor})


def test_a_running_plan_of_another_store_is_refused() -> None:
    scheduler = Scheduler([small_or_great("m")])
    for options in ({"b0": "gone"}, {"other": "great"}):
        running = Plan(models=(ModelPlan(name="m", options=options),), budget=Budget(), objective=0.0)
        with pytest.raises(WorkloadError, match="was its store replaced"):
            scheduler.plan(Budget(), running=running)


def test_a_running_plan_of_other_models_is_no_hindrance() -> None:
    running = Plan(models=(ModelPlan(name="other", options={"x": "y"}),), budget=Budget(), objective=0.0)
    assert Scheduler([small_or_great("m")]).plan(Budget(), running=running)["m"].options == {"b0": "great"}


def test_plans_survive_json(tmp_path: Any) -> None:
    plan = Scheduler([small_or_great("a"), small_or_great("b", critical=False)]).plan(Budget(memory_bytes=15))
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; from legodnn.runtime.planning import scheduler; "
        "print([m for m in ('ai_edge_litert', 'tensorflow', 'keras', 'pandas', 'scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
