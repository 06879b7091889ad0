"""Silencing what native libraries write to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from legodnn.shared_scope import SharedScope


def native_stderr_silenced() -> SharedScope:
    """Drop everything that is written to file descriptor 2 meanwhile, by other threads too. Keep it short."""
    return _SILENCED


@contextmanager
def _silenced() -> Iterator[None]:
    if sys.stderr is not None:
        with suppress(OSError, ValueError):  # it is closed, or nobody reads it any more
            sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # a service that was started without standard error
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


_SILENCED = SharedScope(_silenced)
