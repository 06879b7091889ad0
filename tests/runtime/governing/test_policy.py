"""From readings to budgets: less available is never a wider budget, all changes have reasons."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import ConfigError
from legodnn.runtime.device.fair_share import FIRST, Competitor
from legodnn.runtime.device.monitor import Readings
from legodnn.runtime.governing.policy import Decision, Demand, Policy, Situation, State, decide
from legodnn.workload import Budget

MB = 1_000_000


@pytest.mark.parametrize(
    "bad",
    [
        *[{"reserve": 1.0}, {"reserve": -0.1}, {"relief": 0.0}, {"relief": 1.1}, {"pressure": 0.0}, {"pressure": 10}],
        *[{"observations": 0}, {"reserve": math.nan}, {"relief": math.nan}, {"pressure": math.nan}],
    ],
)
def test_nonsense_policies_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="policy"):
        Policy(**bad)
    assert Policy(reserve=0.0, pressure=1.0, relief=1.0, observations=1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"reserve": "a"}, "reserve must be a number, not 'a'"),
        ({"memory": None}, "memory must be of type Hysteresis, not None"),
        ({"observations": 1.5}, "observations must be a whole number, not 1.5"),
        ({"observations": True}, "observations must be a whole number, not True"),
    ],
)
def test_settings_of_another_kind_are_refused_by_name(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Policy(**bad)


DEMAND = Demand(Budget(memory_bytes=300 * MB), most_memory_bytes=400 * MB, most_cores=3.0)


def device(second: float = 0.0, available: float = 1000 * MB, **more: Any) -> Readings:
    return Readings(second, 1000 * MB, int(available), **{"cores_total": 4.0, "cores_allowed": 4.0, **more})


def run(demand: Demand, situations: list[Situation], policy: Policy | None = None) -> list[Decision]:
    state, decisions = State(), []
    for situation in situations:
        state, decision = decide(policy or Policy(), demand, state, situation)
        decisions.append(decision)
    return decisions


def test_where_there_is_plenty_the_budget_is_the_applications_own() -> None:
    (decision,) = run(DEMAND, [Situation(device(busy_cores=1.0, own_cores=0.9), 200 * MB, {"a": 1.02})])
    assert decision == Decision(DEMAND.budget, {})


def test_models_may_hold_what_is_available_besides_theirs_less_the_reserve() -> None:
    (decision,) = run(DEMAND, [Situation(device(available=120 * MB), 200 * MB)])
    assert decision.budget.memory_bytes == int(220 * MB * 0.95)
    (change,) = decision.changes
    assert (change.what, change.before, change.after) == ("memory", 300 * MB, decision.budget.memory_bytes)
    assert "120 MB of 1 GB available" in change.why


def test_when_memory_is_free_again_it_is_given_back_after_a_while() -> None:
    seen = [Situation(device(0, 120 * MB), 200 * MB)] + [Situation(device(s, 900 * MB), 200 * MB) for s in range(1, 20)]
    budgets = [d.budget.memory_bytes for d in run(DEMAND, seen)]
    assert budgets[1:11] == [budgets[0]] * 10
    assert budgets[-1] == 300 * MB


def test_waiting_for_memory_makes_models_give_some_back_once_in_ten_seconds() -> None:
    held, found = 300 * MB, []
    state = State()
    for second in range(25):
        situation = Situation(device(second, memory_pressure=0.4), held)
        state, decision = decide(Policy(), DEMAND, state, situation)
        held = min(held, decision.budget.memory_bytes or held)
        found.append(held)
    assert [found[0], found[9]] == [int(300 * MB * 0.8 * 0.95)] * 2
    assert found[10] == found[19] == int(found[0] * 0.8 * 0.95)
    assert found[20] < found[19]


def test_compute_is_what_others_leave_and_less_under_heat() -> None:
    modest = replace(DEMAND, most_cores=1.2)
    busy = device(busy_cores=3.5, own_cores=0.5)
    (decision,) = run(modest, [Situation(busy, 0)])
    # One core is free; of four that 4.2 threads want, models get a little more than that.
    assert decision.budget.cores == pytest.approx(4 * 1.2 / 4.2 * 0.95)
    assert "others keep 3.00 of 4 processors busy" in decision.changes[0].why
    hot = device(busy_cores=1.0, own_cores=1.0, throttled="throttled", cores_allowed=2.0)
    (decision,) = run(DEMAND, [Situation(hot, 0)])
    assert decision.budget.cores == pytest.approx(2.0 * 0.8 * 0.95)
    assert "held back (throttled)" in decision.changes[0].why
    slow = Situation(device(busy_cores=2.0, own_cores=0.5), 0, {"m": 3.0})
    (decision,) = run(modest, [slow])
    assert decision.slowdown == {"m": pytest.approx(3.0, rel=0.2)}
    assert decision.budget.cores is not None  # which models that run three times as long can exceed
    assert run(modest, [replace(slow, ratios={})])[0].budget.cores is None
    for unread in run(modest, [Situation(busy, 0), Situation(device(1), 0)]):
        assert unread.budget.cores == pytest.approx(4 * 1.2 / 4.2 * 0.95)  # also while that cannot be read
    without_rates = replace(DEMAND, most_cores=None)
    assert run(without_rates, [Situation(busy, 0)])[0].budget.cores is None


def governed(hogs: tuple[Competitor, ...], seconds: int, most_cores: float = 1.0, cores: float = 2.0) -> list[float]:
    """The cores that models are given each second, where they use what they are given and hogs take all the rest.

    What runs is never quite as much as is given: plans are combinations of options.
    """
    demand = replace(DEMAND, most_cores=most_cores)
    state, given, found = State(), most_cores, []
    for second in range(seconds):
        used = 0.8 * min(given, most_cores)
        rest = (cores - used) / sum(h.cores for h in hogs)
        seen = tuple(Competitor(h.cores * rest, h.weight) for h in hogs)
        readings = device(
            second, busy_cores=cores, own_cores=used, cores_total=cores, cores_allowed=cores, competing=seen
        )
        state, decision = decide(Policy(), demand, state, Situation(readings, 0))
        given = decision.budget.cores or most_cores
        found.append(given)
    return found


def test_processes_that_take_all_there_is_do_not_starve_the_models() -> None:
    """The kernel gives them their share whenever they want it: one of three threads that compute on two processors."""
    given = governed((Competitor(1.0, 1.0), Competitor(1.0, 1.0)), 600)
    assert min(given) >= 2 / 3 * 0.9
    assert len(set(given)) <= 3
    # A process with two such threads is no other thing.
    assert governed((Competitor(2.0, 1.0),), 600)[-1] == pytest.approx(given[-1])


def test_processes_of_low_priority_cost_the_models_nothing() -> None:
    for weight in (1.25**-19, 3 / 1024):
        assert min(governed((Competitor(1.0, weight), Competitor(1.0, weight)), 600)) >= 0.9


def test_real_time_processes_come_first() -> None:
    assert governed((Competitor(2.0, FIRST),), 600)[-1] <= 0.02


def test_where_processes_cannot_be_seen_they_count_as_ordinary() -> None:
    state, found = State(), 1.0
    for second in range(600):
        readings = device(second, busy_cores=2.0, own_cores=0.8 * found, cores_total=2.0, cores_allowed=2.0)
        state, decision = decide(Policy(), replace(DEMAND, most_cores=1.0), state, Situation(readings, 0))
        found = decision.budget.cores or 1.0
    assert found > 0.5


def test_a_model_that_runs_slower_than_profiled_is_planned_as_such() -> None:
    slow = [Situation(device(s), 0, {"a": 1.5}) for s in range(3)]
    first, *rest = run(DEMAND, slow)
    assert first.slowdown == pytest.approx({"a": 1.5})
    assert "1.50 times as long as profiled" in first.changes[0].why
    assert (first.changes[0].before, first.changes[0].after) == pytest.approx((1.0, 1.5))
    assert not any(d.changes for d in rest)
    back = run(DEMAND, slow + [Situation(device(s), 0, {"a": 1.0}) for s in range(3, 30)])
    assert back[-1].slowdown == {}


def test_what_is_observed_replaces_what_was_expected() -> None:
    demand = replace(DEMAND, expected={"a": 1.4})
    as_expected = [Situation(device(s), 0, {"a": 1.45}) for s in range(30)]
    assert not any(d.changes or d.slowdown for d in run(demand, as_expected))
    # Nobody slows it: also what is as profiled is said, for a plan that is told nothing expects 1.4.
    alone = run(demand, [Situation(device(s), 0, {"a": 1.0}) for s in range(30)])
    assert alone[-1].slowdown == pytest.approx({"a": 1.0})
    (change,) = (c for d in alone for c in d.changes)
    assert (change.before, change.after) == pytest.approx((1.4, 1.0))
    slower = run(demand, [Situation(device(s), 0, {"a": 2.0}) for s in range(3)])
    assert slower[0].slowdown == pytest.approx({"a": 2.0})


def test_what_was_seen_of_the_slowest_inferences_counts_instead_of_the_slow_down() -> None:
    demand = replace(DEMAND, expected={"a": 1.2})
    seen = [Situation(device(s), 0, {"a": 2.4}, {"a": 1.5}) for s in range(3)]
    first, *rest = run(demand, seen)
    assert first.slowdown == pytest.approx({"a": 2.4})
    # All in all its limit is held against 1.2 x 1.5 times what is profiled of the tail.
    assert first.tail["a"] * first.slowdown["a"] == pytest.approx(1.2 * 1.5)
    assert [c.what for c in first.changes] == ["speed of a", "tail of a"]
    assert (first.changes[1].before, first.changes[1].after) == pytest.approx((1.0, 1.5))
    assert "its slowest inferences take 1.50 times as long as promised" in first.changes[1].why
    assert not any(d.changes for d in rest)
    back = run(demand, seen + [Situation(device(s), 0, {"a": 1.2}, {"a": 1.0}) for s in range(3, 30)])
    assert back[-1].tail == pytest.approx({"a": 1.0})


def test_a_model_that_was_suspended_for_being_slow_is_tried_again_after_a_while() -> None:
    slow = Situation(device(0), 0, {"a": 3.0}, {"a": 2.0})
    suspended = [Situation(device(s), 0, suspended=frozenset("a")) for s in range(1, 15)]
    first, *waiting, _, last = run(DEMAND, [slow, *suspended])
    assert (first.slowdown, first.tail["a"]) == (pytest.approx({"a": 3.0}), pytest.approx(2 / 3))
    tried = next(d for d in waiting if d.changes)
    assert [(c.what, c.after) for c in tried.changes] == [("speed of a", 1.0), ("tail of a", 1.0)]
    assert {c.why for c in tried.changes} == {"it has been suspended for a while: perhaps it is slow no longer"}
    assert waiting.index(tried) == 10, "after a hold"
    assert (last.slowdown, last.tail, last.changes) == ({}, {"a": 1.0}, ())


@pytest.mark.parametrize(("seen", "planned"), [(1e9, 100.0), (1e-9, 0.01)])
def test_what_cannot_be_is_not_planned_for(seen: float, planned: float) -> None:
    decision = run(DEMAND, [Situation(device(s), 0, {"a": seen}, {"a": seen}) for s in range(12)])[-1]
    assert decision.slowdown == pytest.approx({"a": planned})
    assert decision.tail == pytest.approx({"a": 1.0})


def test_of_models_of_which_too_little_was_seen_nothing_is_said() -> None:
    (decision,) = run(DEMAND, [Situation(device(), 0, {"a": 1.5})])
    assert decision.tail == {}


situations = st.builds(
    lambda available, pressure, held, busy, hot, ratio: Situation(
        device(available=available, memory_pressure=pressure, busy_cores=busy, own_cores=0.0, throttled="hot" * hot),
        held,
        {"a": ratio},
    ),
    available=st.integers(0, 1000 * MB),
    pressure=st.none() | st.floats(0, 1),
    held=st.integers(0, 400 * MB),
    busy=st.floats(0, 4),
    hot=st.booleans(),
    ratio=st.floats(0.5, 4),
)


def timed(seen: list[Situation]) -> list[Situation]:
    return [replace(s, readings=replace(s.readings, time_s=float(i))) for i, s in enumerate(seen)]


@given(st.lists(situations, min_size=1, max_size=30))
def test_a_budget_is_valid_and_never_wider_than_the_applications_own(seen: list[Situation]) -> None:
    before = Decision(DEMAND.budget, {})
    for decision in run(DEMAND, timed(seen)):
        assert decision.budget.memory_bytes is not None
        assert 1 <= decision.budget.memory_bytes <= 300 * MB
        slower = max([1.0, *decision.slowdown.values()])  # models keep more processors busy then
        assert decision.budget.cores is None or 0 < decision.budget.cores < 3.0 * slower
        assert all(0 < factor < 1e6 for factor in decision.slowdown.values())
        same = (decision.budget, decision.slowdown) == (before.budget, before.slowdown)
        assert same != bool(decision.changes)
        before = decision


@given(st.lists(situations, max_size=20), situations, st.data())
def test_a_worse_situation_is_never_a_wider_budget(seen: list[Situation], now: Situation, data: st.DataObject) -> None:
    state = State()
    seen = timed([*seen, now])
    for situation in seen[:-1]:
        state, _ = decide(Policy(), DEMAND, state, situation)
    readings = seen[-1].readings
    assert readings.busy_cores is not None
    worse = replace(
        seen[-1],
        readings=replace(
            readings,
            memory_available_bytes=data.draw(st.integers(0, readings.memory_available_bytes)),
            memory_pressure=data.draw(st.floats(readings.memory_pressure or 0.0, 1)),
            busy_cores=data.draw(st.floats(readings.busy_cores, 4)),
            throttled="hot",
        ),
        ratios={"a": data.draw(st.floats(now.ratios["a"], 4))},
    )
    good, bad = (decide(Policy(), DEMAND, state, s)[1] for s in (seen[-1], worse))
    assert bad.budget.memory_bytes <= good.budget.memory_bytes  # type: ignore[operator]
    assert (bad.budget.cores or 9) <= (good.budget.cores or 9)
    assert bad.slowdown.get("a", 1.0) >= good.slowdown.get("a", 1.0)
