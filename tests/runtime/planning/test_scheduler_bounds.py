"""Searches that end before their time: their plan holds the limits, and the optimum is no further away than its gap."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.errors import InfeasibleError
from legodnn.plan import Plan
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import SwitchCharge
from tests.runtime.planning.hard_cases import charged_question, many_small_models
from tests.runtime.planning.random_cases import random_case, worth
from tests.runtime.planning.test_scheduler_oracle import brute_force, check_plan


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("seed", range(40))
def test_the_optimum_lies_within_the_gap_of_a_plan(seed: int) -> None:
    rng = np.random.default_rng(7_000 + seed)
    case = random_case(rng, models=2, blocks=4, options=3)
    while case.running is None or case.charge == SwitchCharge():
        case = random_case(rng, models=2, blocks=4, options=3)
    best = brute_force(case)
    scheduler = Scheduler(case.tables, case.charge)
    if best is None:
        with pytest.raises(InfeasibleError):
            scheduler.plan(case.budget, case.running, case.slowdown, tail=case.tail)
        return
    plan = scheduler.plan(case.budget, case.running, case.slowdown, None, case.tail)
    check_plan(case, plan)
    assert worth(case, plan) - 1e-9 <= best <= worth(case, plan) + plan.gap + 1e-9


@pytest.mark.parametrize("cores", [False, True])
@pytest.mark.parametrize("seed", [1, 3])
def test_hard_knapsacks_have_a_plan_by_the_deadline_and_the_optimum_is_within_its_gap(seed: int, cores: bool) -> None:
    tables, budget = many_small_models(20, 30, seed, cores=cores)
    scheduler = Scheduler(tables)
    proven = scheduler.plan(budget, deadline_ms=None)
    hurried = scheduler.plan(budget, deadline_ms=20)
    for longer in range(1, 8):  # on a slow machine, or one that does something else
        if hurried.gap >= 0.02 * abs(hurried.objective):
            hurried = scheduler.plan(budget, deadline_ms=20 << longer)
    assert hurried.objective <= proven.objective <= hurried.objective + hurried.gap + 1e-9
    assert hurried.memory_bytes <= (budget.memory_bytes or 0)
    assert budget.cores is None or hurried.cores <= budget.cores + 1e-9
    assert hurried.gap < 0.02 * abs(hurried.objective)


@pytest.mark.parametrize("per_mb", [0.001, 0.01, 1.0])
def test_switch_charges_of_a_deep_network_are_planned_with_by_the_deadline(per_mb: float) -> None:
    """Eight blocks of eighteen options: without bounds from the blocks this took minutes and gigabytes."""
    scheduler, budget, running = charged_question(models=1, per_mb=per_mb)
    hurried, proven = (scheduler.plan(budget, running, deadline_ms=ms) for ms in (30, None))
    assert proven.gap == 0
    value, best = (p.objective - p.switch_charge for p in (hurried, proven))
    assert value <= best + 1e-9
    assert best <= value + hurried.gap + 1e-9


def test_no_deadline_is_an_end_at_once() -> None:
    tables, budget = many_small_models(20, 30, 1, cores=True)
    plan = Scheduler(tables).plan(budget, deadline_ms=0)
    assert plan.gap > 0
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)).gap == plan.gap
