"""Options share a workspace: a plan takes what its options add, and the most that one of them needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.plan import ModelPlan, Plan
from legodnn.profile import Profile
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow, Streaming
from legodnn.runtime.planning.option_rows import workspace_levels
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.solver.modes import is_compact, is_streamed, level_of, threads_of
from legodnn.store import Store
from legodnn.workload import Budget, SwitchCharge
from tests.runtime.planning.hand_made import LINEAR, model, option
from tests.runtime.planning.random_cases import Way, random_table


def two_blocks() -> ModelTable:
    """Pruning one block alone leaves the workspace that the other one needs."""
    blocks = [
        [
            option("whole", 100, 1.0, workspace_bytes=1000, load_ms=1.0),
            option("pruned", 90, 1.0, loss, workspace_bytes=200, load_ms=1.0),
        ]
        for loss in (1.0, 1.5)
    ]
    return model("m", *blocks)


def test_what_is_saved_by_pruning_one_block_is_not_the_workspace_of_another() -> None:
    scheduler = Scheduler([two_blocks()])
    plans = {limit: scheduler.plan(Budget(memory_bytes=limit)) for limit in (1200, 1199, 1189, 380)}
    assert {limit: (plan.memory_bytes, *plan["m"].options.values()) for limit, plan in plans.items()} == {
        1200: (1200, "whole", "whole"),
        1199: (1190, "pruned", "whole"),
        1189: (380, "pruned", "pruned"),
        380: (380, "pruned", "pruned"),
    }


def test_options_that_nobody_would_choose_may_be_the_only_ones_that_need_the_largest_workspace() -> None:
    """Limits of latency are kept, and what they would have to be is told, where no plan has that workspace."""
    good = [OptionRow(f"g{i}", 100 - i, {1: 2.0 - i / 16, 2: 1.0 - i / 16}, i / 10, bytes=1) for i in range(8)]
    bad = [replace(o, name=f"b{i}", memory_bytes=900, latency_ms={1: 9.0, 2: 9.0}) for i, o in enumerate(good)]
    rows = [replace(o, workspace_bytes=1000) for o in good] + [replace(o, workspace_bytes=9000) for o in bad]
    blocks = tuple(BlockRows(f"b{i}", tuple(rows)) for i in range(2))
    table = ModelTable("m", blocks, link=LINEAR, tails={1: {0.95: 1.25}, 2: {0.95: 1.5}})
    assert table.workspaces == (1000, 9000)
    plan = Scheduler([table]).plan(Budget(latency_ms=3.0, quantile=0.95))
    assert (plan["m"].options, plan["m"].threads, plan.memory_bytes) == ({"b0": "g0", "b1": "g0"}, 2, 1200)
    with pytest.raises(InfeasibleError) as caught:
        Scheduler([table]).plan(Budget(latency_ms=1.6, quantile=0.95))
    assert [limit.needed for limit in caught.value.report.limits] == [1.6875]  # 1.5 times twice .5625 ms


def test_what_runs_is_not_loaded_again_where_the_workspace_changes() -> None:
    scheduler = Scheduler([two_blocks()], SwitchCharge(per_ms=0.001))
    running = scheduler.plan(Budget(memory_bytes=400))
    wider = scheduler.plan(Budget(memory_bytes=1199), running=running)
    assert wider["m"].options == {"b0": "pruned", "b1": "whole"}
    assert wider.switch_charge == 0.001  # for one block, which took a millisecond to load


def test_what_runs_is_counted_with_the_workspace_that_it_needs() -> None:
    """Of two options that are as good, the one that runs stays where both just fit."""
    heavy, light = option("heavy", 20, 1.0, workspace_bytes=200), option("light", 10, 1.0, workspace_bytes=200)
    scheduler = Scheduler([model("m", [heavy, light, option("worse", 5, 1.0, 9.0, workspace_bytes=1000)])])
    running = Plan(models=(ModelPlan(name="m", options={"b0": "heavy"}),), budget=Budget(), objective=0.0)
    assert scheduler.plan(Budget(memory_bytes=220), running=running)["m"].options == {"b0": "heavy"}
    assert scheduler.plan(Budget(memory_bytes=219), running=running)["m"].options == {"b0": "light"}


def test_of_two_ways_that_take_equally_much_a_model_is_compact() -> None:
    other = {"streamed_bytes": 400, "streamed_ms": {1: 2.0}, "compact_bytes": 600, "compact_ms": {1: 2.0}}
    rows = (OptionRow("o", 1000, {1: 1.0}, **other),)  # type: ignore[arg-type]
    table = ModelTable("m", (BlockRows("b", rows),), streaming=Streaming(200, (400,)), compact_overhead_ms={})
    found = Scheduler([table]).plan(Budget(memory_bytes=700))["m"]
    assert (found.compact, found.streamed, found.memory_bytes) == (True, False, 600)


def test_compact_models_have_a_workspace_of_their_own() -> None:
    compact = {"compact_bytes": 100, "compact_ms": {1: 2.0}, "compact_workspace_bytes": 80}
    rows = [OptionRow("o", 500, {1: 1.0}, workspace_bytes=50, **compact)]  # type: ignore[arg-type]
    table = ModelTable("m", (BlockRows("b", tuple(rows)),), compact_overhead_ms={})
    found = [Scheduler([table]).plan(Budget(memory_bytes=limit)) for limit in (550, 549)]
    assert [(plan.memory_bytes, plan["m"].compact) for plan in found] == [(550, False), (180, True)]


def test_as_many_threads_as_a_profile_may_have_are_planned() -> None:
    def planned(threads: int) -> tuple[int, bool, bool]:
        option = OptionRow("o", 1, {threads: 1.0}, compact_bytes=1, compact_ms={threads: 2.0})
        plan = Scheduler([ModelTable("m", (BlockRows("b", (option,)),), compact_overhead_ms={})]).plan(Budget())["m"]
        return plan.threads, plan.compact, plan.streamed

    assert planned(1024) == (1024, False, False)
    with pytest.raises(WorkloadError, match="thread count 1025 is not 1 to 1024"):
        planned(1025)


def test_a_profile_tells_what_options_add_and_what_they_share(tiny_store: Store, profile: Profile) -> None:
    sizes = {"own_bytes": 10_000, "workspace_bytes": 7_000}
    options = tuple(o.model_copy(update=sizes) for o in profile.options)
    table = ModelTable.from_store(tiny_store, profile.model_copy(update={"options": options}))
    assert table.workspaces == (7_000,)
    assert Scheduler([table]).plan(Budget()).memory_bytes == 10_000 * len(tiny_store.manifest.segments) + 7_000
    sums = ModelTable.from_store(tiny_store, profile)
    assert sums.workspaces == (0,)


sizes = st.integers(0, 10**7)
segments = st.lists(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=5), min_size=1, max_size=5)


@given(segments)
def test_levels_are_few_and_each_composition_has_one_that_is_hardly_more_than_it_needs(
    drawn: list[list[tuple[int, int]]],
) -> None:
    levels = workspace_levels(drawn)
    needed = max(min(w for _, w in of) for of in drawn)
    most = max(w for of in drawn for _, w in of)
    assert levels[-1] == most
    assert levels[0] == needed
    assert list(levels) == sorted(set(levels))
    assert len(levels) <= 8
    least = needed + sum(min(m for m, _ in of) for of in drawn)
    for need in {w for of in drawn for _, w in of if w >= needed}:
        level = min(size for size in levels if size >= need)
        assert level - need < max((most - needed) / 6, 0.01 * least, 1)


@pytest.mark.parametrize("figure", ["workspace_bytes", "compact_workspace_bytes"])
def test_figures_that_make_no_sense_are_refused(figure: str) -> None:
    for size in (-1, 1 << 49, float("nan")):
        with pytest.raises(WorkloadError, match=f"m/b0/o: {figure} is"):
            model("m", [option("o", 1, 1.0, **{figure: size})])


def test_no_composition_of_a_frontier_has_a_larger_workspace_than_it_needs() -> None:
    rng = np.random.default_rng(5)
    levels_seen = 0
    for _ in range(20):
        table = random_table(rng, "m", 4, 4, (1, 2))
        (compiled,) = Scheduler([table])._models
        for choice, mode, memory in zip(
            compiled.frontier.choice, compiled.frontier.mode.tolist(), compiled.frontier.memory.tolist(), strict=True
        ):
            if not is_streamed(mode):
                picked = [block.options[o] for block, o in zip(table.blocks, choice, strict=True)]
                picked += [f.options[0] for f in table.fixed]
                assert memory == Way(int(threads_of(mode)), compact=bool(is_compact(mode))).memory(table, picked)
                levels_seen += level_of(mode) > 0
    assert levels_seen > 50
