"""The lifetime of things that are opened: they can be used until they are closed, by the process that opened them, and
are released exactly once.

A process that was forked off has copies of everything, but it shares sockets and memory with the first process, lacks
its threads, and may have inherited locks that nobody will ever release. So what was opened before the fork cannot be
used there, and is not released there: only the first process does that.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from legodnn.errors import ClosedError


class Lifetime:
    """The time from the opening of one thing to its closing."""

    def __init__(self, what: str) -> None:
        """Begin the lifetime. `what` is what messages call the thing, such as 'this runtime'."""
        self._what, self._pid, self._ended = what, os.getpid(), threading.Lock()

    def check(self) -> None:
        """Raise ClosedError unless it is open and this process opened it. Call this before waiting for any lock."""
        if os.getpid() != self._pid:
            raise ClosedError(
                f"{self._what} was opened by the process that this one was forked off, and cannot be used here; "
                "open one in this process"
            )
        if self._ended.locked():
            raise ClosedError(f"{self._what} is closed; open a new one")

    def lasts(self) -> bool:
        """Whether it is open, and this process opened it."""
        return os.getpid() == self._pid and not self._ended.locked()

    def end(self) -> bool:
        """End the lifetime. Return whether the caller is to release the thing: True once, and never after a fork."""
        return os.getpid() == self._pid and self._ended.acquire(blocking=False)


def release_with(owner: object, release: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Have `release(*arguments)` called once: when the function that this returns is called, or when `owner` is
    dropped.

    It is not called in a process that was forked off, nor when Python ends: then threads may still be using what it
    would release, and the system releases everything anyway. The arguments are kept alive until the call.

    Example:

        >>> class Owner: pass
        >>> owner = Owner()
        >>> release = release_with(owner, print, "released")
        >>> release()
        released
        >>> release()
    """
    finalizer = weakref.finalize(owner, _release, os.getpid(), release, *arguments)
    finalizer.atexit = False
    return finalizer


def _release(pid: int, release: Callable[..., Any], *arguments: Any) -> Any:
    """Call `release` if this is still the process with the given id."""
    return release(*arguments) if os.getpid() == pid else None
