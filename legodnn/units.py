"""Sizes and times as people write and read them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

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
    """Return a number of bytes as people read it, with three digits and decimal units.

    Example:
        >>> size(1234567)
        '1.23 MB'
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= scale:
            return f"{count / scale:.3g} {unit}" if abs(count) < 100 * scale else f"{count / scale:.0f} {unit}"
    return f"{count:.0f} B"


def parse_size(text: str) -> int:
    """Read a size, such as '20MB', '1.5 GiB' or '300000', as a number of bytes.

    Raises:
        ValueError: the text is no size; the message shows how to write one, and leaves it to callers to say where.
    """
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d*)?|\.\d+)\s*([KMG]I?B|B)?\s*", text.upper(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r:.40} is not a size; write it like 20MB, 1.5GiB or 300000")
    return round(float(match[1]) * _UNITS[match[2] or ""])


def parse_memory(text: str) -> int:
    """Read a limit of memory as `parse_size` does, but refuse a few bytes without a unit, meant as megabytes.

    Raises:
        ValueError: the text is no size, or needs a unit.
    """
    count, number = parse_size(text), text.strip()
    if 0 < count < 10_000 and not number[-1].isalpha():
        raise ValueError(f"{text!r:.40} without a unit is {count} bytes; write {number}MB for megabytes, or {count}B")
    return count


def duration(seconds: float) -> str:
    """Return a number of seconds as people say it.

    Example:
        >>> duration(42), duration(800), duration(7500)
        ('42 s', '13 min', '2 h 5 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def utc_now() -> str:
    """Return the time in UTC to the second, as documents say when they were made: '2026-01-31T12:00:00+00:00'."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
