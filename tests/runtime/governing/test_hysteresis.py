"""Levels follow their targets: they do not flap, fall at once, and rise after a while."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from legodnn.errors import ConfigError
from legodnn.runtime.governing.hysteresis import Hysteresis, Level, follow, recover

HOW = Hysteresis()

targets = st.floats(1.0, 1000.0)
hows = st.builds(
    Hysteresis,
    slack=st.sampled_from([0.0, 0.1]),
    margin=st.sampled_from([0.0, 0.05]),
    growth=st.sampled_from([0.1, 0.5]),
    hold_s=st.sampled_from([1.0, 5.0]),
)


def levels(seen: list[float], how: Hysteresis) -> list[Level]:
    """The levels that follow targets seen once a second, the first of them before any was seen."""
    found = [Level()]
    for second, target in enumerate(seen):
        found.append(follow(found[-1], target, float(second), how))
    return found


@given(st.lists(targets, min_size=1, max_size=60), hows)
def test_a_level_is_never_above_its_target_but_for_the_slack(seen: list[float], how: Hysteresis) -> None:
    for level, target in zip(levels(seen, how)[1:], seen, strict=True):
        assert level.value * (1 - how.slack) <= target


@given(st.lists(targets, max_size=60), targets, targets, hows)
def test_a_lower_target_is_never_a_higher_level(seen: list[float], a: float, b: float, how: Hysteresis) -> None:
    level, now = levels(seen, how)[-1], float(len(seen))
    low, high = sorted([a, b])
    assert follow(level, low, now, how).value <= follow(level, high, now, how).value


@given(st.lists(targets, min_size=2, max_size=60), hows)
def test_rises_are_at_least_a_hold_apart_from_any_change_before(seen: list[float], how: Hysteresis) -> None:
    values = [level.value for level in levels(seen, how)]
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    for before, after in pairwise(changes):
        if values[after] > values[after - 1]:
            assert after - before >= how.hold_s


@given(targets, st.lists(st.floats(0, 1), min_size=1, max_size=60), hows)
def test_targets_that_vary_within_the_band_never_make_a_level_rise(
    least: float, shares: list[float], how: Hysteresis
) -> None:
    width = (1 - how.margin) * (1 + how.growth) * (1 - how.slack)
    assume(width > 1)
    seen = [least * (1 + share * (width - 1) * 0.99) for share in shares]
    values = [level.value for level in levels(seen, how)]
    assert values == sorted(values, reverse=True)


@given(st.lists(targets, max_size=30), targets, hows)
def test_a_target_that_stays_is_followed_once_and_for_all(seen: list[float], last: float, how: Hysteresis) -> None:
    settled = [level.value for level in levels(seen + [last] * 400, how)][-50:]
    assert len(set(settled)) == 1
    assert last / (1 + how.growth) <= settled[0] <= last / (1 - how.slack)


def test_a_rise_goes_no_further_than_the_least_target_of_the_hold() -> None:
    seen = [100.0, *[200.0] * 5, 150.0, *[200.0] * 10]
    assert levels(seen, Hysteresis(margin=0.05))[-1].value == pytest.approx(150 * 0.95)


def test_a_break_makes_the_wait_for_a_rise_start_again() -> None:
    for seen in ([100.0] + [200.0] * 10 + [100.0] + [200.0] * 10, [100.0] + [200.0] * 10 + [100.0] * 2):
        assert {level.value for level in levels(seen, HOW)[1:]} == {95.0}
    assert levels([100.0] + [200.0] * 11, HOW)[-1].value == 190.0


def test_what_was_seen_before_a_break_does_not_bound_the_rise_after_it() -> None:
    assert levels([100.0, 120.0, 100.0, *[200.0] * 11], HOW)[-1].value == 190.0


@given(st.sampled_from([0.01, 0.25, 0.9]), st.sampled_from([0.5, 1.0, 100.0]), hows)
def test_what_is_not_seen_recovers_to_the_usual_after_holds_and_goes_no_further(
    share: float, usual: float, how: Hysteresis
) -> None:
    seen = [Level(share * usual)]
    for second in range(200):
        seen.append(recover(seen[-1], usual, float(second), how))
    values = [level.value for level in seen]
    assert values == sorted(values)
    assert values[int(how.hold_s)] == values[0] < values[int(how.hold_s) + 1]
    assert values[-1] == usual
    assert recover(Level(2 * usual), usual, 0.0, how) == Level(2 * usual)


def test_only_a_rise_that_is_taken_back_within_two_holds_makes_the_next_one_wait_longer() -> None:
    risen = levels([100.0, *[200.0] * 11], HOW)[-1]
    holds = [follow(risen, 100.0, risen.rose_s + after, HOW).hold_s for after in (1.0, 20.0, 20.1, 25.0)]
    assert holds == [20.0, 20.0, 10.0, 10.0]


def test_what_must_be_taken_back_again_and_again_is_given_more_and_more_slowly() -> None:
    level, rises = follow(Level(), 100.0, 0.0, HOW), []
    for second in range(1, 1000):
        high = second - level.rose_s > 3  # the device has room until a few seconds after it was used
        before = level.value
        level = follow(level, 200.0 if high else 100.0, float(second), HOW)
        if level.value > before:
            rises.append(second)
    gaps = [b - a for a, b in pairwise(rises)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 8 * gaps[0]
    assert len(rises) < 10


def test_a_rise_that_is_taken_back_in_many_steps_is_taken_back_once() -> None:
    risen = levels([100.0, *[200.0] * 11], HOW)
    assert risen[-1].rose_s == 11.0
    for steps in (1, 8):  # another program takes its memory at once, or bit by bit
        level, now = risen[-1], 11.0
        for step in range(1, steps + 1):
            now += 1.0
            level = follow(level, 180.0 - 80.0 * step / steps, now, HOW)
        assert level.hold_s == 2 * HOW.hold_s, f"in {steps} steps"
        while level.value < 150.0:
            now += 1.0
            level = follow(level, 200.0, now, HOW)
            assert now < 11.0 + steps + 2 * HOW.hold_s + 2, f"in {steps} steps"


@pytest.mark.parametrize(
    "bad",
    [
        *[{"margin": 0.2}, {"growth": math.inf}, {"slack": 1.0}, {"slack": -0.1}, {"hold_s": 0.0}, {"hold_s": 9e9}],
        *[{"margin": math.nan}, {"margin": -0.1}, {"margin": 0.0, "growth": 0.0}, {"most_hold_s": math.inf}],
    ],
)
def test_hysteresis_that_flaps_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="flap"):
        Hysteresis(**bad)
    assert Hysteresis(hold_s=5.0, most_hold_s=5.0)  # no rise waits longer than another


def test_hysteresis_takes_numbers_alone() -> None:
    assert Hysteresis(hold_s=np.float32(3)).hold_s == 3
    with pytest.raises(ConfigError, match="slack must be a number, not None"):
        Hysteresis(slack=None)  # type: ignore[arg-type]
