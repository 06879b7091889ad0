"""The table of one model: all that the scheduler knows of it, the figures of every option as plain data.

A table is made from a store and its profile, or by hand. The scheduler reads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from legodnn.errors import WorkloadError
from legodnn.manifest import Link
from legodnn.profile import Profile
from legodnn.runtime.planning.option_rows import (
    BlockRows,
    OptionRow,
    Streaming,
    listed,
    measured_segments,
    streaming_levels,
    workspace_levels,
)
from legodnn.runtime.planning.table_checks import check_model_figures, check_other_ways, check_segments
from legodnn.runtime.planning.tails import ANY_MODEL, Tails, tails_of
from legodnn.store import Store
from legodnn.workload import WorkloadModel

__all__ = ["BlockRows", "ModelTable", "OptionRow", "Streaming"]

# The link for which accuracy is 1 - loss, between 0 and 1.
IDENTITY = Link(x=(0.0, 1.0), y=(1.0, 0.0))


@dataclass(frozen=True)
class ModelTable:
    """One model of a workload, as the scheduler sees it.

    Attributes:
        name: unique in the workload.
        blocks: the segments with a choice of options, in topological order. There may be none, and a block may have
            one option only.
        fixed: the segments without a choice.
        link: turns summed loss into accuracy: non-increasing, piecewise linear, constant outside its knots.
        accuracy_error: nine in ten predicted accuracies of plans are within it.
        overhead_ms: by thread count, the latency of a composition beyond that of its segments; 0 where not given.
        slowdown: how many times slower than profiled the model is expected to run, unless a plan is told otherwise.
        tails: how much longer than the median its slowest inferences take. Empty: no longer. None: that is not known.
        streaming: what the model takes streamed; None if it may not be.
        compact_overhead_ms: as `overhead_ms`, of compact models; None if the model may not be compact.
        weight, rate_hz, latency_ms, quantile, min_accuracy, critical, threads: see `legodnn.workload.WorkloadModel`.
        profiled: when the profile was made that it is of (`Profile.created`); None if it is of none.
        thread_counts: the thread counts that a plan may choose from, ascending.
        streamed_thread_counts: those that it may be streamed with: with which streaming was measured of all options.
        workspaces: bytes of workspace, ascending: a composition takes the least of them that none of its options
            exceeds (`OptionRow.workspace_bytes`).
        compact_workspaces: the same of compact models.

    Raises:
        WorkloadError: a figure is missing, NaN, infinite, negative or absurdly great; a name is used twice; or the
            options have no thread count in common.
    """

    name: str
    blocks: tuple[BlockRows, ...]
    fixed: tuple[BlockRows, ...] = ()
    link: Link = IDENTITY
    accuracy_error: float = 0.0
    overhead_ms: Mapping[int, float] = field(default_factory=dict)
    slowdown: float = 1.0
    tails: Tails | None = field(default_factory=dict)
    streaming: Streaming | None = None
    compact_overhead_ms: Mapping[int, float] | None = None
    weight: float = 1.0
    rate_hz: float | None = None
    latency_ms: float | None = None
    quantile: float | None = None
    min_accuracy: float | None = None
    critical: bool = True
    threads: int | None = None
    profiled: str | None = None
    thread_counts: tuple[int, ...] = field(init=False)
    streamed_thread_counts: tuple[int, ...] = field(init=False)
    workspaces: tuple[int, ...] = field(init=False)
    compact_workspaces: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_segments(self)
        check_model_figures(self)
        segments = (*self.blocks, *self.fixed)
        thread_counts = self._thread_counts(segments)
        streamed = tuple(n for n in thread_counts if all(n in o.streamed_ms for s in segments for o in s.options))
        derived = {
            "thread_counts": thread_counts,
            "streamed_thread_counts": streamed if self.streaming else (),
            "workspaces": workspace_levels(
                [[(o.memory_bytes, o.workspace_bytes) for o in s.options] for s in segments]
            ),
            "compact_workspaces": workspace_levels(
                [[(o.compact_bytes, o.compact_workspace_bytes) for o in s.options] for s in segments]
            ),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        check_other_ways(self)

    def _thread_counts(self, segments: tuple[BlockRows, ...]) -> tuple[int, ...]:
        measured = [set(o.latency_ms) for s in segments for o in s.options]
        common = sorted(set.intersection(*measured)) if measured else [1]
        if not common:
            raise WorkloadError(
                f"{self.name}: its options have no thread count in common; measure again with `legodnn profile`"
            )
        if self.threads is None:
            return tuple(common)
        if self.threads not in common:
            counts, more = ", ".join(map(str, common)), listed({*common, self.threads})
            raise WorkloadError(
                f"{self.name}: not measured with {self.threads} threads, but with {counts}; measure again with "
                f"`legodnn profile --threads {more}`"
            )
        return (self.threads,)

    @classmethod
    def from_store(
        cls,
        store: Store,
        profile: Profile,
        name: str | None = None,
        *,
        weight: float = 1.0,
        rate_hz: float | None = None,
        latency_ms: float | None = None,
        quantile: float | None = None,
        min_accuracy: float | None = None,
        critical: bool = True,
        threads: int | None = None,
        streaming: bool = False,
    ) -> ModelTable:
        """Return the table of a store, as a device profiled it.

        Its tail is that of a model which runs after others, and after pauses if it has a rate.

        Args:
            store: the store.
            profile: its profile on the device.
            name: the model's name; None for the store's.
            weight, rate_hz, latency_ms, quantile, min_accuracy, critical, threads, streaming: see
                `legodnn.workload.WorkloadModel`.

        Raises:
            ProfileError: the profile is of another store, or lacks a measurement.
            WorkloadError: a figure makes no sense.
        """
        profile.check_store(store)
        blocks, fixed = measured_segments(store, profile, streaming)
        accuracy = store.manifest.accuracy
        return cls(
            name=name or store.name,
            blocks=tuple(blocks),
            fixed=tuple(fixed),
            link=accuracy.link,
            accuracy_error=accuracy.plan_error if accuracy.plan_samples else accuracy.error,
            overhead_ms=profile.overhead_ms,
            tails=tails_of(profile, companions=(ANY_MODEL,), periodic=rate_hz is not None),
            streaming=streaming_levels(profile, (*blocks, *fixed)) if streaming else None,
            compact_overhead_ms=profile.compact.overhead_ms if profile.compact else None,
            weight=weight,
            rate_hz=rate_hz,
            latency_ms=latency_ms,
            quantile=quantile,
            min_accuracy=min_accuracy,
            critical=critical,
            threads=threads,
            profiled=profile.created,
        )

    @classmethod
    def from_workload(cls, model: WorkloadModel, store: Store, profile: Profile) -> ModelTable:
        """Return the table of a workload's model, given its store and profile; raises what `from_store` raises."""
        return cls.from_store(
            store,
            profile,
            model.name,
            weight=model.weight,
            rate_hz=model.rate_hz,
            latency_ms=model.latency_ms,
            quantile=model.quantile,
            min_accuracy=model.min_accuracy,
            critical=model.critical,
            threads=model.threads,
            streaming=model.streaming,
        )
