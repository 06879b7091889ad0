"""How a model runs beside which options it has: with how many threads, and whether it is compact or streamed.

A mode is a whole number, so that arrays hold modes: the thread count, above it whether the model is compact, and above
that which level of streaming it has (see `model_table.Streaming`), if any. Compositions in different modes are
different compositions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from legodnn.arrays import Ints
from legodnn.runtime.planning.model_table import ModelTable

_COMPACT_BIT = 10  # above every thread count
_COMPACT, _LEVEL = 1 << _COMPACT_BIT, 2 << _COMPACT_BIT

_Numbers = TypeVar("_Numbers", int, Ints)


def modes(table: ModelTable) -> Iterator[int]:
    """All modes that a model may run in: with everything in memory, then compact, then streamed."""
    yield from table.thread_counts
    if table.compact_overhead_ms is not None:
        yield from (threads + _COMPACT for threads in table.thread_counts)
    if table.streaming is not None:
        for level in range(len(table.streaming.levels)):
            yield from (mode_of(threads, level) for threads in table.thread_counts)


def mode_of(threads: int, level: int | None = None) -> int:
    """Return the mode of a thread count and a level's number; None for a model that is not streamed."""
    return threads + (0 if level is None else _LEVEL * (level + 1))


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


def is_compact(mode: _Numbers) -> _Numbers:
    """Return 1 for a mode that is compact, else 0; or that of each of an array of modes."""
    return mode >> _COMPACT_BIT & 1


def loaded_in(mode: _Numbers) -> _Numbers:
    """Return the number of what segments are loaded for, which all levels of streaming share."""
    return mode % _LEVEL + is_streamed(mode) * _LEVEL


def is_streamed(mode: _Numbers) -> _Numbers:
    """Return 1 for a mode that is streamed, else 0; or that of each of an array of modes."""
    return (mode >= _LEVEL) * 1


def level_of(mode: int) -> int | None:
    """Return the number of a mode's level; None if it is not streamed."""
    return mode // _LEVEL - 1 if mode >= _LEVEL else None
