"""Reading the small files by which the Linux kernel tells about itself, below /proc and /sys."""

from __future__ import annotations

import re
from pathlib import Path


def text(path: Path) -> str:
    """Return the text of a kernel file; empty where there is no such file, or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # ValueError: a path that no file can have
        return ""


def number(path: Path) -> int | None:
    """Return the whole number in a kernel file; None where it says "max" or cannot be read."""
    return parse_integer(text(path).strip())


def parse_integer(value: str) -> int | None:
    """Return the whole number that a text is; None if it is none, or an absurdly long one."""
    return int(value) if re.fullmatch(r"-?[0-9]{1,30}", value) else None
