"""The scheduler against two oracles that share nothing with it: trying everything, and HiGHS on the whole problem.

Whole plans and reports are compared, and with them what makes them.

Covers also: runtime.planning.infeasible, runtime.planning.solver.candidates, runtime.planning.solver.charged_optimum,
runtime.planning.solver.composition_sums, runtime.planning.solver.instance, runtime.planning.solver.optimum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from legodnn.errors import InfeasibleError
from legodnn.plan import Infeasible, Plan
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget, SwitchCharge
from tests.runtime.planning.highs import Answer, highs
from tests.runtime.planning.random_cases import (
    Case,
    latency_limit,
    loss_of,
    random_case,
    suspension,
    way_of,
    ways,
    worth,
)

# --- trying everything -----------------------------------------------------------------------------------------------


def compositions(case: Case, table: ModelTable) -> Iterator[tuple[float, int, float]]:
    """(worth, memory, cores) of everything that one model may run, or not run."""
    slow, limit = case.slowdown.get(table.name, 1.0), latency_limit(case, table)
    if not table.critical:
        yield -suspension(case), 0, 0.0
    for n in ways(table):
        segments = (*table.blocks, *table.fixed)
        for picked in itertools.product(*(filter(n.admits, b.options) for b in segments)):
            latency = math.fsum(n.latency(o) for o in picked) * slow
            accuracy = float(np.interp(loss_of(table, picked), table.link.x, table.link.y))
            if limit is not None and latency * case.stretch(table, n.threads) > limit + 1e-9:
                continue
            if table.min_accuracy is not None and accuracy < table.min_accuracy - 1e-12:
                continue
            cores = (table.rate_hz or 0) * n.threads * latency / 1000
            charge = math.fsum(case.load_charge(table, b.name, n, o) for b, o in zip(segments, picked, strict=True))
            yield table.weight * accuracy - charge - n.less(table), n.memory(table, picked), cores


def brute_force(case: Case) -> float | None:
    best = None
    for plan in itertools.product(*(list(compositions(case, t)) for t in case.tables)):
        if case.budget.memory_bytes is not None and sum(p[1] for p in plan) > case.budget.memory_bytes:
            continue
        if case.budget.cores is not None and math.fsum(p[2] for p in plan) > case.budget.cores - 1e-8:
            continue
        value = math.fsum(p[0] for p in plan)
        best = value if best is None else max(best, value)
    return best


# --- the scheduler ---------------------------------------------------------------------------------------------------


def check_plan(case: Case, plan: Plan) -> None:
    """A plan holds every limit and predicts what its options add up to."""
    for table, model in zip(case.tables, plan.models, strict=True):
        if model.suspended:
            assert not table.critical
            continue
        picked = [next(o for o in b.options if o.name == model.options[b.name]) for b in table.blocks]
        picked += [f.options[0] for f in table.fixed]
        way = way_of(table, model)
        assert way is not None
        assert all(map(way.admits, picked))
        assert model.memory_bytes == way.memory(table, picked)
        latency = sum(way.latency(o) for o in picked) * case.slowdown.get(table.name, 1.0)
        assert model.latency_ms == pytest.approx(latency, abs=1e-5)
        accuracy = np.interp(loss_of(table, picked), table.link.x, table.link.y)
        assert model.accuracy == pytest.approx(accuracy, abs=1e-9)
        limit = latency_limit(case, table)
        assert model.quantile == case.quantile(table)
        assert model.quantile_ms == pytest.approx(latency * case.stretch(table, model.threads), abs=1e-5)
        assert limit is None or model.quantile_ms is None or model.quantile_ms <= limit
        assert table.min_accuracy is None or model.accuracy >= table.min_accuracy - 1e-12
    assert case.budget.memory_bytes is None or plan.memory_bytes <= case.budget.memory_bytes
    assert case.budget.cores is None or plan.cores <= case.budget.cores + 1e-9  # limits are in billionths


def scheduled(case: Case) -> float | Infeasible:
    try:
        plan = Scheduler(case.tables, case.charge).plan(case.budget, case.running, case.slowdown, None, case.tail)
    except InfeasibleError as e:
        return e.report
    check_plan(case, plan)
    return worth(case, plan)


def compare(case: Case, answer: Answer | None) -> bool:
    """The scheduler is never worse than HiGHS's plan, and better by no more than HiGHS's own tolerance."""
    found = scheduled(case)
    if answer is None:
        assert isinstance(found, Infeasible)
        return False
    if not answer.holds:
        assert isinstance(found, Infeasible) or found <= answer.worth + 1e-5
        return False
    assert not isinstance(found, Infeasible), str(found)
    assert answer.worth - 1e-9 <= found <= answer.worth + 1e-5
    return True


@pytest.mark.parametrize("seed", range(200))
def test_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, models=int(rng.integers(1, 4)), blocks=2, options=3)
    best, found = brute_force(case), scheduled(case)
    if best is None:
        assert isinstance(found, Infeasible)
    else:
        assert found == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(120))
def test_equals_brute_force_when_switching_is_charged(seed: int) -> None:
    rng = np.random.default_rng(5_000 + seed)
    case = random_case(rng, models=2, blocks=4, options=3)
    while case.running is None or case.charge == SwitchCharge():
        case = random_case(rng, models=2, blocks=4, options=3)
    best, found = brute_force(case), scheduled(case)
    if best is None:
        assert isinstance(found, Infeasible)
    else:
        assert found == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_equals_highs_on_small_instances(seed: int) -> None:
    rng = np.random.default_rng(10_000 + seed)
    case = random_case(rng, models=int(rng.integers(1, 4)), blocks=4, options=5)
    compare(case, highs(case))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_equals_highs_on_a_thousand_instances() -> None:
    feasible = 0
    for seed in range(1000):
        rng = np.random.default_rng(20_000 + seed)
        case = random_case(rng, models=int(rng.integers(1, 7)), blocks=8, options=10)
        feasible += compare(case, highs(case))
    assert 300 < feasible < 1000


def infeasible_cases(
    first: int, count: int, models: int, blocks: int, options: int
) -> Iterator[tuple[Case, Infeasible]]:
    """Cases in which nothing fits; mixtures of tight limits."""
    seed = first
    while count:
        rng = np.random.default_rng(seed)
        seed += 1
        case = random_case(rng, int(rng.integers(1, models + 1)), blocks, options)
        tight = Budget(
            memory_bytes=max(1, int((case.budget.memory_bytes or 10**6) * rng.uniform(0.2, 0.9))),
            latency_ms=case.budget.latency_ms,
            quantile=case.budget.quantile,
            cores=(case.budget.cores or 1.0) * float(rng.uniform(0.2, 1)) if rng.random() < 0.5 else None,
        )
        case = replace(case, budget=tight)
        found = scheduled(case)
        if isinstance(found, Infeasible):
            count -= 1
            yield case, found


def relaxed_case(case: Case, kind: str, model: str | None, value: float) -> Case:
    limits = {"latency_ms": case.budget.latency_ms, "quantile": case.budget.quantile}
    if kind in ("memory", "cores"):
        memory = int(value) if kind == "memory" else case.budget.memory_bytes
        cores = value if kind == "cores" else case.budget.cores
        return replace(case, budget=Budget(memory_bytes=memory, cores=cores, **limits))
    named = case.budget.latency_ms if isinstance(case.budget.latency_ms, dict) else {}
    budget = case.budget
    if kind == "latency" and model in named:
        limits["latency_ms"] = {k: v for k, v in named.items() if k != model} or None
        budget = Budget(memory_bytes=budget.memory_bytes, cores=budget.cores, **limits)
    change: dict[str, Any] = {"latency_ms" if kind == "latency" else "min_accuracy": value}
    tables = tuple(replace(t, **change) if t.name == model else t for t in case.tables)
    return replace(case, tables=tables, budget=budget)


def check_report(case: Case, report: Infeasible) -> None:
    """Every relaxation named is the least: HiGHS finds the same, it lets a plan exist, and nothing less does."""
    assert report.clash
    assert highs(case) is None
    for limit in report.limits:
        answer = highs(case, relax=(limit.kind, limit.model))
        if answer is None:
            assert limit.needed is None
            continue
        assert limit.needed is not None
        scale = 1e6 if limit.kind == "memory" else 1.0
        assert limit.needed == pytest.approx(answer.least * scale, rel=1e-6, abs=1e-6 * scale)
        assert limit.clashes
        assert isinstance(scheduled(relaxed_case(case, limit.kind, limit.model, limit.needed)), float)
        short = {"memory": -1.0, "cores": -2e-9, "latency": -2e-6, "accuracy": 1e-9}[limit.kind]
        assert isinstance(scheduled(relaxed_case(case, limit.kind, limit.model, limit.needed + short)), Infeasible)
    assert report.nearest is not None
    assert report.excess is not None
    assert report.excess > 0


def test_infeasible_reports_name_the_least_relaxations() -> None:
    for case, report in infeasible_cases(0, count=25, models=3, blocks=3, options=4):
        check_report(case, report)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_infeasible_reports_on_many_instances() -> None:
    for case, report in infeasible_cases(50_000, count=200, models=5, blocks=6, options=8):
        check_report(case, report)
