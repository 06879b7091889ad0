"""The demo's budgets fall and rise between what the smallest options and the originals take; each can be held."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from legodnn.commands.demo_trace import demo_trace
from legodnn.profile import Profile, Skipped, default_path
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel


def scheduler_of(stores: Sequence[Store], profiles: Sequence[Profile]) -> Scheduler:
    """What `legodnn run` plans the demo's budgets with."""
    models = tuple(WorkloadModel(name=store.name, store=str(store.path)) for store in stores)
    return Scheduler(workload_tables(Workload(models=models), list(zip(stores, profiles, strict=True))))


def test_every_budget_of_the_trace_can_be_held_and_memory_falls_and_rises(
    tiny_store: Store, tiny_store2: Store
) -> None:
    stores = [tiny_store, tiny_store2]
    profiles = [Profile.load(default_path(store.path)) for store in stores]
    budgets = [Budget(**budget) for budget in demo_trace(stores, profiles)]
    scheduler = scheduler_of(stores, profiles)
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


@given(st.lists(st.floats(0.001, 5), min_size=7, max_size=7) | st.floats(0.001, 5).map(lambda ms: [ms] * 7))
def test_limits_are_held_however_little_options_differ(tiny_store: Store, ms: list[float]) -> None:
    profile = Profile.load(default_path(tiny_store.path))
    options = tuple(
        o.model_copy(update={"latency": tuple(e.model_copy(update={"median_ms": took}) for e in o.latency)})
        for o, took in zip(profile.options, ms, strict=True)
    )
    taking = profile.model_copy(update={"options": options})
    for budget in demo_trace([tiny_store], [taking]):
        scheduler_of([tiny_store], [taking]).plan(Budget(**budget))


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
