"""The nearest plan breaks no limit that need not be broken, and others as little as can be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.errors import InfeasibleError
from legodnn.plan import Infeasible, Limit, Plan
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget
from tests.runtime.planning.hand_made import model, option

Figures = dict[tuple[str, str | None], float]  # by kind of limit and model


def refused(tables: Sequence[ModelTable], budget: Budget) -> Infeasible | None:
    """The report of why there is no plan; None if there is one."""
    try:
        Scheduler(tables).plan(budget)
    except InfeasibleError as e:
        return e.report
    return None


def test_where_memory_is_short_limits_of_latency_are_kept() -> None:
    """The leanest option with one thread is as lean as with two, and what saves a byte more takes very long."""
    table = model("m", [option("great", 500, {1: 12.0, 2: 9.0}), option("lean", 100, {1: 11.0, 2: 6.0}, 1.0),
                        option("leanest", 99, {1: 90.0, 2: 80.0}, 1.0)], latency_ms=10.0)  # fmt: skip
    for memory in (1, 50, 98):
        report = refused([table], Budget(memory_bytes=memory))
        assert report is not None
        assert report.nearest is not None
        assert (report.nearest["m"].options, report.nearest["m"].threads) == ({"b0": "lean"}, 2)
        assert report.excess == pytest.approx(100 / memory - 1, rel=1e-4)


def test_where_one_model_is_too_slow_the_limits_of_another_are_kept() -> None:
    slow = model("slow", [option("only", 10, 9.0)], latency_ms=3.0)
    other = model("other", [option("great", 10, 9.0), option("small", 10, 4.0, 1.0)], latency_ms=5.0)
    report = refused([slow, other], Budget(memory_bytes=20))
    assert report is not None
    assert report.nearest is not None
    assert report.nearest["other"].options == {"b0": "small"}


def test_limits_that_clash_apart_are_relaxed_apart() -> None:
    """A limit that is hopeless makes no other one void."""
    for latency_ms, memory, greatest in ((3.9, 1, 799.0), (0.1, 790, 39.0)):
        table = model("m", [option("great", 900, 8.0), option("small", 800, 4.0, 1.0)], latency_ms=latency_ms)
        report = refused([table], Budget(memory_bytes=memory))
        assert report is not None
        assert report.nearest is not None
        assert report.nearest["m"].options == {"b0": "small"}
        assert report.excess == pytest.approx(greatest, rel=1e-3)


@st.composite
def instances(draw: st.DrawFn) -> tuple[list[ModelTable], Budget]:
    tables = []
    for name in ("a", "b")[: draw(st.integers(1, 2))]:
        options = [
            option(f"o{i}", draw(st.integers(1, 60)), {n: float(draw(st.integers(1, 30))) for n in (1, 2)}, float(i))
            for i in range(draw(st.integers(1, 4)))
        ]
        limits = {
            "latency_ms": draw(st.none() | st.integers(1, 20).map(float)),
            "min_accuracy": draw(st.none() | st.sampled_from([7.5, 8.5, 9.5, 10.0])),
        }
        tables.append(model(name, options, rate_hz=float(draw(st.integers(1, 9))), **limits))
    memory, cores = draw(st.none() | st.integers(1, 80)), draw(st.none() | st.floats(0.001, 0.3))
    return tables, Budget(memory_bytes=memory, cores=cores)


def compositions(tables: Sequence[ModelTable]) -> list[Figures]:
    """What every composition of one block for each model takes."""
    ways = [[(o, n) for o in t.blocks[0].options for n in t.thread_counts] for t in tables]
    found = []
    for chosen in itertools.product(*ways):
        pairs = list(zip(tables, chosen, strict=True))
        cores = sum((t.rate_hz or 0.0) * n * o.latency_ms[n] / 1e3 for t, (o, n) in pairs)
        figures: Figures = {("memory", None): sum(o.memory_bytes for _, (o, _) in pairs), ("cores", None): cores}
        for t, (o, n) in pairs:
            figures |= {("latency", t.name): o.latency_ms[n], ("accuracy", t.name): 10.0 - o.loss}
        found.append(figures)
    return found


def excess(figures: Figures, limit: Limit) -> float:
    """By which part of itself a limit is broken; 0 or less if it is held."""
    taken = figures[limit.kind, limit.model]
    return (limit.limit - taken if limit.kind == "accuracy" else taken - limit.limit) / limit.limit


def figures_of(plan: Plan) -> Figures:
    figures: Figures = {("memory", None): plan.memory_bytes, ("cores", None): plan.cores}
    for m in plan.models:
        figures |= {("latency", m.name): m.quantile_ms or 0.0, ("accuracy", m.name): m.accuracy}
    return figures


@settings(max_examples=150, deadline=None)
@given(instances())
def test_it_keeps_what_does_not_clash_and_is_the_nearest_of_those_that_do(
    asked: tuple[list[ModelTable], Budget],
) -> None:
    tables, budget = asked
    report, least = refused(tables, budget), 1e-7
    if report is None:
        return
    assert report.nearest is not None
    assert report.excess is not None
    every, near = compositions(tables), figures_of(report.nearest)
    others = [limit for limit in report.limits if not limit.clashes]
    assert all(limit.needed is None for limit in others)
    holding = [figures for figures in every if all(excess(figures, limit) <= least for limit in others)]
    if not holding:  # others clash without these: each of them is broken in every composition that holds the rest
        assert any(excess(near, limit) > 0 for limit in others)
        return
    assert all(excess(near, limit) <= least for limit in others)
    reached = min(max(excess(figures, limit) for limit in report.clash) for figures in holding)
    assert max(excess(near, limit) for limit in report.clash) <= reached * (1 + 1e-5) + least
    assert report.excess == pytest.approx(reached, rel=1e-4, abs=1e-6)
