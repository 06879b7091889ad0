"""Changing the state of the whole process for a while, where several threads may do so at once."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

_CHANGING = threading.Condition(threading.RLock())  # one for all scopes, which no fork comes in the midst of


class SharedScope:
    """A context that many threads may be in at once: the first one enters it, and the last one that goes leaves it.

    Otherwise a thread that comes later would take the changed state for the one to go back to, and leave it for ever.
    A process that is forked off has none of the other threads, so there they are inside no more.

    Example:

        >>> from contextlib import nullcontext
        >>> quiet = SharedScope(nullcontext)
        >>> with quiet, quiet: pass
    """

    def __init__(self, context: Callable[[], AbstractContextManager[object]]) -> None:
        """Make a scope that nobody is in. `context` makes what is entered, each time anew."""
        self._context, self._entered = context, ExitStack()
        self._inside: list[int] = []  # the threads
        _SCOPES.add(self)

    def __enter__(self) -> None:
        """Enter, unless another thread has."""
        with _CHANGING:
            if not self._inside:
                self._entered.enter_context(self._context())
            self._inside.append(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        """Leave, if no other thread is inside any more."""
        with _CHANGING:
            self._inside.remove(threading.get_ident())
            self._left()

    def _left(self) -> None:
        if not self._inside:
            self._entered.close()
            _CHANGING.notify_all()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Wait until no other thread is inside, and let none enter meanwhile. Keep it short."""
        own = threading.get_ident()
        with _CHANGING:
            _CHANGING.wait_for(lambda: all(thread == own for thread in self._inside))
            yield

    def forked(self) -> None:
        """Leave, in a process that was forked off, what threads had entered that are not in it."""
        if self._inside:
            own = threading.get_ident()
            self._inside = [thread for thread in self._inside if thread == own]
            self._left()


_SCOPES: weakref.WeakSet[SharedScope] = weakref.WeakSet()


def _forked() -> None:
    for scope in _SCOPES:
        scope.forked()
    _CHANGING.release()


os.register_at_fork(before=_CHANGING.acquire, after_in_parent=_CHANGING.release, after_in_child=_forked)


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


WITHOUT_WARNINGS = SharedScope(_without_warnings)  # Python's warnings, of all threads, are dropped meanwhile
