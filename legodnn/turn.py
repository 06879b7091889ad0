"""Taking a lock in a thread that may have it already.

A signal handler of Python runs in the main thread, between two of its instructions. Waiting there for what the main
thread has would never end.
"""

from __future__ import annotations

import threading

from legodnn.errors import ExecutionError


def turn(lock: threading.RLock, what: str) -> threading.RLock:
    """Return a lock, to be taken by `with`, unless this thread has it.

    Args:
        lock: the lock. It is taken by Python itself, so that no signal can come between taking it and the `with` block.
        what: what messages call the thing that it guards, such as 'this runtime'.

    Raises:
        ExecutionError: this thread has it, so this is a signal handler that has interrupted what uses the thing.

    Example:

        >>> with turn(threading.RLock(), "this model"): pass
    """
    if lock._is_owned():  # type: ignore[attr-defined]  # which `threading.Condition` asks as well
        raise ExecutionError(
            f"{what} is in use by what this signal handler has interrupted; have the handler set a flag or raise "
            "SystemExit, and do this afterwards"
        )
    return lock
