"""Progress of long work, as the library tells it: the caller passes what shows it, and the default shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ProgressTask(Protocol):
    """One piece of long work that is being shown."""

    def step(self, note: str = "") -> None:
        """Tell that one more unit of work is done; `note` says what was done last."""
        ...

    def at(self, done: float, note: str = "") -> None:
        """Tell how many units are done in all, where work is not counted in calls (seconds, say)."""
        ...


class Progress(Protocol):
    """What a caller passes to long work: it opens a `ProgressTask` for the time that a `with` statement takes."""

    def __call__(self, label: str, total: int, done: int = 0) -> AbstractContextManager[ProgressTask]:
        """Begin to show work.

        Args:
            label: what is done, in a few words.
            total: units of work in all.
            done: units that an earlier, interrupted run has done.
        """
        ...


class _Silent:
    def step(self, note: str = "") -> None:
        pass

    def at(self, done: float, note: str = "") -> None:
        pass


@contextmanager
def no_progress(label: str, total: int, done: int = 0) -> Iterator[ProgressTask]:
    """Show nothing: the default of everything that takes a `Progress`."""
    yield _Silent()
