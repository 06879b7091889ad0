"""The demo's budgets fall and rise between what the smallest options and the originals take; each can be held."""

from __future__ import annotations

from legodnn.commands.demo_trace import demo_trace
from legodnn.profile import Profile, Skipped, default_path
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.store import Store
from legodnn.workload import Budget


def test_every_budget_of_the_trace_can_be_held_and_memory_falls_and_rises(
    tiny_store: Store, tiny_store2: Store
) -> None:
    stores = [tiny_store, tiny_store2]
    profiles = [Profile.load(default_path(store.path)) for store in stores]
    budgets = [Budget(**budget) for budget in demo_trace(stores, profiles)]
    scheduler = Scheduler([ModelTable.from_store(s, p) for s, p in zip(stores, profiles, strict=True)])
    plans = [scheduler.plan(budget) for budget in budgets]
    assert budgets[0] == budgets[-1] == Budget()
    assert plans[0] == plans[-1]
    limits = [budget.memory_bytes for budget in budgets[1:4] if budget.memory_bytes is not None]
    assert len(limits) == 3
    assert limits == sorted(limits, reverse=True)
    for budget, plan in zip(budgets, plans, strict=True):
        assert budget.memory_bytes is None or plan.memory_bytes <= budget.memory_bytes
        assert not isinstance(budget.latency_ms, float)
        assert budget.latency_ms is None or set(budget.latency_ms) == {"tiny", "tiny2"}


def test_a_quick_profile_may_leave_options_out(tiny_store: Store) -> None:
    profile = Profile.load(default_path(tiny_store.path))
    block = tiny_store.manifest.blocks[0]
    left_out = next(o.name for o in block.options if o.name != block.original.name)
    measured = tuple(o for o in profile.options if (o.segment, o.option) != (block.name, left_out))
    skipped = (Skipped(segment=block.name, option=left_out, reason="dominated"),)
    quick = profile.model_copy(update={"options": measured, "skipped": skipped})
    trace = demo_trace([tiny_store], [quick])
    assert trace[0] == trace[-1] == {}
    assert all(budget["memory_bytes"] > 0 for budget in trace if "memory_bytes" in budget)
