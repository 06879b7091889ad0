"""The budgets that `legodnn demo` replays: they fall and rise, scaled to what the profiles say of the stores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from legodnn.errors import InfeasibleError
from legodnn.profile import Profile
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.tails import stretch
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.savings import savings
from legodnn.store import Store
from legodnn.tail import DEFAULT_QUANTILE
from legodnn.workload import Budget, Workload, WorkloadModel

# (memory, latency) of each budget of the trace: 0 is what the smallest options take, 1 what the originals take, and
# None is no limit.
_TRACE: tuple[tuple[float | None, float | None], ...] = (
    (None, None),
    (0.6, None),
    (0.3, None),
    (0.1, None),
    (0.3, 0.6),
    (None, 0.4),
    (None, 0.15),
    (0.3, 0.4),
    (0.6, 0.8),
    (None, None),
)  # fmt: skip
_STEPS = 10_000  # that a limit of latency may have in a millisecond


def demo_trace(stores: Sequence[Store], profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """Make budgets that fall and rise between what the smallest options take and what the originals take.

    Returns:
        A trace as `legodnn run --trace` reads it. Every budget in it can be held.
    """
    least_memory = most_memory = 0
    latency: dict[str, tuple[float, float]] = {}
    for store, profile in zip(stores, profiles, strict=True):
        can_save = savings(store, profile)
        most_memory, least_memory = most_memory + can_save.memory_bytes[0], least_memory + can_save.memory_bytes[1]
        latency[store.name] = can_save.latency_ms[::-1]
    models = tuple(WorkloadModel(name=store.name, store=str(store.path)) for store in stores)
    tables = workload_tables(Workload(models=models), list(zip(stores, profiles, strict=True)))
    # Limits are for most inferences, so they are as far above the medians as the slowest of these.
    stretched = {table.name: stretch(table.tails, 1, DEFAULT_QUANTILE) or 1.0 for table in tables}
    latency = {name: (a * stretched[name], b * stretched[name]) for name, (a, b) in latency.items()}
    scheduler, budgets = Scheduler(tables), []
    for memory, time in _TRACE:
        budget: dict[str, Any] = {}
        if memory is not None:
            budget["memory_bytes"] = round(least_memory + memory * (most_memory - least_memory))
        if time is not None:
            budget["latency_ms"] = {name: _rounded_up(a + time * (b - a)) for name, (a, b) in latency.items()}
        budgets.append(_held(scheduler, budget))
    return budgets


def _rounded_up(ms: float) -> float:
    """Return a limit of a few decimals that is 0.1 µs above, at least.

    Where all options take equally long nothing is below, and plans count each of them to the nearest nanosecond.
    """
    return (math.floor(ms * _STEPS) + 2) / _STEPS


def _held(scheduler: Scheduler, budget: dict[str, Any]) -> dict[str, Any]:
    """Return the budget, with more memory if its latencies need it: the smallest options are not always the fastest."""
    try:
        scheduler.plan(Budget(**budget))
    except InfeasibleError as e:
        needed = next((limit.needed for limit in e.report.limits if limit.kind == "memory"), None)
        if needed is None:
            raise
        return {**budget, "memory_bytes": int(needed)}
    return budget
