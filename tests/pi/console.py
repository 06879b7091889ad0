"""How the checks in the emulated machine report: as lines of its console, which the kernel writes on as well."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

_MARK = "@@report "


def reported(check: str, passed: bool, found: str, seconds: float) -> str:
    """Return the line that reports a check.

    Args:
        check: its name.
        passed: whether it passed.
        found: what it found, or why it did not pass.
        seconds: how long it took, by the machine's clock.
    """
    report = {"check": check, "passed": passed, "found": found, "seconds": round(seconds, 1)}
    return f"{_MARK}{json.dumps(report)}"


def reports_in(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the reports in what a console writes, as soon as their lines have ended.

    Args:
        pieces: what is written, cut anywhere.
    """
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            _, mark, text = line.decode(errors="replace").partition(_MARK)
            if mark:
                yield json.loads(text)
