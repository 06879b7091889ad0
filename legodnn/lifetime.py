"""Being open: used by the process that opened it until it is closed, and released once.

A process that was forked off has copies of everything, but shares sockets and memory with the first one, lacks its
threads, and may have inherited locks that nobody will ever release. So what was opened before cannot be used there, and
nothing is released there: that is the first process's to do.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from legodnn.errors import ClosedError


class Lifetime:
    """Of one thing, from its opening to its closing."""

    def __init__(self, what: str) -> None:
        """It is open from now on; `what` is what messages call it, such as 'this runtime'."""
        self._what, self._pid, self._ended = what, os.getpid(), threading.Lock()

    def check(self) -> None:
        """ClosedError unless it is open, and in this process. To be called before any lock is waited for."""
        if os.getpid() != self._pid:
            raise ClosedError(
                f"{self._what} was opened by the process that this one was forked off, and cannot be used here; "
                "open one in this process"
            )
        if self._ended.locked():
            raise ClosedError(f"{self._what} is closed; open a new one")

    def end(self) -> bool:
        """Whether the caller is to release it: true once, and never in a process that was forked off."""
        return os.getpid() == self._pid and self._ended.acquire(blocking=False)


def release_with(owner: object, release: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """What calls `release(*arguments)` once: when it is called itself, or else when `owner` is dropped.

    Never in a process that was forked off; and not when Python ends, for then threads may still be using it, and the
    system releases everything. What the arguments refer to lasts until then.
    """
    finalizer = weakref.finalize(owner, _release, os.getpid(), release, *arguments)
    finalizer.atexit = False
    return finalizer


def _release(pid: int, release: Callable[..., Any], *arguments: Any) -> Any:
    return release(*arguments) if os.getpid() == pid else None
