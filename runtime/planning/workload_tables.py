"""The tables of a workload's models, with what each takes more because the others are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from legodnn.profile import Profile
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.tails import Companion, tails_of
from legodnn.store import Store
from legodnn.workload import Workload


def workload_tables(
    workload: Workload, opened: Sequence[tuple[Store, Profile]], isolated: bool = False
) -> list[ModelTable]:
    """Return the table of each model of a workload, in the workload's order.

    A profile says how many times longer a model takes beside another one that runs without pause. Beside a model that
    runs for a share of the time, that share of the increase is expected. The share is the rate of the other model times
    the latency of its originals, so a model without a rate is expected to slow nobody down. The increases caused by
    several models are added up. Limits of latency are about a quantile, so they count the others by the share of
    inferences that meet them (`tails`). A model with a rate pauses between its inferences, which slows them down, too.
    Where there are several, each takes the memory more that its profile says. An isolated model has its process to
    itself, and takes the memory more that its inputs and outputs pass through.

    Args:
        workload: the models, with their rates.
        opened: the store and the profile of each model, in the same order.
        isolated: whether each model is to run in a process of its own.

    Raises:
        ProfileError, WorkloadError: see `ModelTable.from_store`.
    """
    tables = [ModelTable.from_workload(m, store, p) for m, (store, p) in zip(workload.models, opened, strict=True)]
    busy_ms = [_original_ms(*pair) for pair in opened]
    found = []
    for i, (table, (store, profile)) in enumerate(zip(tables, opened, strict=True)):
        measured = {c.store_id: c.slowdown for c in profile.contention}
        slowdown, companions = 1.0, []
        for j, other in enumerate(tables):
            if j != i:
                rate, store_id = (other.rate_hz or 0.0) / 1e3, opened[j][0].id
                beside = measured.get(store_id, 1.0)
                slowdown += (beside - 1.0) * min(1.0, rate * busy_ms[j])
                # An inference meets another model that runs when it begins, or begins before it ends.
                companions.append(Companion(store_id, min(1.0, rate * (busy_ms[j] + busy_ms[i])), beside))
        tails = tails_of(profile, slowdown, companions, periodic=table.rate_hz is not None)
        if isolated:
            shared = sum(spec.bytes for spec in store.manifest.ends)
            table = larger(table, shared, shared)
        elif companions:
            table = larger(table, profile.company_bytes, profile.compact.company_bytes if profile.compact else 0)
        found.append(replace(table, slowdown=slowdown, tails=tails))
    return found


def larger(table: ModelTable, more: int, compact_more: int) -> ModelTable:
    """The table of a model that takes so many bytes more, whatever it runs: each option of its first segment does.

    Args:
        table: the model's table.
        more: bytes.
        compact_more: bytes where the model is compact.
    """
    first, *others = table.blocks or table.fixed
    options = tuple(
        replace(o, memory_bytes=o.memory_bytes + more, compact_bytes=o.compact_bytes + compact_more)
        for o in first.options
    )
    segments = (replace(first, options=options), *others)
    blocks, fixed = (segments, table.fixed) if table.blocks else ((), segments)
    streaming = table.streaming and replace(table.streaming, floor_bytes=table.streaming.floor_bytes + more)
    return replace(table, blocks=blocks, fixed=fixed, streaming=streaming)


def _original_ms(store: Store, profile: Profile) -> float:
    """The latency of the originals together, at the first thread count that was profiled."""
    latency = {(o.segment, o.option): o.latency[0].median_ms for o in profile.options}
    return sum(latency[s.name, s.original.name] for s in store.manifest.segments)
