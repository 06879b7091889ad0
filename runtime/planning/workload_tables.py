"""The tables of a workload: each model's own figures, and how much slower the others are expected to make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from legodnn.profile import Profile
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.store import Store
from legodnn.workload import Workload


def workload_tables(workload: Workload, opened: Sequence[tuple[Store, Profile]]) -> list[ModelTable]:
    """A workload's models as the scheduler sees them.

    Beside another model that runs without pause, a model takes `slowdown` times as long, as its profile measured it;
    beside one that runs for a share of the time, by that share of the difference. The share is rate x latency of the
    originals, so nothing is assumed of a model without a rate. What several add is summed.

    Args:
        workload: the models, with their rates.
        opened: store and profile of each, in the same order.

    Raises:
        ProfileError, WorkloadError: see `ModelTable.from_store`.
    """
    tables = [ModelTable.from_workload(m, store, p) for m, (store, p) in zip(workload.models, opened, strict=True)]
    shares = [
        min(1.0, (table.rate_hz or 0.0) * _original_ms(*pair) / 1e3) for table, pair in zip(tables, opened, strict=True)
    ]
    found = []
    for i, (table, (_, profile)) in enumerate(zip(tables, opened, strict=True)):
        measured = {c.store_id: c.slowdown - 1.0 for c in profile.contention}
        others = (j for j in range(len(tables)) if j != i)
        slowdown = 1.0 + sum(measured.get(opened[j][0].id, 0.0) * shares[j] for j in others)
        found.append(replace(table, slowdown=slowdown))
    return found


def _original_ms(store: Store, profile: Profile) -> float:
    latency = {(o.segment, o.option): o.latency[0].median_ms for o in profile.options}
    return sum(latency[s.name, s.original.name] for s in store.manifest.segments)
