"""What the command line and long-running work print: tables, progress, sizes. Plain text, no dependencies."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from legodnn.printable import printable
from legodnn.units import duration

_LINE_EVERY_S = 30.0


def say(text: object, file: TextIO | None = None) -> None:
    """Print for people: names that come from elsewhere cannot steer the terminal."""
    print(printable(str(text)), file=file)


def text_table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
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


class ProgressLine:
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

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        end = "interrupted" if kind else f"{time.monotonic() - self._start:.1f} s"
        text = f"{self.label:<32} {self.done}/{self.total}  {end}"
        if self._terminal:
            self._draw(text, end="\n")
        else:
            print(text, file=sys.stderr, flush=True)
