"""A device becomes slow and as fast as before again: so do plans, and none flaps for ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.errors import InfeasibleError
from legodnn.plan import Infeasible, ModelPlan, Plan, checked_plan
from legodnn.runtime import Governor, Scheduler
from legodnn.runtime.governing.policy import Policy
from legodnn.runtime.governing.slowdown_tracker import SlowdownTracker
from legodnn.runtime.governing.tail_tracker import TailTracker
from legodnn.runtime.planning.as_profiled import profiled_ms
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow
from legodnn.tail import QUANTILES
from legodnn.workload import Budget
from tests.runtime.governing.scripted import Scripted

LIMIT_MS = 12.0
Ran = list[tuple[str, int]]


class Planned:
    """A runtime that plans, and loads nothing."""

    def __init__(self, tables: list[ModelTable]) -> None:
        self.scheduler = Scheduler(tables)
        self.on_inference: Callable[[ModelPlan, float], None] | None = None
        self.plan: Plan = self.scheduler.plan(Budget())
        self.own_budget: Budget | None = None

    def check_free(self) -> None:
        """It always is."""

    def replan(
        self,
        budget: Budget,
        slowdown: Mapping[str, float],
        nearest: bool = False,
        tail: Mapping[str, float] | None = None,
    ) -> Infeasible | None:
        """See `Runtime.replan`; the nearest plan runs in any case."""
        try:
            self.plan = self.scheduler.plan(budget, running=self.plan, slowdown=slowdown, tail=tail)
        except InfeasibleError as e:
            self.plan = checked_plan(e.report.nearest)
            return e.report
        return None


def table(name: str, critical: bool = True) -> ModelTable:
    """A model that takes 8 ms or, pruned, 4 ms with two threads, and 14 or 7 ms with one."""
    great = OptionRow("great", 5_000_000, {1: 14.0, 2: 8.0})
    small = OptionRow("small", 1_000_000, {1: 7.0, 2: 4.0}, 0.1)
    tails = {n: dict.fromkeys(QUANTILES, 1.1) for n in (1, 2)}
    block = BlockRows("b", (great, small))
    return ModelTable(name, (block,), tails=tails, latency_ms=LIMIT_MS, critical=critical)


def governed(
    rows: ModelTable, seconds: int, slower: Callable[[int, int], float], rate: int
) -> tuple[Ran, list[tuple[int, float]]]:
    """What a model ran each second with how many threads ("" while suspended), and its latencies with their seconds."""
    runtime = Planned([rows])
    governor, ran, latencies = Governor(runtime, monitor=Scripted()), [], []
    for second in range(seconds):
        plan = runtime.plan[rows.name]
        for _ in range(0 if plan.suspended else rate):
            latencies.append((second, profiled_ms(rows, plan) * slower(second, plan.threads)))
            governor.observe(plan, latencies[-1][1])
        governor.step()
        plan = runtime.plan[rows.name]
        ran.append(("" if plan.suspended else plan.options["b"], plan.threads))
    return ran, latencies


@settings(max_examples=20, deadline=None)
@given(st.floats(1.1, 30.0), st.integers(1, 200), st.sampled_from([1, 5, 30]))
def test_a_model_that_was_suspended_for_being_slow_runs_again_when_it_is_so_no_longer(
    factor: float, lasted: int, rate: int
) -> None:
    end = 20 + lasted
    ran, _ = governed(table("m", critical=False), end + 700, lambda s, _: factor if 20 <= s < end else 1.0, rate)
    assert [what for what, _ in ran[-50:]] == ["great"] * 50


def test_a_model_that_stays_slow_is_tried_again_more_and_more_seldom() -> None:
    ran, _ = governed(table("m", critical=False), 3600, lambda s, _: 9.0 if s >= 20 else 1.0, 30)
    tried = [s for s in range(21, 3600) if ran[s][0] and not ran[s - 1][0]]
    assert 5 < len(tried) < 20
    assert tried[-1] - tried[-2] > 300


@settings(max_examples=20, deadline=None)
@given(st.floats(1.5, 8.0), st.integers(30, 300), st.sampled_from([1, 5, 30]))
def test_what_slowed_down_one_number_of_threads_does_not_keep_plans_from_it_for_ever(
    factor: float, lasted: int, rate: int
) -> None:
    end = 20 + lasted
    ran, _ = governed(
        table("m"), end + 1000, lambda s, threads: factor if 20 <= s < end and threads == 2 else 1.0, rate
    )
    assert ran[-300:] == [("great", 2)] * 300


@pytest.mark.parametrize("rate", [1, 5])
def test_while_it_is_slowed_down_no_more_inferences_are_late_than_promised(rate: int) -> None:
    ran, latencies = governed(table("m"), 4000, lambda s, n: 1.5 if s >= 20 and n == 2 else 1.0, rate)
    assert {threads for _, threads in ran} == {1, 2} or rate > 1
    late = [ms > LIMIT_MS for second, ms in latencies if second >= 100]
    assert sum(late) <= 0.05 * len(late)


def test_of_all_inferences_no_more_are_above_than_promised_whatever_number_of_threads_they_have() -> None:
    rows = table("m")
    tails, above = TailTracker([rows]), 0
    plans = [ModelPlan(name="m", threads=n, options={"b": "great"}, quantile=0.9) for n in (1, 2)]
    for i in range(6000):
        # Two threads whenever they seem no slower than one, though they always are.
        seem = [tails.excess(plan) or 1.0 for plan in plans]
        plan = plans[seem[1] <= seem[0] * 1.2]
        ratio = 4.0 if plan.threads == 2 else 1.0 + (i % 100) / 1000
        above += ratio > 1.1 * seem[plan.threads - 1]
        tails.judged()
        tails.add(plan, ratio)
    assert above / 6000 < 0.12


def test_the_first_inference_of_a_model_that_was_suspended_does_not_count() -> None:
    """All that it runs was loaded anew."""
    observed = SlowdownTracker([table("m")])
    plan = ModelPlan(name="m", threads=2, options={"b": "great"})
    assert observed.add(plan, 80.0) is None
    assert observed.add(plan, 8.0) == 1.0
    observed.rest("m")
    assert observed.ratios(1) == {}
    assert observed.add(plan, 80.0) is None
    assert observed.add(plan, 8.0) == 1.0


def test_of_a_model_without_a_limit_the_slowest_inferences_decide_nothing() -> None:
    rows = replace(table("m"), latency_ms=None)
    runtime = Planned([rows])
    governor = Governor(runtime, monitor=Scripted())
    for i in range(200):
        plan = runtime.plan["m"]
        governor.observe(plan, profiled_ms(rows, plan) * (9 if i % 5 == 0 else 1))
    decision = governor.step()
    assert (decision.tail, decision.changes) == ({}, ())


def test_what_was_seen_of_a_model_before_it_was_suspended_is_forgotten() -> None:
    runtime = Planned([table("m", critical=False)])
    governor = Governor(runtime, monitor=Scripted())
    for _ in range(20):
        governor.observe(runtime.plan["m"], 99.0)
    governor.step()
    assert list(runtime.plan.suspended) == ["m"]
    assert governor._slowdowns.ratios(1) != {}
    governor.step()
    assert governor._slowdowns.ratios(1) == {}


def test_a_model_is_judged_from_as_many_inferences_as_the_policy_says_however_many_are_remembered() -> None:
    rows = replace(table("m"), latency_ms=None)
    runtime = Planned([rows])
    governor, plan = Governor(runtime, Policy(observations=100), Scripted()), runtime.plan["m"]
    decisions = []
    for count in (100, 1):  # the first of all does not count
        for _ in range(count):
            governor.observe(plan, 2 * profiled_ms(rows, plan))
        decisions.append(governor.step().slowdown)
    assert decisions == [{}, {"m": 2.0}]


def test_a_moment_of_a_fast_model_is_no_slow_down_and_what_lasts_is_one_at_the_next_reading() -> None:
    """A thousand inferences between two readings, the last eighty of which waited for something."""
    rows = table("m")
    runtime = Planned([rows])
    governor, plan = Governor(runtime, monitor=Scripted()), runtime.plan["m"]
    for slow in (80, 0, 80):
        for i in range(1000):
            governor.observe(plan, profiled_ms(rows, plan) * (3.0 if i >= 1000 - slow else 0.9))
        decision = governor.step()
        assert all(factor < 1.0 for factor in decision.slowdown.values())
        assert all(factor < 1.8 for factor in decision.tail.values())  # eighty in a thousand are above the quantile
    for _ in range(1000):
        governor.observe(plan, 3.0 * profiled_ms(rows, plan))
    assert governor.step().slowdown["m"] == pytest.approx(3.0)
