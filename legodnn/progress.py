"""How the library reports the progress of long work. The caller passes what shows it; the default shows nothing.

The command line's ways of showing it are in `legodnn.console`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ProgressTask(Protocol):
    """A piece of long work whose progress is shown."""

    def step(self, note: str = "") -> None:
        """Report that one more unit of work is done; `note` says what was done last."""
        ...

    def at(self, done: float, note: str = "") -> None:
        """Report how many units are done in all, where work is not counted in calls but in seconds, say."""
        ...


class Progress(Protocol):
    """What a caller passes to long work, which opens a `ProgressTask` with it in a `with` statement.

    Example:
        >>> def count(progress: Progress = no_progress) -> None:
        ...     with progress("counting", total=3) as task:
        ...         for i in range(3):
        ...             task.step(f"at {i}")
        >>> count()
    """

    def __call__(self, label: str, total: int, done: int = 0) -> AbstractContextManager[ProgressTask]:
        """Begin to show work.

        Args:
            label: what is done, in a few words.
            total: the units of work in all.
            done: the units that an earlier, interrupted run has done.
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
