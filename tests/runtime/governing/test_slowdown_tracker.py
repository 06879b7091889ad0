"""Slow-downs of models are ratios of what was seen to what was profiled.

Covers also: runtime.planning.as_profiled.
"""

from __future__ import annotations

import pytest

from legodnn.plan import ModelPlan
from legodnn.runtime.governing.governor import demand_of
from legodnn.runtime.governing.slowdown_tracker import SlowdownTracker
from legodnn.runtime.planning.as_profiled import profiled_ms
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow, Streaming
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.workload import Budget
from tests.runtime.governing.scripted import model

FAST = {"a": "o1", "b": "o0"}


def test_ratios_are_medians_over_what_was_profiled_of_the_running_composition() -> None:
    table = model(None)
    fast = ModelPlan(name="m", threads=2, options=FAST, latency_ms=99.0)
    assert profiled_ms(table, fast) == 3.0
    observed = SlowdownTracker([table], window=5)
    assert observed.add(fast, 900.0) is None  # the first one loads what has just been switched to
    for latency_ms in (6.0, 6.0, 600.0, 5.0):
        assert observed.add(fast, latency_ms) == latency_ms / 3.0
    assert observed.ratios(5) == {}
    slow = ModelPlan(name="m", threads=1, options={"a": "o0", "b": "o0"}, latency_ms=99.0)
    assert observed.add(slow, 900.0) is None
    assert observed.add(slow.model_copy(update={"latency_ms": 98.0}), 12.0) is not None  # planned again: no switch
    assert observed.ratios(5) == {"m": 2.0}
    observed.judged()
    for _ in range(3):
        observed.add(slow, 6.0)
    assert observed.ratios(5) == {"m": 1.0}  # it is judged by the last five, whatever came before


def test_of_a_fast_model_all_inferences_since_it_was_judged_count() -> None:
    observed, plan = SlowdownTracker([model(None)], window=5), ModelPlan(name="m", threads=2, options=FAST)
    for ratio in (1.0, *[1.0] * 20, *[4.0] * 10):
        observed.add(plan, 3.0 * ratio)
    assert observed.ratios(1) == {"m": 1.0}  # the last five alone would say 4
    observed.judged()
    assert observed.ratios(1) == {"m": 4.0}  # there are none since, so it is the last five
    observed.add(plan, 3.0)
    assert observed.ratios(1) == {"m": 4.0}
    for _ in range(9):
        observed.add(plan, 3.0)
    assert observed.ratios(1) == {"m": 1.0}
    observed.rest("m")
    assert observed.ratios(1) == {}
    for _ in range(3):
        observed.add(plan, 6.0)
    assert observed.ratios(1) == {"m": 2.0}


def other_ways() -> ModelTable:
    """A model that takes 2 ms with everything in memory, 4.5 ms compact and 6 ms streamed."""
    row = OptionRow(
        *("o", 5_000_000, {1: 2.0}), streamed_bytes=1_000_000, streamed_ms={1: 6.0}, compact_bytes=9_000_000,
        compact_ms={1: 4.0}
    )  # fmt: skip
    streaming, chain = Streaming(floor_bytes=3_000_000, levels=(1_000_000,)), {1: 0.5}
    blocks = (BlockRows("a", (row,)),)
    return ModelTable("m", blocks, streaming=streaming, compact_overhead_ms=chain, rate_hz=100.0, slowdown=2.0)


def test_a_model_is_held_against_what_was_profiled_of_the_way_in_which_it_runs() -> None:
    table, options = other_ways(), {"a": "o"}
    for how, expected in (({}, 2.0), ({"compact": True}, 4.5), ({"streamed": True}, 6.0)):
        assert profiled_ms(table, ModelPlan(name="m", threads=1, options=options, **how)) == expected
    observed = SlowdownTracker([table])
    for how in ({}, {"streamed": True}, {"compact": True}):
        plan = ModelPlan(name="m", threads=1, options=options, **how)
        assert observed.add(plan, 900.0) is None  # in another way it reads its weights anew
        assert observed.add(plan, 9.0) == 9.0 / profiled_ms(table, plan)


def test_a_model_that_was_profiled_in_no_time_is_held_against_nothing() -> None:
    observed = SlowdownTracker([ModelTable("m", (BlockRows("a", (OptionRow("o", 1, {1: 0.0}),)),))])
    plan = ModelPlan(name="m", threads=1, options={"a": "o"})
    assert [observed.add(plan, 1.0) for _ in range(3)] == [None] * 3
    assert observed.ratios(1) == {}


def test_a_demand_counts_all_ways_and_the_slow_down_that_is_expected() -> None:
    demand = demand_of(Scheduler([other_ways()]), Budget())
    assert demand.most_cores == pytest.approx(2.0 * 100 * 6.0 / 1e3)
    assert demand.most_memory_bytes == 9_000_000
