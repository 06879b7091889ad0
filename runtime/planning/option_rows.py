"""The rows of a model's table: the figures of every option, as they were measured or by hand."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from legodnn.errors import ProfileError
from legodnn.manifest import Option
from legodnn.profile import OptionKey, OptionProfile, Profile
from legodnn.store import Store

# Levels of streaming, at most, and steps from one level of workspace to the next. With each a model takes about as long
# to plan with as one without.
_LEVELS = 6
_LEAST_STEP = 0.01  # levels of workspace are at least this far apart, as a share of the least that a model takes


@dataclass(frozen=True)
class OptionRow:
    """One option of one segment.

    Attributes:
        name: as in the store.
        memory_bytes: the memory that it adds to the process, its workspace apart.
        latency_ms: median latency by thread count.
        loss: what it adds by itself to the sum that the link turns into accuracy; may be negative.
        bytes: the size of its file, for the switch charge.
        load_ms: the time to load it, for the switch charge.
        streamed_bytes: the memory of its weights while it runs in a streamed model (see `Streaming`).
        streamed_ms: by thread count, its median latency there; empty where its model is not streamed.
        compact_bytes: the memory that it adds in a compact model, its workspace apart.
        compact_ms: by thread count, its median latency there; empty where that was not measured.
        workspace_bytes: the memory that its tensors take while it runs, streamed models apart. Options share it: a
            composition takes the most that one of its options does.
        compact_workspace_bytes: the same in a compact model.
    """

    name: str
    memory_bytes: int
    latency_ms: Mapping[int, float]
    loss: float = 0.0
    bytes: int = 0
    load_ms: float = 0.0
    streamed_bytes: int = 0
    streamed_ms: Mapping[int, float] = field(default_factory=dict)
    compact_bytes: int = 0
    compact_ms: Mapping[int, float] = field(default_factory=dict)
    workspace_bytes: int = 0
    compact_workspace_bytes: int = 0


@dataclass(frozen=True)
class BlockRows:
    """A segment and its options: several for a block, one for a fixed segment.

    Attributes:
        name: as in the store.
        options: at least one.
        interaction: the loss that each option adds beyond its own, depending on the option of the block before (rows:
            options of that block, columns: options of this one); empty if unknown, and for the first block.
    """

    name: str
    options: tuple[OptionRow, ...]
    interaction: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Streaming:
    """What a model takes that is run segment by segment, with the weights of one segment in memory at a time.

    A composition may be streamed at a level if no option of it has more `OptionRow.streamed_bytes` than that. It then
    takes `floor_bytes` and the level.

    Attributes:
        floor_bytes: what stays in memory: tensors, workspace, descriptions.
        levels: bytes of weights, ascending.
    """

    floor_bytes: int
    levels: tuple[int, ...]


def least_level(segments: Sequence[BlockRows]) -> int:
    """Return the bytes of weights without which no composition can be streamed: the most that a segment needs."""
    return max((min(o.streamed_bytes for o in s.options) for s in segments), default=0)


def workspace_levels(segments: Sequence[Sequence[tuple[int, int]]]) -> tuple[int, ...]:
    """Return bytes of workspace, ascending, of which a plan's memory has the least that no option of it exceeds.

    The first is the least that any composition takes, the last the most; others are so far apart that there are few.

    Args:
        segments: the bytes that each option adds, and those of workspace that it takes.
    """
    needed = max((min(workspace for _, workspace in options) for options in segments), default=0)
    sizes = sorted({workspace for options in segments for _, workspace in options if workspace >= needed}, reverse=True)
    if not sizes:
        return (0,)
    least = needed + sum(min(added for added, _ in options) for options in segments)
    step = max((sizes[0] - needed) / _LEVELS, _LEAST_STEP * least, 1)
    levels = sizes[:1]
    for size in sizes:
        if levels[-1] - size >= step or size == needed < levels[-1]:
            levels.append(size)
    return tuple(levels[::-1])


def measured_segments(store: Store, profile: Profile, streaming: bool) -> tuple[list[BlockRows], list[BlockRows]]:
    """Return the blocks and the fixed segments of a store, without the options that the profile skipped.

    `Profile.check_store` has made sure that only options that may be skipped are.
    """
    measured = {(o.segment, o.option): o for o in profile.options}
    streamed = _streamed_options(store, profile) if streaming else {}
    compact = {(o.segment, o.option): o for o in profile.compact.options} if profile.compact else {}
    blocks, fixed = [], []
    before: list[int] = []
    for segment in store.manifest.segments:
        kept = [i for i, o in enumerate(segment.options) if (segment.name, o.name) in measured]
        keys = [(segment.name, segment.options[i].name) for i in kept]
        rows = tuple(
            _row(segment.options[i], measured[k], streamed.get(k), compact.get(k))
            for i, k in zip(kept, keys, strict=True)
        )
        if segment.kind == "fixed":
            fixed.append(BlockRows(segment.name, rows))
            continue
        interaction = tuple(tuple(segment.interaction[j][i] for i in kept) for j in before if segment.interaction)
        blocks.append(BlockRows(segment.name, rows, interaction))
        before = kept
    return blocks, fixed


def _row(
    option: Option, figures: OptionProfile, streamed: _Streamed | None, compact: OptionProfile | None
) -> OptionRow:
    held, workspace = figures.own_and_workspace
    row = OptionRow(option.name, held, _medians(figures), option.loss, option.bytes, figures.load_ms)
    row = replace(row, workspace_bytes=workspace)
    if streamed is not None:
        row = replace(row, streamed_bytes=streamed[0], streamed_ms=streamed[1])
    if compact is not None:
        held, workspace = compact.own_and_workspace
        row = replace(row, compact_bytes=held, compact_ms=_medians(compact), compact_workspace_bytes=workspace)
    return row


def _medians(figures: OptionProfile) -> dict[int, float]:
    return {entry.threads: entry.median_ms for entry in figures.latency}


_Streamed = tuple[int, Mapping[int, float]]  # bytes of weights, and milliseconds by thread count


def _streamed_options(store: Store, profile: Profile) -> dict[OptionKey, _Streamed]:
    """What each option of a profile takes streamed; ProfileError if that was not measured of all of them."""
    found: dict[OptionKey, _Streamed] = {}
    if (streamed := profile.streamed) is not None:
        for o in streamed.options:
            found[o.segment, o.option] = o.weights_bytes, dict(zip(streamed.threads, o.median_ms, strict=True))
    if without := [o for o in profile.options if (o.segment, o.option) not in found]:
        place, counts = shlex.quote(str(store.path)), listed({e.threads for o in profile.options for e in o.latency})
        raise ProfileError(
            f"{store.name} may be streamed, but its profile does not say what {without[0].segment}/{without[0].option} "
            f"takes then; measure again with `legodnn profile {place} --streaming --threads {counts}`"
        )
    return found


def listed(threads: Collection[int]) -> str:
    """Return thread counts as `--threads` takes them: messages name all, for a new profile replaces the old one.

    >>> listed({2, 1})
    '1,2'
    """
    return ",".join(map(str, sorted(threads)))


def streaming_levels(profile: Profile, segments: Sequence[BlockRows]) -> Streaming:
    """Return at what levels a model may be streamed: some of its options' sizes, about as far apart in proportion.

    A plan's memory is rounded up to the next of them.
    """
    assert profile.streamed is not None, "which _streamed_options has made sure of"
    least = least_level(segments)
    sizes = sorted({o.streamed_bytes for s in segments for o in s.options if o.streamed_bytes >= least})
    wanted = np.geomspace(max(sizes[0], 1), max(sizes[-1], 1), _LEVELS)
    levels = sorted({min((size for size in sizes if size >= round(w)), default=sizes[-1]) for w in wanted})
    return Streaming(profile.streamed.floor_bytes, tuple(levels))
