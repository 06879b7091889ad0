"""A workload's models are expected to be slowed by the share of time that the others run.

Covers also: runtime.planning.model_table, runtime.planning.option_rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from legodnn import Budget, Runtime
from legodnn.errors import InfeasibleError, ProfileError, WorkloadError
from legodnn.plan import ModelPlan
from legodnn.profile import ChainOverhead, CompactModel, Contention, Profile, default_path
from legodnn.runtime.planning.as_profiled import most_of, profiled_ms
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow, Streaming
from legodnn.runtime.planning.option_rows import measured_segments, streaming_levels
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import larger, workload_tables
from legodnn.store import Store
from legodnn.tail import Tail
from legodnn.workload import Workload, WorkloadModel


def measured(store: Store, ms_of_each_segment: float, *others: tuple[Store, float]) -> Profile:
    """A store's profile in which every option takes equally long, and others make it so many times slower."""
    profile = Profile.load(default_path(store.path))
    options = tuple(
        o.model_copy(
            update={"latency": tuple(e.model_copy(update={"median_ms": ms_of_each_segment}) for e in o.latency)}
        )
        for o in profile.options
    )
    contention = tuple(Contention(store_id=s.id, model=s.name, slowdown=factor) for s, factor in others)
    return profile.model_copy(update={"options": options, "contention": contention, "chain": ()})


def workload(*models: tuple[Store, float | None]) -> Workload:
    return Workload(
        models=tuple(
            WorkloadModel(name=f"m{i}", store=str(store.path), rate_hz=rate) for i, (store, rate) in enumerate(models)
        )
    )


@pytest.fixture
def pair(tiny_store: Store, tiny_store2: Store) -> list[tuple[Store, Profile]]:
    """The first takes 6 ms (three segments) and half as long again beside the second; that 3 ms, and twice as long."""
    return [
        (tiny_store, measured(tiny_store, 2.0, (tiny_store2, 1.5))),
        (tiny_store2, measured(tiny_store2, 1.0, (tiny_store, 2.0))),
    ]


def slowdowns(pairs: list[tuple[Store, Profile]], *rates: float | None) -> list[float]:
    asked = workload(*((store, rate) for (store, _), rate in zip(pairs, rates, strict=True)))
    return [table.slowdown for table in workload_tables(asked, pairs)]


def test_the_share_of_the_difference_is_rate_times_latency(pair: list[tuple[Store, Profile]]) -> None:
    # The first runs 50 x 6 ms = 0.3 of the time, the second 100 x 3 ms = 0.3.
    assert slowdowns(pair, 50, 100) == pytest.approx([1 + 0.5 * 0.3, 1 + 1.0 * 0.3])
    assert slowdowns(pair, 25, 0) == pytest.approx([1.0, 1 + 1.0 * 0.15])


def test_the_share_is_that_of_the_first_thread_count(pair: list[tuple[Store, Profile]]) -> None:
    def slower(profile: Profile) -> Profile:
        options = (
            o.model_copy(update={"latency": (o.latency[0], o.latency[1].model_copy(update={"median_ms": 900.0}))})
            for o in profile.options
        )
        return profile.model_copy(update={"options": tuple(options)})

    assert slowdowns([(s, slower(p)) for s, p in pair], 50, 100) == slowdowns(pair, 50, 100)


def test_nobody_runs_more_than_all_the_time(pair: list[tuple[Store, Profile]]) -> None:
    assert slowdowns(pair, 1000, 10_000) == pytest.approx([1.5, 2.0])


def test_nothing_is_assumed_of_models_without_a_rate(pair: list[tuple[Store, Profile]]) -> None:
    assert slowdowns(pair, None, None) == [1.0, 1.0]
    assert slowdowns(pair, None, 100) == pytest.approx([1.15, 1.0])


def test_nothing_is_assumed_where_nothing_was_measured(tiny_store: Store, tiny_store2: Store) -> None:
    pairs = [(s, measured(s, 1.0)) for s in (tiny_store, tiny_store2)]
    assert slowdowns(pairs, 100, 100) == [1.0, 1.0]


def test_what_company_adds_counts_once_for_each_of_several_models(pair: list[tuple[Store, Profile]]) -> None:
    more = [50_000, 3_000]
    pairs = [(s, p.model_copy(update={"company_bytes": n})) for (s, p), n in zip(pair, more, strict=True)]
    alone = [workload_tables(workload((store, None)), [(store, profile)])[0] for store, profile in pairs]
    both = workload_tables(workload(*((store, None) for store, _ in pairs)), pairs)
    for budget in (Budget(), Budget(memory_bytes=sum(map(least_bytes, both)))):
        plan = Scheduler(both).plan(budget)
        for table, one, added in zip(both, alone, more, strict=True):
            options = plan[table.name].options
            assert plan[table.name].memory_bytes == bytes_of(one, options) + added


def test_an_isolated_model_takes_what_its_inputs_and_outputs_pass_through_and_has_no_company(
    pair: list[tuple[Store, Profile]],
) -> None:
    pairs = [(s, p.model_copy(update={"company_bytes": 50_000})) for s, p in pair]
    asked = workload(*((store, None) for store, _ in pairs))
    alone = [workload_tables(workload((store, None)), [(store, profile)])[0] for store, profile in pairs]
    plan = Scheduler(workload_tables(asked, pairs, isolated=True)).plan(Budget())
    for (store, _), one, name in zip(pairs, alone, ("m0", "m1"), strict=True):
        m = store.manifest
        passed = sum(4 * math.prod(spec.shape) for spec in (m.specs[n] for n in (m.inputs[0].name, *m.outputs)))
        assert plan[name].memory_bytes == bytes_of(one, plan[name].options) + passed


def test_a_compact_model_takes_what_was_measured_of_compact_ones_in_company_and_as_much_as_others_in_a_process(
    pair: list[tuple[Store, Profile]],
) -> None:
    pairs = [
        (s, p.model_copy(update={"compact": CompactModel(options=p.options, company_bytes=2_000), "company_bytes": 9}))
        for s, p in pair
    ]

    def more(tables: list[ModelTable], alone: ModelTable) -> tuple[int, int]:
        (some, *_), (one, *_) = tables[0].blocks, alone.blocks
        new, old = some.options[0], one.options[0]
        return new.memory_bytes - old.memory_bytes, new.compact_bytes - old.compact_bytes

    asked, first = workload(*((store, None) for store, _ in pairs)), workload((pairs[0][0], None))
    (alone,) = workload_tables(first, pairs[:1])
    ends = sum(spec.bytes for spec in pairs[0][0].manifest.ends)
    assert more(workload_tables(asked, pairs), alone) == (9, 2_000)
    assert more(workload_tables(asked, pairs, isolated=True), alone) == (ends, ends)
    assert more(workload_tables(first, pairs[:1], isolated=True), alone) == (ends, ends)


def bytes_of(table: ModelTable, options: Mapping[str, str]) -> int:
    """What a table says that a composition takes, given the options of its blocks."""
    blocks = sum(next(o for o in b.options if o.name == options[b.name]).memory_bytes for b in table.blocks)
    return blocks + least_bytes(replace(table, blocks=()))


def least_bytes(table: ModelTable) -> int:
    return sum(min(o.memory_bytes for o in segment.options) for segment in (*table.blocks, *table.fixed))


def test_company_adds_to_what_a_streamed_model_takes_as_well() -> None:
    option = OptionRow("o", 1000, {1: 1.0}, streamed_bytes=400, streamed_ms={1: 2.0})
    table = ModelTable("m", (BlockRows("b", (option,)),), streaming=Streaming(500, (400,)))
    plans = [Scheduler([larger(table, 30, 0)]).plan(Budget(memory_bytes=limit))["m"] for limit in (1030, 1029)]
    assert [(plan.streamed, plan.memory_bytes) for plan in plans] == [(False, 1030), (True, 930)]


def test_a_streamed_model_has_no_chain() -> None:
    """Its segments run one by one, and each was measured so."""
    option = OptionRow("o", 1000, {1: 1.0}, streamed_bytes=400, streamed_ms={1: 2.0})
    table = ModelTable("m", (BlockRows("b", (option,)),), streaming=Streaming(500, (400,)), overhead_ms={1: 0.5})
    plans = [Scheduler([table]).plan(Budget(memory_bytes=limit))["m"] for limit in (1000, 999)]
    assert [(plan.streamed, plan.latency_ms) for plan in plans] == [(False, 1.5), (True, 2.0)]
    assert profiled_ms(table, plans[1]) == 2.0


def test_company_adds_to_a_model_without_a_choice_as_well() -> None:
    table = ModelTable("m", (), (BlockRows("all", (OptionRow("o", 1000, {1: 1.0}),)),))
    plan = Scheduler([larger(table, 30, 0)]).plan(Budget())["m"]
    assert (plan.memory_bytes, plan.options) == (1030, {})


def test_company_adds_to_a_compact_model_what_it_adds_to_compact_models() -> None:
    option = OptionRow("o", 1000, {1: 1.0}, compact_bytes=600, compact_ms={1: 2.0})
    table = ModelTable("m", (BlockRows("b", (option,)),), compact_overhead_ms={1: 0.5})
    plans = [Scheduler([larger(table, 30, 20)]).plan(Budget(memory_bytes=limit))["m"] for limit in (1030, 1029)]
    assert [(plan.compact, plan.memory_bytes, plan.latency_ms) for plan in plans] == [
        (False, 1030, 1),
        (True, 620, 2.5),
    ]


def test_what_several_add_is_summed(pair: list[tuple[Store, Profile]]) -> None:
    # A store twice: nothing was measured of it beside itself, but the second counts both.
    assert slowdowns([*pair, pair[0]], 50, 100, 25) == pytest.approx([1.15, 1 + 0.3 + 0.15, 1.15])


def test_who_begins_before_an_inference_ends_meets_it_too(pair: list[tuple[Store, Profile]]) -> None:
    """Of 6 ms, one of 3 ms that runs r times a second meets the share r x 9 ms."""
    (store, profile), other = pair
    alone = Tail(threads=1, condition="alone", inferences=99, quantiles=(0.98,), stretch=(1.0,))
    tailed = profile.model_copy(update={"tail": (alone,)})
    for rate, expected in ((5, {0.95: 1.0, 0.98: 1.5}), (6, {0.95: 1.5, 0.98: 1.5})):
        table = workload_tables(workload((store, None), (other[0], rate)), [(store, tailed), other])[0]
        assert table.tails is not None
        found = {q: table.slowdown * table.tails[1][q] for q in expected}
        assert found == pytest.approx(expected)


def test_one_model_alone_is_as_it_was_profiled(pair: list[tuple[Store, Profile]]) -> None:
    assert slowdowns(pair[:1], 100) == [1.0]


def test_the_rest_of_a_table_is_the_models_own(pair: list[tuple[Store, Profile]], tiny_store: Store) -> None:
    first, second = workload_tables(workload((pair[0][0], 50), (pair[1][0], 100)), pair)
    assert [t.name for t in (first, second)] == ["m0", "m1"]
    assert first.rate_hz == 50
    assert [b.name for b in first.blocks] == [b.name for b in tiny_store.manifest.blocks]


@pytest.mark.parametrize(("samples", "error"), [(0, 0.25), (3, 0.5)])
def test_the_error_of_plans_is_told_where_it_was_measured(
    tiny_store: Store, profile: Profile, samples: int, error: float
) -> None:
    accuracy = tiny_store.manifest.accuracy.model_copy(
        update={"error": 0.25, "plan_error": 0.5, "plan_samples": samples}
    )
    manifest = tiny_store.manifest.model_copy(update={"accuracy": accuracy})
    store: Any = SimpleNamespace(manifest=manifest, id=tiny_store.id, path=tiny_store.path, name="tiny")
    assert ModelTable.from_store(store, profile).accuracy_error == error


def test_a_profile_of_another_store_is_refused(pair: list[tuple[Store, Profile]]) -> None:
    swapped = [(pair[0][0], pair[1][1]), (pair[1][0], pair[0][1])]
    with pytest.raises(ProfileError):
        slowdowns(swapped, 1, 1)


def test_a_runtime_expects_it(pair: list[tuple[Store, Profile]], tmp_path: Path) -> None:
    models = []
    for i, ((store, profile), rate) in enumerate(zip(pair, (50, 100), strict=True)):
        path = tmp_path / f"{i}.json"
        profile.save(path)
        models.append(WorkloadModel(name=f"m{i}", store=str(store.path), profile=str(path), rate_hz=rate, threads=1))
    with Runtime(Workload(models=tuple(models))) as runtime:
        assert runtime.plan["m0"].latency_ms == pytest.approx(6 * 1.15)
        assert runtime.plan["m1"].latency_ms == pytest.approx(3 * 1.3)
        runtime.replan(runtime.budget, {"m0": 1.0})
        assert runtime.plan["m0"].latency_ms == pytest.approx(6)
        assert runtime.plan["m1"].latency_ms == pytest.approx(3 * 1.3)


def test_what_inferences_are_held_against_has_the_chain_but_no_slow_down(pair: list[tuple[Store, Profile]]) -> None:
    chain = (ChainOverhead(threads=1, overhead_ms=0.25), ChainOverhead(threads=2, overhead_ms=0.5))
    pairs = [(store, profile.model_copy(update={"chain": chain})) for store, profile in pair]
    table = workload_tables(workload((pair[0][0], 50), (pair[1][0], 100)), pairs)[0]
    assert table.slowdown > 1
    for threads, expected in ((1, 6.25), (2, 6.5)):
        plan = ModelPlan(name="m0", threads=threads, options={b.name: "s0.5" for b in table.blocks})
        assert profiled_ms(table, plan) == pytest.approx(expected)


def test_the_most_that_a_model_takes_is_of_its_largest_options_and_all_its_processors() -> None:
    def option(scale: int) -> OptionRow:
        of = {"compact_bytes": 6 * scale, "compact_ms": {1: 9.0 * scale, 2: 4.0 * scale}}
        return OptionRow(f"o{scale}", 10 * scale, {1: 4.0 * scale, 2: 3.0 * scale}, **of)  # type: ignore[arg-type]

    block, head = BlockRows("b", (option(2), option(1))), BlockRows("head", (option(3),))
    table = ModelTable("m", (block,), (head,), overhead_ms={2: 0.5}, slowdown=1.5)
    assert most_of(table) == (50, 1.5 * 2 * 15.5)
    compact = replace(table, compact_overhead_ms={1: 1.0})
    assert most_of(compact) == (50, 1.5 * 46.0)


def test_a_model_is_streamed_with_no_thread_count_that_was_not_measured_so() -> None:
    option = OptionRow("o", 1000, {1: 4.0, 2: 2.0}, streamed_bytes=400, streamed_ms={1: 5.0})
    table = ModelTable("m", (BlockRows("b", (option,)),), streaming=Streaming(500, (400,)))
    assert (table.thread_counts, table.streamed_thread_counts) == ((1, 2), (1,))
    found = Scheduler([table]).plan(Budget(memory_bytes=900))["m"]
    assert (found.streamed, found.threads, found.latency_ms) == (True, 1, 5.0)
    with pytest.raises(InfeasibleError):
        Scheduler([table]).plan(Budget(memory_bytes=900, latency_ms=4.0))
    assert Scheduler([table]).plan(Budget(latency_ms=2.0))["m"].threads == 2
    with pytest.raises(WorkloadError, match="m/b/o has no streamed latency"):
        replace(table, threads=2)
    both = replace(option, streamed_ms={1: 5.0, 2: 3.0})
    assert replace(table, fixed=(BlockRows("head", (both,)),)).streamed_thread_counts == (1,)


def test_interactions_are_those_of_the_options_that_were_measured(tiny_store: Store, profile: Profile) -> None:
    first, second, *rest = tiny_store.manifest.segments
    values = tuple(tuple(10.0 * j + i for i in range(len(second.options))) for j in range(len(first.options)))
    segments = (first, second.model_copy(update={"interaction": values}), *rest)
    store: Any = SimpleNamespace(manifest=tiny_store.manifest.model_copy(update={"segments": segments}))
    skipped = {(first.name, first.options[1].name), (second.name, second.options[2].name)}
    kept = tuple(o for o in profile.options if (o.segment, o.option) not in skipped)
    blocks, _ = measured_segments(store, profile.model_copy(update={"options": kept}), streaming=False)
    assert [len(b.options) for b in blocks] == [2, 2]
    assert blocks[1].interaction == ((0.0, 1.0), (20.0, 21.0))


def test_no_level_of_streaming_is_less_than_every_composition_needs() -> None:
    def rows(name: str, *sizes: int) -> BlockRows:
        return BlockRows(name, tuple(OptionRow(f"o{size}", size, {1: 1.0}, streamed_bytes=size) for size in sizes))

    profile: Any = SimpleNamespace(streamed=SimpleNamespace(floor_bytes=7))
    assert streaming_levels(profile, [rows("a", 100, 10), rows("b", 50)]) == Streaming(7, (50, 100))


def test_a_thread_count_is_planned_if_all_options_were_measured_with_it() -> None:
    both, one = OptionRow("o", 1, {1: 1.0, 2: 1.0}), OptionRow("o", 1, {1: 1.0})
    assert ModelTable("m", (BlockRows("a", (both,)), BlockRows("b", (one,)))).thread_counts == (1,)
    assert ModelTable("m", (BlockRows("a", (both,)),), threads=2).thread_counts == (2,)
