"""Changing the state of the whole process for a while, where several threads may do so at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class SharedScope:
    """A context that many threads may be in at once: the first one enters it, and the last one that goes leaves it.

    Otherwise a thread that comes later would take the changed state for the one to go back to, and leave it for ever.

    Example:

        >>> from contextlib import nullcontext
        >>> quiet = SharedScope(nullcontext)
        >>> with quiet, quiet: pass
    """

    def __init__(self, context: Callable[[], AbstractContextManager[object]]) -> None:
        """Make a scope that nobody is in. `context` makes what is entered, each time anew."""
        self._context, self._changing = context, threading.Lock()
        self._inside, self._entered = 0, ExitStack()

    def __enter__(self) -> None:
        """Enter, unless another thread has."""
        with self._changing:
            if not self._inside:
                self._entered.enter_context(self._context())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        """Leave, if no other thread is inside any more."""
        with self._changing:
            self._inside -= 1
            if not self._inside:
                self._entered.close()


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


WITHOUT_WARNINGS = SharedScope(_without_warnings)  # Python's warnings, of all threads, are dropped meanwhile
