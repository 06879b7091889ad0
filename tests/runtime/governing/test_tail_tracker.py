"""Thresholds follow the tail of what is seen, forget what is long ago, and hold for the share that they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from legodnn.plan import ModelPlan
from legodnn.runtime.governing.tail_tracker import TailTracker
from legodnn.tail import QUANTILES
from tests.runtime.planning.hand_made import small_or_great

TAILS = {1: {0.5: 1.0, 0.95: 1.5, 0.99: 2.0}}
PLAN = ModelPlan(name="m", options={"b0": "great"}, quantile=0.95)


def tracker() -> TailTracker:
    return TailTracker([small_or_great(tails=TAILS, slowdown=1.2)])


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.98])
def test_over_a_while_the_share_above_is_the_one_that_was_asked_for(quantile: float) -> None:
    """Whatever the times do: here they drift, jump, and come in bursts."""
    rng, tails, above, count = np.random.default_rng(3), tracker(), 0, 6000
    plan, scale = PLAN.model_copy(update={"quantile": quantile}), 1.0
    for i in range(count):
        scale = scale * 1.0005 if i % 2000 < 1000 else scale * 0.9995
        ratio = scale * rng.lognormal(0, 0.3) * (4 if i % 700 < 30 else 1)
        learned = tails.excess(plan)
        promised = 1.2 * {0.5: 1.0, 0.9: 1.5, 0.95: 1.5, 0.98: 2.0}[quantile]
        above += learned is not None and ratio > learned * promised
        tails.add(plan, ratio)
        if not i % 30:
            tails.judged()
    assert abs(above / count - (1 - quantile)) < 0.02


def test_nothing_is_said_before_enough_was_seen() -> None:
    tails = tracker()
    for _ in range(19):
        tails.add(PLAN, 9.0)
    assert tails.excess(PLAN) is None
    tails.add(PLAN, 9.0)
    assert tails.excess(PLAN) is not None
    assert tails.excess(PLAN.model_copy(update={"quantile": 0.99})) is None
    assert tails.excess(PLAN.model_copy(update={"threads": 2})) is None


def test_a_slow_down_is_learned_soon_and_forgotten_slowly() -> None:
    tails = tracker()
    for _ in range(300):
        tails.add(PLAN, 1.8)  # what is promised: 1.2 x 1.5
    tails.judged()
    before = tails.excess(PLAN)
    assert before == pytest.approx(1.0, rel=0.1)
    for _ in range(8):
        tails.add(PLAN, 3.6)
    assert tails.excess(PLAN) == pytest.approx(2.0, rel=0.1)
    for _ in range(50):
        tails.add(PLAN, 1.2)
    assert 1.3 < (tails.excess(PLAN) or 0) < 1.8


def test_of_a_fast_model_the_time_between_two_decisions_counts_and_not_its_last_moment() -> None:
    rng, tails, found = np.random.default_rng(5), tracker(), []
    for _ in range(20):
        times = rng.lognormal(0, 0.3, 3000)
        times[1500:1600] *= 3  # a moment of some thirty milliseconds, 3 % of the time
        for ratio in times:
            tails.add(PLAN, float(ratio))
        excess = tails.excess(PLAN)
        assert excess is not None
        found.append(excess * 1.2 * 1.5)
        tails.judged()
    true = float(np.quantile(np.concatenate([rng.lognormal(0, 0.3, 97_000), 3 * rng.lognormal(0, 0.3, 3000)]), 0.95))
    assert max(found) < 1.2 * true
    assert min(found) > true / 1.2


def seen(ratio: float) -> TailTracker:
    """Twenty inferences of what is promised at first, which raise it by exp(1.9) or lower it by exp(.1)."""
    tails = tracker()
    for _ in range(20):
        tails.add(PLAN, ratio)
    return tails


def test_it_begins_with_what_the_profile_promises() -> None:
    assert seen(0.01).excess(PLAN) == pytest.approx(math.exp(-0.1))
    assert seen(0.0).excess(PLAN) == seen(0.01).excess(PLAN)  # a coarse clock may say that it took no time
    assert seen(99.0).excess(PLAN) == pytest.approx(math.exp(1.9))


def test_a_model_whose_profile_promises_nothing_exceeds_nothing() -> None:
    tails = TailTracker([small_or_great(tails=None)])
    for _ in range(20):
        tails.add(PLAN, 9.0)
    assert tails.excess(PLAN) is None
    assert tails.excess(PLAN.model_copy(update={"quantile": 0.5})) is not None


def test_what_was_learned_fades_to_the_promise_while_other_threads_run_and_no_further() -> None:
    slow, fast = seen(99.0), seen(0.01)
    for count, left in ((100, 1.4), (270, 0.05), (400, 0.0)):
        for _ in range(count):
            for tails in (slow, fast):
                tails.judged()
                tails.add(PLAN.model_copy(update={"threads": 2}), 99.0)
        assert slow.excess(PLAN) == pytest.approx(math.exp(left))
        assert fast.excess(PLAN) == pytest.approx(math.exp(-0.1))


def test_a_model_that_was_suspended_is_judged_anew_when_it_runs_again() -> None:
    for ratio, again in ((99.0, 0.0), (0.01, -0.1)):
        tails = seen(ratio)
        tails.rest("m")
        assert tails.excess(PLAN) is None
        tails.add(PLAN, 0.01)
        assert tails.excess(PLAN) == pytest.approx(math.exp(again - 0.1 * 0.05))


def test_what_was_learned_is_a_tail_for_the_profile() -> None:
    rng, tails = np.random.default_rng(4), tracker()
    assert tails.tails("m") == ()
    tails.add(PLAN, 1.0)
    assert tails.tails("m") == (), "of one inference nothing is known"
    (few,) = seen(1.0).tails("m")
    assert few.quantiles == (0.5, 0.75, 0.9, 0.95)
    times = rng.lognormal(0, 0.4, 5000)
    for ratio in times:
        tails.add(PLAN, float(ratio))
    (found,) = tails.tails("m")
    assert (found.threads, found.condition, found.inferences) == (1, "use", 5001)
    assert found.quantiles == QUANTILES
    for quantile in (0.5, 0.9, 0.95):
        at = found.stretch[found.quantiles.index(quantile)]
        assert at == pytest.approx(float(np.quantile(times, quantile)), rel=0.2)
