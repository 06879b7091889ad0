"""What the command line shows to people: text, tables, the progress of long work, and the notes of the library.

Results go to stdout; progress and notes go to stderr. Names that come from elsewhere cannot steer the terminal. Tables
are plain text; their headers get a colour where they are printed, if that is a terminal.
"""

from __future__ import annotations

import abc
import importlib.util
import io
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

from legodnn.printable import printable
from legodnn.progress import Progress
from legodnn.units import duration

_LINE_EVERY_S = 30.0
_DRAWN_EVERY_S = 0.1
# The header of a table, and the rule below it (see `text_table`); how they look on a terminal, and what ends that.
_HEADER = re.compile(r"^(.+)\n(-+(?:  -+)*)$", re.MULTILINE)
_BOLD_CYAN, _FAINT, _PLAIN = "\x1b[1;36m", "\x1b[2m", "\x1b[0m"


def say(text: object, file: TextIO | None = None) -> None:
    """Print text for people, to stdout unless another file is given; control characters become visible escapes.

    On a terminal the headers of tables are coloured, after what would steer it has been escaped.
    """
    shown = printable(str(text))
    if _takes_colours(sys.stdout if file is None else file):
        shown = _HEADER.sub(rf"{_BOLD_CYAN}\1{_PLAIN}\n{_FAINT}\2{_PLAIN}", shown)
    print(shown, file=file)


@contextmanager
def results_alone() -> Iterator[None]:
    """Keep stdout for results: what libraries and functions of the user's own print meanwhile goes to stderr.

    Keras says there what it downloads, for one, and `--json` promises a document and nothing else.
    """
    with redirect_stdout(io.StringIO() if sys.stderr is None else sys.stderr):
        yield


def _takes_colours(file: TextIO | None) -> bool:
    """Return whether a file is a terminal that shows colours, and nobody asked for none (https://no-color.org)."""
    if file is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return file.isatty()


def text_table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Return rows under a header, with columns aligned: numbers to the right, text to the left."""
    cells = [[printable(str(cell)).replace("\n", "\\n") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    numeric = [
        all(re.fullmatch(r"[-+]?[\d.,]+( ?[%a-zA-Z]{1,3})?|-?", row[i]) for row in cells) for i in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        parts = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *(line(row) for row in cells)])


def progress() -> Progress:
    """Choose how commands show long work: a bar on a terminal if rich is installed, otherwise a line now and then."""
    if sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("rich"):
        return ProgressBar
    return ProgressLine


class _Work(abc.ABC):
    """A piece of long work that is shown while a `with` statement runs; see `legodnn.progress`."""

    def __init__(self, label: str, total: int, done: int = 0) -> None:
        """Begin `total` units of work, `done` of which an earlier run has done."""
        self.label, self.total, self.done = printable(label), total, done
        self._before = done
        self._start = time.monotonic()

    def step(self, note: str = "") -> None:
        """Count one more unit; `note` says what was done last."""
        self.at(self.done + 1, note)

    def at(self, done: float, note: str = "") -> None:
        """Set the number of units that are done, where work is not counted in calls but in seconds, say."""
        self.done = round(done)
        self._show(printable(note))

    @abc.abstractmethod
    def _show(self, note: str) -> None: ...

    def _left(self) -> str:
        """Return how long the rest takes if it goes on as it did in this run."""
        taken = time.monotonic() - self._start
        return f"{duration(taken / max(1, self.done - self._before) * (self.total - self.done))} left"

    def _end(self, error: object) -> str:
        """Return how the work ended: the time that it took, or that it was interrupted."""
        return "interrupted" if error else f"{time.monotonic() - self._start:.1f} s"


class ProgressLine(_Work):
    """Progress as lines on stderr: one every half minute, and one at the end. A `legodnn.progress.Progress`."""

    def __init__(self, label: str, total: int, done: int = 0) -> None:
        super().__init__(label, total, done)
        self._told = self._start

    def _show(self, note: str) -> None:
        if (now := time.monotonic()) - self._told > _LINE_EVERY_S:
            self._told = now
            self._tell(f"{self._left()}  {note}")

    def _tell(self, state: str) -> None:
        _say_on_stderr(f"{self.label:<32} {self.done}/{self.total}  {state}")

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._tell(self._end(error))


class ProgressBar(_Work):
    """Progress as a bar on the terminal behind stderr, drawn by rich. A `legodnn.progress.Progress`."""

    def __init__(self, label: str, total: int, done: int = 0) -> None:
        super().__init__(label, total, done)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        # Nothing is drawn but by calls: a thread that draws would take time from what is being measured.
        self._bar = Progress(
            TextColumn("{task.description:<32}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=20),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[time]}", markup=False, table_column=Column(no_wrap=True)),
            # The note has what is left of the line, so that it never takes room from the others.
            TextColumn(
                "{task.fields[note]}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=Console(stderr=True),
            expand=True,
            auto_refresh=False,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task(self.label, total=total, completed=done, time="", note="")
        self._drawn = 0.0

    def _show(self, note: str) -> None:
        if (now := time.monotonic()) - self._drawn > _DRAWN_EVERY_S:
            self._drawn = now
            self._bar.update(self._task, completed=self.done, time=self._left(), note=note, refresh=True)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._bar.update(self._task, completed=self.done, time=self._end(error), note="")
        self._bar.stop()


@contextmanager
def notes_shown(debug: bool = False) -> Iterator[None]:
    """Show on stderr what the library logs meanwhile: from INFO on, or everything with `debug`."""
    log = logging.getLogger("legodnn")
    handler, level, propagate = _NotesHandler(), log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    log.propagate = False  # libraries of the offline stage give the root logger a handler, which would repeat the notes
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


class _NotesHandler(logging.Handler):
    """One line for each record, with `warning: ` before warnings and what is worse."""

    def emit(self, record: logging.LogRecord) -> None:
        _say_on_stderr(("warning: " if record.levelno >= logging.WARNING else "") + self.format(record))


def _say_on_stderr(text: str) -> None:
    with suppress(OSError):  # nobody reads stderr any more, which is no reason to stop the work
        if sys.stderr is not None:  # it was closed when the command was started
            print(printable(text), file=sys.stderr, flush=True)
