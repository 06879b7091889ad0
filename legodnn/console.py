"""What the command line and long-running work print: tables, progress, sizes. Plain text, no dependencies."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from legodnn.errors import WorkloadError
from legodnn.printable import printable

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

_LINE_EVERY_S = 30.0


def say(text: object, file: TextIO | None = None) -> None:
    """Print for people: names that come from elsewhere cannot steer the terminal."""
    print(printable(str(text)), file=file)


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows under a header, columns aligned: numbers to the right, text to the left."""
    cells = [[printable(str(cell)).replace("\n", "\\n") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    numeric = [
        all(re.fullmatch(r"[-+]?[\d.,]+( ?[%a-zA-Z]{1,3})?|-?", row[i]) for row in cells) for i in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        parts = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *(line(row) for row in cells)])


def size(count: float) -> str:
    """Bytes for people: 1234567 -> '1.23 MB' (decimal units)."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= scale:
            return f"{count / scale:.3g} {unit}" if abs(count) < 100 * scale else f"{count / scale:.0f} {unit}"
    return f"{count:.0f} B"


def parse_size(text: str) -> int:
    """'20MB', '1.5 GiB' or '300000' -> bytes; WorkloadError for anything else."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d*)?|\.\d+)\s*([KMG]I?B|B)?\s*", text.upper(), re.ASCII)
    if not match:
        raise WorkloadError(f"{text!r:.40} is not a size; write it like 20MB, 1.5GiB or 300000")
    return round(float(match[1]) * _UNITS[match[2] or ""])


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 13 min, 2 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def shown(value: object) -> str:
    """A value as messages show it: in one line of at most 60 characters."""
    try:
        return f"{' '.join(repr(value).split()):.60}"
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a longer number" if isinstance(value, int) else type(value).__name__


def parse_memory(text: str) -> int:
    """Like `parse_size`, for limits of memory: so few bytes without a unit were meant to be megabytes."""
    count = parse_size(text)
    if count < 10_000 and text.strip().isdigit():
        raise WorkloadError(f"{text!r:.40} without a unit is {count} bytes; write {count}MB for megabytes, or {count}B")
    return count


class Progress:
    """A progress line on stderr: `label  [####....]  12/40  3 s left`; where stderr is no terminal, a line of its own
    every half minute.

    Use as a context manager; call `step()` after each unit of work.
    """

    def __init__(self, label: str, total: int, done: int = 0) -> None:
        """A line for `total` units of work, of which `done` were done by an earlier run."""
        self.label, self.total, self.done = printable(label), total, done
        self._before = done
        self._start = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._drawn = 0.0 if self._terminal else self._start
        self._width = 0

    def step(self, note: str = "") -> None:
        """One more unit is done; `note` is shown at the end of the line."""
        self.at(self.done + 1, note)

    def at(self, done: float, note: str = "") -> None:
        """So many units are done; for work that is counted by something else than calls, such as time."""
        self.done = round(done)
        now = time.monotonic()
        if now - self._drawn <= (0.1 if self._terminal else _LINE_EVERY_S) and not (
            self._terminal and self.done >= self.total
        ):
            return
        self._drawn = now
        left = duration((now - self._start) / max(1, self.done - self._before) * (self.total - self.done))
        if self._terminal:
            filled = round(24 * self.done / self.total)
            bar = "#" * filled + "." * (24 - filled)
            self._draw(f"{self.label:<32} [{bar}] {self.done}/{self.total}  {left} left  {printable(note)}")
        else:
            say(f"{self.label:<32} {self.done}/{self.total}  {left} left  {note}", sys.stderr)

    def _draw(self, text: str, end: str = "") -> None:
        """Over what stands in the terminal's line; a line that is longer than the terminal could not be drawn over."""
        text = text[: shutil.get_terminal_size((110, 24)).columns - 1].rstrip()
        print(f"\r{text:<{self._width}}", end=end, file=sys.stderr, flush=True)
        self._width = len(text) + 2  # Ctrl-C puts two characters behind it

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        end = "interrupted" if kind else f"{time.monotonic() - self._start:.1f} s"
        text = f"{self.label:<32} {self.done}/{self.total}  {end}"
        if self._terminal:
            self._draw(text, end="\n")
        else:
            print(text, file=sys.stderr, flush=True)


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Drop what C++ libraries write to file descriptor 2 meanwhile. Meant for their first few milliseconds."""
    sys.stderr.flush()
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
