"""Which tail a limit is held against: that of the conditions that a model meets in its workload."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from legodnn.errors import InfeasibleError, ProfileError, WorkloadError
from legodnn.profile import Profile
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow, Streaming
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.tails import Companion, stretch, tails_of
from legodnn.store import Store
from legodnn.tail import Condition, Tail
from legodnn.workload import Budget
from tests.runtime.planning.hand_made import small_or_great


def tail(condition: Condition, *at: float, other: str | None = None, threads: int = 1) -> Tail:
    """A tail at 0.5, 0.95 and 0.99."""
    return Tail(
        threads=threads, condition=condition, other=other, inferences=200, quantiles=(0.5, 0.95, 0.99), stretch=at
    )


ALONE, AFTER = tail("alone", 1.0, 1.2, 1.5), tail("after", 1.1, 1.4, 1.6)


def known(profile: Profile, *tails: Tail) -> Profile:
    return profile.model_copy(update={"tail": tails})


def test_a_model_alone_has_the_tail_that_it_has_alone(profile: Profile) -> None:
    assert tails_of(known(profile, ALONE, AFTER)) == {
        1: {0.5: 1.0, 0.75: 1.2, 0.9: 1.2, 0.95: 1.2, 0.98: 1.5, 0.99: 1.5}
    }


def test_each_thread_count_has_its_own_tail_and_without_one_alone_nothing_is_promised(profile: Profile) -> None:
    slow = tail("alone", 1.0, 2.2, 2.5, threads=2)
    for tails in ((ALONE, slow), (slow, ALONE)):
        found = tails_of(known(profile, *tails))
        assert found is not None
        assert [found[n][0.95] for n in (1, 2)] == [1.2, 2.2]
    for nothing in ((), (AFTER,)):
        assert tails_of(known(profile, *nothing)) is None  # not {}, which is for inferences that take equally long


def test_one_of_several_has_that_of_inferences_after_another_models(profile: Profile) -> None:
    both = known(profile, ALONE, AFTER)
    found = tails_of(both, companions=[Companion("x")])
    assert found is not None
    assert found[1][0.95] == 1.4
    measured = known(profile, ALONE, AFTER, tail("after", 1.0, 1.3, 1.4, other="x"))
    found = tails_of(measured, companions=[Companion("x")])
    assert found is not None
    assert (found[1][0.95], found[1][0.99]) == (1.3, 1.5)  # but never less than alone


def test_a_table_of_a_store_by_itself_has_the_tail_of_a_model_that_runs_after_others(
    tiny_store: Store, profile: Profile
) -> None:
    tails = ModelTable.from_store(tiny_store, known(profile, ALONE, AFTER)).tails
    assert tails is not None
    assert tails[1][0.95] == 1.4


def test_a_table_of_a_store_with_a_rate_has_the_tail_after_pauses_too(tiny_store: Store, profile: Profile) -> None:
    paused = known(profile, ALONE, AFTER, tail("periodic", 1.3, 1.6, 1.6))
    tails = ModelTable.from_store(tiny_store, paused, rate_hz=10.0).tails
    assert tails is not None
    assert tails[1][0.95] == pytest.approx(1.6 + 0.2)


def test_one_that_runs_at_a_rate_has_the_tail_after_pauses(profile: Profile) -> None:
    paused = known(profile, ALONE, AFTER, tail("periodic", 1.3, 1.6, 1.6))
    found = tails_of(paused, companions=[Companion("x")], periodic=True)
    assert found is not None
    assert found[1][0.5] == pytest.approx(1.3 + 0.1)
    assert found[1][0.95] == pytest.approx(1.6 + 0.2)
    assert found[1][0.99] == pytest.approx(1.6 + 0.1)
    assert tails_of(paused, companions=[Companion("x")]) == tails_of(
        known(profile, ALONE, AFTER), 1.0, [Companion("x")]
    )
    # Of fewer inferences than asked for nothing is promised, and of none what is known alone.
    few = Tail(threads=1, condition="periodic", inferences=20, quantiles=(0.5, 0.95), stretch=(1.1, 1.4))
    assert tails_of(known(profile, ALONE, few), periodic=True) == {1: {0.5: 1.1, 0.75: 1.4, 0.9: 1.4, 0.95: 1.4}}
    assert tails_of(known(profile, ALONE), periodic=True) == tails_of(known(profile, ALONE))


def test_what_several_others_leave_of_the_caches_is_summed(profile: Profile) -> None:
    measured = known(
        profile, ALONE, AFTER, tail("after", 1.0, 1.3, 1.4, other="x"), tail("after", 1.3, 1.5, 1.7, other="y")
    )
    found = tails_of(measured, companions=[Companion("x"), Companion("y"), Companion("z")])
    assert found is not None
    assert found[1][0.95] == pytest.approx(1.2 + 0.1 + 0.3 + 0.2)
    assert found[1][0.99] == pytest.approx(1.5 + 0.0 + 0.2 + 0.1)


def test_what_was_measured_in_company_of_fewer_inferences_is_not_promised_of_more(profile: Profile) -> None:
    """A tail alone that reaches further would be too short."""
    short = Tail(threads=1, condition="after", other="x", inferences=20, quantiles=(0.5, 0.95), stretch=(1.1, 1.4))
    found = tails_of(known(profile, ALONE, short), companions=[Companion("x")])
    assert found == {1: {0.5: 1.1, 0.75: 1.4, 0.9: 1.4, 0.95: 1.4}}
    beside = short.model_copy(update={"condition": "beside"})
    found = tails_of(known(profile, ALONE, AFTER, beside), companions=[Companion("x", meets=0.03)])
    assert found is not None
    assert sorted(found[1]) == [0.5, 0.75, 0.9, 0.95]


def test_who_runs_beside_more_inferences_than_may_be_late_counts_in_full(profile: Profile) -> None:
    beside = tail("beside", 1.5, 1.8, 3.0, other="x")
    found = tails_of(known(profile, ALONE, AFTER, beside), 1.1, [Companion("x", meets=0.03)])
    assert found is not None
    assert found[1][0.95] == pytest.approx(1.4 / 1.1)
    assert found[1][0.99] == pytest.approx(1.6 * 3.0 / 1.5 / 1.1)
    # Where only medians were measured beside it, those.
    found = tails_of(known(profile, ALONE), 1.0, [Companion("x", 0.5, 1.25), Companion("y", 0.5, 1.5)])
    assert found is not None
    assert found[1][0.95] == pytest.approx(1.2 * 1.75)


def test_nothing_makes_a_model_quicker_than_it_is_alone(profile: Profile) -> None:
    """Of noise, what was measured after pauses or beside another model may be shorter."""
    quick = known(profile, ALONE, tail("periodic", 0.9, 1.1, 1.4), tail("beside", 0.9, 1.1, 1.4, other="x"))
    companions = [Companion("x", meets=1.0), Companion("y", meets=1.0, slowdown=1.5)]
    assert tails_of(quick, periodic=True) == tails_of(known(profile, ALONE))
    assert tails_of(quick, companions=companions) == tails_of(known(profile, ALONE), companions=companions)


def test_what_was_learned_in_use_replaces_the_rest(profile: Profile) -> None:
    used = known(profile, ALONE, AFTER, tail("use", 1.3, 2.0, 2.5))
    for companions in ([], [Companion("x", 1.0, 9.0)]):
        found = tails_of(used, 1.25, companions)
        assert found is not None
        assert found[1][0.95] == 2.0 / 1.25


def test_beyond_what_was_learned_in_use_counts_what_was_measured_but_no_less(profile: Profile) -> None:
    for learned, expected in ((1.1, 1.5), (2.0, 2.0)):
        few = Tail(threads=1, condition="use", inferences=3, quantiles=(0.5,), stretch=(learned,))
        found = tails_of(known(profile, ALONE, few))
        assert found is not None
        assert (found[1][0.5], found[1][0.99]) == (learned, expected)


def test_a_quantile_between_two_has_the_greater_ones_and_beyond_the_last_none() -> None:
    tails = {1: {0.5: 1.0, 0.9: 1.2}, 2: {0.9: 3.0}}
    assert [stretch(tails, 1, q) for q in (0.5, 0.6, 0.9, 0.91)] == [1.0, 1.2, 1.2, None]
    assert stretch(tails, 2, 0.5) == 3.0
    assert stretch(None, 1, 0.95) is None
    assert stretch(None, 1, 0.5) == 1.0  # a profile's latencies are medians
    assert stretch({}, 7, 0.999) == 1.0


def table(tails: dict[int, dict[float, float]] | None = None, **more: Any) -> ModelTable:
    """One block: `great` takes 2 ms, `small` 1 ms."""
    return small_or_great(tails=tails, **more)


def test_a_limit_is_for_the_share_that_was_asked_for() -> None:
    scheduler = Scheduler([table({1: {0.5: 1.0, 0.95: 1.5, 0.99: 4.0}})])

    def chosen(limit: float, quantile: float | None = None) -> str:
        return scheduler.plan(Budget(latency_ms=limit, quantile=quantile))["m"].options["b0"]

    assert chosen(2.0, 0.5) == "great"
    assert chosen(2.0) == chosen(2.99) == "small"
    assert chosen(3.0) == chosen(3.0, 0.95) == "great"
    assert chosen(7.9, 0.99) == "small"
    plan = scheduler.plan(Budget(latency_ms=2.0))
    assert (plan["m"].latency_ms, plan["m"].quantile, plan["m"].quantile_ms) == (1.0, 0.95, 1.5)
    assert plan["m"].slack_ms == 0.5
    assert "1 ms (p95 1.5 ms)" in str(plan)
    with pytest.raises(InfeasibleError, match=r"no plan holds p99 latency of m at most 1\.5 ms") as caught:
        chosen(1.5, 0.99)
    assert "p99 latency of m 4 ms" in str(caught.value)


def test_the_stricter_of_the_models_quantile_and_the_budgets_holds() -> None:
    tails = {1: {0.5: 1.0, 0.95: 1.5, 0.99: 4.0}}
    for own, asked, holds in (
        (None, None, 0.95),
        (0.5, None, 0.5),
        (0.99, 0.5, 0.99),
        (0.5, 0.99, 0.99),
        (None, {"m": 0.5}, 0.5),
        (None, {}, 0.95),
    ):
        plan = Scheduler([table(tails, quantile=own)]).plan(Budget(latency_ms=99.0, quantile=asked))
        assert plan["m"].quantile == holds
    with pytest.raises(WorkloadError, match="the budget has a quantile for 'x'"):
        Scheduler([table(tails)]).plan(Budget(quantile={"x": 0.9}))


def test_what_is_not_known_is_not_promised() -> None:
    old = Scheduler([table(None)])
    assert old.plan(Budget(memory_bytes=1000))["m"].quantile_ms is None  # no limit, no promise
    assert old.plan(Budget(latency_ms=2.0, quantile=0.5))["m"].options["b0"] == "great"
    with pytest.raises(ProfileError, match=r"95 % of inferences must keep .* knows medians alone .* quantile 0.5; "):
        old.plan(Budget(latency_ms=2.0))
    with pytest.raises(ProfileError, match=r"99 % .* knows quantiles up to 0.9 \(1 thread\)"):
        Scheduler([table({1: {0.9: 1.5}})]).plan(Budget(latency_ms=2.0, quantile=0.99))


def test_a_tail_that_grew_tightens_the_limit_and_nothing_else() -> None:
    scheduler = Scheduler([table({1: {0.95: 1.5}}, rate_hz=10.0)])
    budget = Budget(latency_ms=4.0)
    assert scheduler.plan(budget)["m"].options["b0"] == "great"
    grown = scheduler.plan(budget, tail={"m": 2.0})["m"]
    assert (grown.options["b0"], grown.latency_ms, grown.quantile_ms) == ("small", 1.0, 3.0)
    assert grown.cores == scheduler.plan(Budget(latency_ms=1.6))["m"].cores
    for wrong in ({"x": 1.0}, {"m": 0.0}, {"m": "2"}):
        with pytest.raises(WorkloadError, match="tail"):
            scheduler.plan(budget, tail=wrong)  # type: ignore[arg-type]


def in_one_or_four(**more: Any) -> ModelTable:
    """4 ms with one thread, 1 ms with four, of which a tail is known for fewer inferences."""
    tails = {1: {0.5: 1.0, 0.95: 1.1, 0.99: 1.25}, 4: {0.5: 1.0, 0.95: 1.1}}
    blocks = (BlockRows("b", (OptionRow("o", 10, {1: 4.0, 4: 1.0}),)),)
    return ModelTable("m", blocks, tails=tails, rate_hz=200.0, **more)


def test_a_tail_that_is_not_known_with_one_thread_count_leaves_the_others() -> None:
    scheduler = Scheduler([in_one_or_four()])
    found = scheduler.plan(Budget(latency_ms=5.0, quantile=0.99))["m"]
    assert (found.threads, found.quantile_ms) == (1, 5.0)
    assert scheduler.plan(Budget(latency_ms=1.1))["m"].threads == 4
    with pytest.raises(InfeasibleError, match=r"would do: p99 latency of m 5 ms"):
        scheduler.plan(Budget(latency_ms=4.9, quantile=0.99))
    running = scheduler.plan(Budget(latency_ms=1.1))
    assert scheduler.plan(Budget(latency_ms=5.0, quantile=0.99), running)["m"].threads == 1
    with pytest.raises(ProfileError, match=r"quantiles up to 0\.99 \(1 thread\)"):
        scheduler.plan(Budget(latency_ms=5.0, quantile=0.999))
    with pytest.raises(ProfileError, match=r"quantiles up to 0\.95 \(4 threads\)"):
        Scheduler([in_one_or_four(threads=4)]).plan(Budget(latency_ms=5.0, quantile=0.99))


def test_no_limit_is_promised_that_only_an_unknown_tail_might_hold() -> None:
    quick = replace(in_one_or_four(), blocks=(BlockRows("b", (OptionRow("o", 10, {1: 4.0, 4: 0.5}),)),))
    with pytest.raises(InfeasibleError) as caught:
        Scheduler([quick]).plan(Budget(latency_ms=9.0, quantile=0.99, cores=0.5))
    assert {x.title: (x.needed, x.clashes) for x in caught.value.report.limits} == {
        "cores": (0.8, True),
        "p99 latency of m": (None, True),
    }


def test_the_remedy_for_an_unknown_tail_is_one_that_helps() -> None:
    """The most that is known with any number of threads; and measuring again, where that may tell more."""
    block = BlockRows("b", (OptionRow("o", 1, {1: 1.0, 2: 1.0}),))
    two = Scheduler([ModelTable("m", (block,), tails={1: {0.5: 1.0}, 2: {0.5: 1.0, 0.95: 1.5}})])
    told = r"up to 0.95 \(2 threads\); plan for less: quantile 0.95; `legodnn profile` knows"
    with pytest.raises(ProfileError, match=told):
        two.plan(Budget(latency_ms=9.0, quantile=0.99))
    assert two.plan(Budget(latency_ms=9.0, quantile=0.95))["m"].threads == 2
    with pytest.raises(ProfileError, match=r"\(1 thread\); plan for less: quantile 0.999$"):
        Scheduler([table({1: {0.999: 2.0}})]).plan(Budget(latency_ms=9.0, quantile=0.9995))


def test_the_remedy_for_threads_that_were_not_measured_keeps_those_that_were() -> None:
    """A new profile replaces the old one, with all its numbers of threads."""
    with pytest.raises(WorkloadError, match=r"with 2; measure again with `legodnn profile --threads 2,4`$"):
        ModelTable("m", (BlockRows("b", (OptionRow("o", 1, {2: 1.0}),)),), threads=4)
    streaming, row = Streaming(10, (1,)), OptionRow("o", 1, {2: 1.0}, streamed_bytes=1)
    with pytest.raises(WorkloadError, match=r"measure it with `legodnn profile --streaming --threads 2`$"):
        ModelTable("m", (BlockRows("b", (row,)),), streaming=streaming)
