"""How a model runs beside which options it has: with how many threads, and whether it is compact or streamed.

A mode is a whole number, so that arrays hold modes: the thread count, above it whether the model is compact, and
whether it is streamed; and above that the number of its level: how many bytes of weights (see `option_rows.Streaming`),
or of workspace where it is not streamed (see `ModelTable`), any of its options may take. Compositions in
different modes are different compositions, but those that differ in the level alone run alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from legodnn.arrays import Ints
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.schema import MOST_PROFILED_THREADS

_COMPACT_BIT = MOST_PROFILED_THREADS.bit_length()  # above every thread count
_COMPACT, _STREAMED, _LEVEL = 1 << _COMPACT_BIT, 2 << _COMPACT_BIT, 4 << _COMPACT_BIT

_Numbers = TypeVar("_Numbers", int, Ints)


def modes(table: ModelTable) -> Iterator[int]:
    """All modes that a model may run in: with everything in memory, then compact, then streamed; lower levels first."""
    hows = [(0, len(table.workspaces), table.thread_counts)]
    if table.compact_overhead_ms is not None:
        hows.append((_COMPACT, len(table.compact_workspaces), table.thread_counts))
    if table.streaming is not None:
        hows.append((_STREAMED, len(table.streaming.levels), table.streamed_thread_counts))
    for how, levels, thread_counts in hows:
        for level in range(levels):
            yield from (threads + how + _LEVEL * level for threads in thread_counts)


def threads_of(mode: _Numbers) -> _Numbers:
    """Return the thread count of a mode, or of each of an array of modes."""
    return mode % _COMPACT


class HowRun(NamedTuple):
    """What a plan says of a mode, by the names of `legodnn.plan.ModelPlan`."""

    threads: int
    streamed: bool
    compact: bool


def how_run(mode: int) -> HowRun:
    """Return how a model runs in a mode."""
    return HowRun(threads_of(mode), bool(is_streamed(mode)), bool(is_compact(mode)))


def mode_of(threads: int, streamed: bool, compact: bool) -> int:
    """Return the mode in which a model runs as a plan says (see `HowRun`), at the lowest level."""
    return threads + _STREAMED * streamed + _COMPACT * compact


def is_compact(mode: _Numbers) -> _Numbers:
    """Return 1 for a mode that is compact, else 0; or that of each of an array of modes."""
    return mode >> _COMPACT_BIT & 1


def loaded_in(mode: _Numbers) -> _Numbers:
    """Return the number of what segments are loaded for, which all levels share."""
    return mode % _LEVEL


def is_streamed(mode: _Numbers) -> _Numbers:
    """Return 1 for a mode that is streamed, else 0; or that of each of an array of modes."""
    return mode // _STREAMED & 1


def at_level(mode: _Numbers, level: _Numbers) -> _Numbers:
    """Return the mode that runs as another one does, at the level of a number, counted from 0."""
    return loaded_in(mode) + _LEVEL * level


def level_of(mode: int) -> int:
    """Return the number of a mode's level, counted from 0."""
    return mode // _LEVEL
