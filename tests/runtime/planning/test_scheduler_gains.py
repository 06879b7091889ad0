"""What a little more of a limit would buy."""

from __future__ import annotations

import pytest

from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.plan import ModelPlan, Plan
from legodnn.runtime.planning import scheduler as planning
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget
from tests.runtime.planning.hand_made import model, option, small_or_great
from tests.runtime.planning.hard_cases import many_small_models


def test_gains_tell_what_a_little_more_buys() -> None:
    table = model("m", [option("great", 1_000_000, 2.0, 0.0), option("small", 10, 1.0, 1.0)])
    scheduler = Scheduler([table])
    gains = scheduler.gains(scheduler.plan(Budget(memory_bytes=10, latency_ms=5.0)))
    assert gains.memory is not None
    assert gains.memory.objective == pytest.approx(1.0)
    assert gains.latency["m"].objective == 0.0
    gains = scheduler.gains(scheduler.plan(Budget(latency_ms=1.0)))
    assert gains.memory is None
    assert gains.latency["m"].objective == pytest.approx(1.0)


@pytest.mark.parametrize(("more", "gained"), [(0.0, 1.0), (1e-4, 0.0)])
def test_gains_are_of_one_megabyte_a_tenth_of_a_core_and_a_millisecond_and_no_more(more: float, gained: float) -> None:
    great = option("great", 1_000_010 + round(1e6 * more), 2.0 + more)
    scheduler = Scheduler([model("m", [great, option("small", 10, 1.0, 1.0)], rate_hz=100.0)])
    for budget in (Budget(memory_bytes=10), Budget(cores=0.1), Budget(latency_ms=1.0)):
        gains = scheduler.gains(scheduler.plan(budget))
        (gain,) = [gain for gain in (gains.memory, gains.cores, *gains.latency.values()) if gain]
        assert gain.objective == pytest.approx(gained)
        assert gain.resumes == ()


def test_gains_name_the_models_that_would_no_longer_be_suspended() -> None:
    tables = [model(name, [option("o", 800_000, 1.0)], critical=False) for name in ("first", "second", "third")]
    scheduler = Scheduler([model("always", [option("o", 10, 1.0)]), *tables])
    plan = scheduler.plan(Budget(memory_bytes=800_010))
    gain = scheduler.gains(plan).memory
    assert gain is not None
    assert len(plan.suspended) == 2
    assert len(gain.resumes) == 1
    assert set(gain.resumes) < set(plan.suspended)


def test_a_model_that_resumes_may_cost_more_accuracy_than_it_has() -> None:
    """As few as possible are suspended, whatever that costs those that run."""
    vital = model("vital", [option("great", 1_000_000, 1.0), option("small", 10, 1.0, 1.0)])
    extra = model("extra", [option("o", 1_999_000, 1.0)], weight=0.01, critical=False)
    scheduler = Scheduler([vital, extra])
    gain = scheduler.gains(scheduler.plan(Budget(memory_bytes=1_000_000))).memory
    assert gain is not None
    assert (gain.objective, gain.resumes) == (pytest.approx(0.1 - 1.0), ("extra",))


def test_wider_limits_buy_no_less_than_nothing_however_short_the_search_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """`legodnn plan` has ten seconds for its plan, and a tenth of one for what each limit would buy."""
    tables, budget = many_small_models(20, 30, 1, cores=True)
    scheduler = Scheduler(tables)
    plan = scheduler.plan(budget.model_copy(update={"latency_ms": {"m0": 5.0}}))  # none takes more than 1 ms
    monkeypatch.setattr(planning, "DEADLINE_MS", 0.0)
    gain = scheduler.gains(plan).latency["m0"]
    assert (gain.objective, gain.resumes) == (0.0, ())


def gains_are_refused(scheduler: Scheduler, plan: Plan | None, **factors: dict[str, float]) -> None:
    assert plan is not None
    with pytest.raises(WorkloadError, match="this plan does not hold its budget"):
        scheduler.gains(plan, **factors)


def test_gains_of_a_plan_that_does_not_hold_its_budget_are_refused() -> None:
    scheduler = Scheduler([small_or_great(rate_hz=10.0)])
    plan = scheduler.plan(Budget(latency_ms=5.0))
    gains_are_refused(scheduler, plan, slowdown={"m": 50.0})
    gains_are_refused(scheduler, plan, slowdown={"m": 4.0})  # a smaller option would hold it
    gains_are_refused(scheduler, scheduler.plan(Budget(cores=0.02)), slowdown={"m": 1.5})


@pytest.mark.parametrize("budget", [Budget(memory_bytes=9), Budget(latency_ms=0.5), Budget(cores=0.005)])
def test_gains_of_the_nearest_plan_are_refused_though_a_little_more_would_do(budget: Budget) -> None:
    scheduler = Scheduler([small_or_great(rate_hz=10.0)])
    with pytest.raises(InfeasibleError) as caught:
        scheduler.plan(budget)
    gains_are_refused(scheduler, caught.value.report.nearest)


def test_gains_of_a_plan_without_a_model_that_must_run_are_refused() -> None:
    scheduler = Scheduler([small_or_great("a"), small_or_great("b")])
    plan = scheduler.plan(Budget(memory_bytes=110))
    stopped = ModelPlan(name="b", suspended=True)
    gains_are_refused(scheduler, plan.model_copy(update={"models": (plan.models[0], stopped)}))
