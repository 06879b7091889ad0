"""The table of one model: all that the scheduler knows of it, the figures of every option as plain data.

A table is made from a store and its profile, or by hand. The scheduler reads nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from legodnn.errors import WorkloadError
from legodnn.manifest import Link, interaction_problem
from legodnn.printable import shown
from legodnn.profile import Profile
from legodnn.runtime.planning.option_rows import (
    BlockRows,
    OptionRow,
    Streaming,
    least_level,
    listed,
    measured_segments,
    streaming_levels,
    workspace_levels,
)
from legodnn.runtime.planning.tails import ANY_MODEL, Tails, tails_of
from legodnn.schema import LEAST_QUANTILE, MOST_OPTIONS, MOST_SEGMENTS
from legodnn.store import Store
from legodnn.workload import WorkloadModel

__all__ = ["BlockRows", "ModelTable", "OptionRow", "Streaming"]

# The greatest figures that are accepted: far beyond any device, and small enough for exact sums in 64-bit integers.
_MOST_BYTES = 1 << 48
_MOST_MS = 1e9
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
    thread_counts: tuple[int, ...] = field(init=False)
    streamed_thread_counts: tuple[int, ...] = field(init=False)
    workspaces: tuple[int, ...] = field(init=False)
    compact_workspaces: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        segments = (*self.blocks, *self.fixed)
        if len(segments) > MOST_SEGMENTS:
            raise WorkloadError(
                f"{self.name}: {len(segments)} segments are too many: at most {MOST_SEGMENTS} are planned"
            )
        _distinct([s.name for s in segments], f"model {self.name!r} has two segments called")
        for segment in segments:
            _check_segment(f"{self.name}/{segment.name}", segment)
        for before, block in zip((None, *self.blocks), self.blocks, strict=False):
            _check_interaction(f"{self.name}/{block.name}", before, block)
        for one in self.fixed:
            _check_interaction(f"{self.name}/{one.name}", None, one)
            if len(one.options) > 1:
                raise WorkloadError(f"{self.name}/{one.name}: a fixed segment has one option, not {len(one.options)}")
        _check(self.weight, f"{self.name}: weight", above=0)
        _check(self.slowdown, f"{self.name}: slowdown", above=0, most=1e6)
        _check(self.accuracy_error, f"{self.name}: accuracy_error", least=0)
        for tail in (self.tails or {}).values():
            for quantile, stretch in tail.items():
                _check(quantile, f"{self.name}: quantile of a tail", least=LEAST_QUANTILE, most=1)
                _check(stretch, f"{self.name}: tail at quantile {quantile:g}", above=0, most=1e9)
        for overhead in (*self.overhead_ms.values(), *(self.compact_overhead_ms or {}).values()):
            _check(overhead, f"{self.name}: overhead_ms", least=0, most=_MOST_MS)
        for x, y in zip(self.link.x, self.link.y, strict=True):
            _check(x, f"{self.name}: a knot of its link")
            _check(y, f"{self.name}: a value of its link")
        if self.rate_hz is not None:
            _check(self.rate_hz, f"{self.name}: rate_hz", least=0)
        if self.latency_ms is not None:
            _check(self.latency_ms, f"{self.name}: latency_ms", above=0)
        if self.quantile is not None:
            _check(self.quantile, f"{self.name}: quantile", least=LEAST_QUANTILE, most=math.nextafter(1, 0))
        if self.min_accuracy is not None:
            _check(self.min_accuracy, f"{self.name}: min_accuracy")
        object.__setattr__(self, "thread_counts", self._thread_counts(segments))
        added = [[(o.memory_bytes, o.workspace_bytes) for o in s.options] for s in segments]
        compact = [[(o.compact_bytes, o.compact_workspace_bytes) for o in s.options] for s in segments]
        object.__setattr__(self, "workspaces", workspace_levels(added))
        object.__setattr__(self, "compact_workspaces", workspace_levels(compact))
        streamed = [n for n in self.thread_counts if all(n in o.streamed_ms for s in segments for o in s.options)]
        object.__setattr__(self, "streamed_thread_counts", tuple(streamed) if self.streaming else ())
        if self.streaming is not None:
            _check_streaming(self.name, self.streaming, segments, tuple(streamed) or self.thread_counts)
        if self.compact_overhead_ms is not None:
            for place, option in _options(self.name, segments):
                _check_figures(
                    place, "compact", option.compact_bytes, option.compact_ms, self.thread_counts, "--compact"
                )

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
        """Return the table of a store, as a device profiled it. Its tail is that of a model which runs after others.

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
            tails=tails_of(profile, companions=(ANY_MODEL,)),
            streaming=streaming_levels(profile, (*blocks, *fixed)) if streaming else None,
            compact_overhead_ms=profile.compact.overhead_ms if profile.compact else None,
            weight=weight,
            rate_hz=rate_hz,
            latency_ms=latency_ms,
            quantile=quantile,
            min_accuracy=min_accuracy,
            critical=critical,
            threads=threads,
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


def _check_segment(where: str, segment: BlockRows) -> None:
    if not segment.options:
        raise WorkloadError(f"{where} has no options")
    if len(segment.options) > MOST_OPTIONS:
        raise WorkloadError(f"{where} has {len(segment.options)} options; at most {MOST_OPTIONS} are planned")
    _distinct([o.name for o in segment.options], f"{where} has two options called")
    for option in segment.options:
        place = f"{where}/{option.name}"
        if not option.latency_ms:
            raise WorkloadError(f"{place} has no latency; measure again with `legodnn profile`")
        _check(option.memory_bytes, f"{place}: memory_bytes", least=0, most=_MOST_BYTES)
        _check(option.workspace_bytes, f"{place}: workspace_bytes", least=0, most=_MOST_BYTES)
        _check(option.compact_workspace_bytes, f"{place}: compact_workspace_bytes", least=0, most=_MOST_BYTES)
        _check(option.loss, f"{place}: loss")
        _check(option.bytes, f"{place}: bytes", least=0, most=_MOST_BYTES)
        _check(option.load_ms, f"{place}: load_ms", least=0, most=_MOST_MS)
        for threads, latency in option.latency_ms.items():
            if threads < 1:
                raise WorkloadError(f"{place}: thread count {threads} is less than 1")
            _check(latency, f"{place}: latency_ms with {threads} threads", least=0, most=_MOST_MS)


def _check_streaming(
    name: str, streaming: Streaming, segments: tuple[BlockRows, ...], thread_counts: tuple[int, ...]
) -> None:
    levels = streaming.levels
    _check(streaming.floor_bytes, f"{name}: floor_bytes", least=0, most=_MOST_BYTES)
    for level in levels:
        _check(level, f"{name}: a level of streaming", least=least_level(segments), most=_MOST_BYTES)
    if not levels or list(levels) != sorted(set(levels)):
        raise WorkloadError(f"{name}: the levels of streaming must ascend, and there must be one")
    for place, option in _options(name, segments):
        _check_figures(place, "streamed", option.streamed_bytes, option.streamed_ms, thread_counts, "--streaming")


def _options(name: str, segments: tuple[BlockRows, ...]) -> Iterator[tuple[str, OptionRow]]:
    """All options, each with what messages call it."""
    return ((f"{name}/{s.name}/{o.name}", o) for s in segments for o in s.options)


def _check_figures(
    place: str, how: str, held: int, times: Mapping[int, float], thread_counts: tuple[int, ...], flag: str
) -> None:
    """Check the memory and the latencies of an option in models that run in another way; `flag` measures them."""
    _check(held, f"{place}: {how}_bytes", least=0, most=_MOST_BYTES)
    if not set(thread_counts) <= set(times):
        counts = listed(thread_counts)
        raise WorkloadError(
            f"{place} has no {how} latency; measure it with `legodnn profile {flag} --threads {counts}`"
        )
    for latency in times.values():
        _check(latency, f"{place}: {how}_ms", least=0, most=_MOST_MS)


def _check_interaction(where: str, before: BlockRows | None, block: BlockRows) -> None:
    if problem := interaction_problem(block.interaction, len(before.options) if before else 0, len(block.options)):
        raise WorkloadError(f"{where}: {problem}")
    for row in block.interaction:
        for value in row:
            _check(value, f"{where}: interaction")


def _check(value: float, what: str, *, least: float = -math.inf, above: float = -math.inf, most: float = 1e12) -> None:
    if not math.isfinite(value) or value < least or value <= above or abs(value) > most:
        wanted = (
            f"greater than {above:g}" if above > -math.inf else f"at least {least:g}" if least > -math.inf else "finite"
        )
        raise WorkloadError(f"{what} is {shown(value)}; it must be a number {wanted} and at most {most:g}")


def _distinct(names: list[str], problem: str) -> None:
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise WorkloadError(f"{problem} {twice[0]!r}")
