"""Which tables are refused: those with figures that are missing, not finite or out of range, or with a name twice.

`model_table` has the tables, and calls this for each one that is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

from legodnn.errors import WorkloadError
from legodnn.manifest import interaction_problem
from legodnn.printable import shown
from legodnn.runtime.planning.option_rows import BlockRows, OptionRow, Streaming, least_level, listed
from legodnn.schema import LEAST_QUANTILE, MOST_OPTIONS, MOST_PROFILED_THREADS, MOST_SEGMENTS

if TYPE_CHECKING:
    from legodnn.runtime.planning.model_table import ModelTable

# The greatest figures that are accepted: far beyond any device, and small enough for exact sums in 64-bit integers.
_MOST_BYTES = 1 << 48
_MOST_MS = 1e9
# Of each figure of a model what it must be; and which ones it need not have.
_OF_A_MODEL: dict[str, dict[str, float]] = {
    "weight": {"above": 0},
    "slowdown": {"above": 0, "most": 1e6},
    "accuracy_error": {"least": 0},
    "rate_hz": {"least": 0},
    "latency_ms": {"above": 0},
    "quantile": {"least": LEAST_QUANTILE, "most": math.nextafter(1, 0)},
    "min_accuracy": {},
}
_MAY_BE_NONE = ("rate_hz", "latency_ms", "quantile", "min_accuracy")


def check_by_model(factors: object) -> None:
    """Raise WorkloadError unless slow-downs or tails are given by model."""
    if not isinstance(factors, Mapping):
        raise WorkloadError(f"slow-downs and tails are numbers by model, not {type(factors).__name__}")


def check_segments(table: ModelTable) -> None:
    """Check the names of a table's segments and options, and every figure of options in models that run as usual.

    Raises:
        WorkloadError: one of them makes no sense.
    """
    segments = (*table.blocks, *table.fixed)
    if len(segments) > MOST_SEGMENTS:
        raise WorkloadError(f"{table.name}: {len(segments)} segments are too many: at most {MOST_SEGMENTS} are planned")
    _distinct([s.name for s in segments], f"model {table.name!r} has two segments called")
    for segment in segments:
        _check_segment(f"{table.name}/{segment.name}", segment)
    for before, block in zip((None, *table.blocks), table.blocks, strict=False):
        _check_interaction(f"{table.name}/{block.name}", before, block)
    for one in table.fixed:
        _check_interaction(f"{table.name}/{one.name}", None, one)
        if len(one.options) > 1:
            raise WorkloadError(f"{table.name}/{one.name}: a fixed segment has one option, not {len(one.options)}")


def check_model_figures(table: ModelTable) -> None:
    """Check the figures of a table that are the model's own.

    Raises:
        WorkloadError: one of them makes no sense.
    """
    for name, bounds in _OF_A_MODEL.items():
        if (value := getattr(table, name)) is not None or name not in _MAY_BE_NONE:
            _check(value, f"{table.name}: {name}", **bounds)
    for tail in (table.tails or {}).values():
        for quantile, stretch in tail.items():
            _check(quantile, f"{table.name}: quantile of a tail", least=LEAST_QUANTILE, most=1)
            _check(stretch, f"{table.name}: tail at quantile {quantile:g}", above=0, most=1e9)
    for overhead in (*table.overhead_ms.values(), *(table.compact_overhead_ms or {}).values()):
        _check(overhead, f"{table.name}: overhead_ms", least=0, most=_MOST_MS)
    for x, y in zip(table.link.x, table.link.y, strict=True):
        _check(x, f"{table.name}: a knot of its link")
        _check(y, f"{table.name}: a value of its link")


def check_other_ways(table: ModelTable) -> None:
    """Check what options take in a model that is streamed or compact, if it may be. Its thread counts must be known.

    Raises:
        WorkloadError: a figure makes no sense, or was not measured.
    """
    segments = (*table.blocks, *table.fixed)
    if table.streaming is not None:
        counts = table.streamed_thread_counts or table.thread_counts
        _check_streaming(table.name, table.streaming, segments, counts)
    if table.compact_overhead_ms is not None:
        for place, option in _options(table.name, segments):
            _check_figures(place, "compact", option.compact_bytes, option.compact_ms, table.thread_counts, "--compact")


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
            if not 1 <= threads <= MOST_PROFILED_THREADS:
                raise WorkloadError(f"{place}: thread count {threads} is not 1 to {MOST_PROFILED_THREADS}")
            _check(latency, f"{place}: latency_ms with {threads} threads", least=0, most=_MOST_MS)


def _check_streaming(
    name: str, streaming: Streaming, segments: Sequence[BlockRows], thread_counts: Sequence[int]
) -> None:
    levels = streaming.levels
    _check(streaming.floor_bytes, f"{name}: floor_bytes", least=0, most=_MOST_BYTES)
    for level in levels:
        _check(level, f"{name}: a level of streaming", least=least_level(segments), most=_MOST_BYTES)
    if not levels or list(levels) != sorted(set(levels)):
        raise WorkloadError(f"{name}: the levels of streaming must ascend, and there must be one")
    for place, option in _options(name, segments):
        _check_figures(place, "streamed", option.streamed_bytes, option.streamed_ms, thread_counts, "--streaming")


def _options(name: str, segments: Sequence[BlockRows]) -> Iterator[tuple[str, OptionRow]]:
    """All options, each with what messages call it."""
    return ((f"{name}/{s.name}/{o.name}", o) for s in segments for o in s.options)


def _check_figures(
    place: str, how: str, held: int, times: Mapping[int, float], thread_counts: Sequence[int], flag: str
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
    given = isinstance(value, Real)  # by hand, None or a text may be: what was read from files is numbers
    if not given or not abs(value) <= most or value < least or value <= above:
        wanted = (
            f"greater than {above:g}" if above > -math.inf else f"at least {least:g}" if least > -math.inf else "finite"
        )
        raise WorkloadError(f"{what} is {shown(value)}; it must be a number {wanted} and at most {most:g}")


def _distinct(names: list[str], problem: str) -> None:
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise WorkloadError(f"{problem} {twice[0]!r}")
