"""Sizes and times for people: written, and read as people write them."""

from __future__ import annotations

import re

from legodnn.errors import WorkloadError

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}


def size(count: float) -> str:
    """Bytes for people: 1234567 -> '1.23 MB' (decimal units)."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= scale:
            return f"{count / scale:.3g} {unit}" if abs(count) < 100 * scale else f"{count / scale:.0f} {unit}"
    return f"{count:.0f} B"


def parse_size(text: str) -> int:
    """'20MB', '1.5 GiB' or '300000' -> bytes; ValueError for anything else."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d*)?|\.\d+)\s*([KMG]I?B|B)?\s*", text.upper(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r:.40} is not a size; write it like 20MB, 1.5GiB or 300000")
    return round(float(match[1]) * _UNITS[match[2] or ""])


def parse_memory(text: str) -> int:
    """Like `parse_size`, for limits of memory: so few bytes without a unit were meant to be megabytes."""
    try:
        count = parse_size(text)
    except ValueError as e:
        raise WorkloadError(str(e)) from None
    if count < 10_000 and text.strip().isdigit():
        raise WorkloadError(f"{text!r:.40} without a unit is {count} bytes; write {count}MB for megabytes, or {count}B")
    return count


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 13 min, 2 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
