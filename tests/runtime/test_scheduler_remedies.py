"""What a report says would do does, typed in as it is printed; and so does the governor's relaxed budget."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from random_cases import Case, random_case
from test_scheduler_oracle import infeasible_cases, relaxed_case, scheduled

from legodnn.console import parse_size
from legodnn.errors import InfeasibleError
from legodnn.plan import Infeasible, Limit
from legodnn.runtime.policy import relaxed
from legodnn.runtime.scheduler import Scheduler
from legodnn.workload import Budget


def typed(text: str, kind: str) -> float:
    """The number in a remedy as it is printed."""
    if kind == "memory":
        return parse_size(text)
    return float(re.sub(r" (ms|cores)$", "", text))


def test_what_is_printed_would_do() -> None:
    tried = set()
    for case, report in infeasible_cases(90_000, count=60, models=3, blocks=3, options=4):
        printed = str(report).rpartition("would do: ")[2].split("; ")
        remedies = [limit for limit in report.limits if limit.needed is not None]
        assert len(printed) == max(1, len(remedies))
        for limit, text in zip(remedies, printed, strict=bool(remedies)):
            value = typed(text.removeprefix(limit.title + " "), limit.kind)
            assert isinstance(scheduled(relaxed_case(case, limit.kind, limit.model, value)), float), text
            tried.add(limit.kind)
    assert tried == {"memory", "cores", "latency", "accuracy"}


def test_remedies_are_short_and_on_the_safe_side() -> None:
    def remedy(kind: str, needed: float) -> str:
        return Limit(kind=kind, limit=1.0, needed=needed).remedy  # type: ignore[arg-type]

    assert remedy("latency", 0.13818000000000003) == "0.138181 ms"
    assert remedy("latency", 2.0) == "2 ms"
    assert remedy("memory", 20_000_123.0) == "20.001 MB"
    assert remedy("memory", 20.0) == "20 B"
    assert remedy("cores", 0.1234560001) == "0.123457 cores"
    assert remedy("accuracy", 0.9199999999) == "0.919999"
    assert remedy("accuracy", -0.25) == "-0.25"


def overload(rng: np.random.Generator) -> tuple[Case, Infeasible] | None:
    """A budget that nothing holds, where the budget alone sets limits."""
    case = random_case(rng, models=3, blocks=4, options=4)
    tables = tuple(replace(t, latency_ms=None, min_accuracy=None, critical=True) for t in case.tables)
    case = replace(case, tables=tables, slowdown={t.name: float(rng.uniform(0.7, 3)) for t in tables})
    loose = Scheduler(tables).plan(Budget(), slowdown=case.slowdown)
    budget = Budget(
        memory_bytes=max(1, int(loose.memory_bytes * rng.uniform(0.05, 0.6))),
        latency_ms={m.name: m.latency_ms * float(rng.uniform(0.02, 0.6)) for m in loose.models},
        cores=max(1e-9, loose.cores * float(rng.uniform(0.05, 0.6))) if rng.random() < 0.5 else None,
    )
    try:
        Scheduler(tables).plan(budget, slowdown=case.slowdown)
    except InfeasibleError as e:
        return case, e.report
    return None


def test_a_relaxed_budget_lets_the_nearest_plan_run() -> None:
    found = [x for x in (overload(np.random.default_rng(seed)) for seed in range(150)) if x]
    assert len(found) > 60
    for case, report in found:
        budget = relaxed(report)
        assert budget is not None
        assert report.nearest is not None
        plan = Scheduler(case.tables).plan(budget, slowdown=case.slowdown)
        assert plan.objective >= report.nearest.objective - 1e-9
