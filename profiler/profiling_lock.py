"""One process at a time measures into a file: no other goes on from it, replaces it or removes it meanwhile."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from legodnn.errors import ProfileError, WriteError
from legodnn.files import make_folder

# The files that this process holds the locks of.
_held: set[Path] = set()


@contextmanager
def held_alone(path: Path | None, doing: str) -> Iterator[None]:
    """Hold the lock of the file that a profiling is kept in, so that no other process uses, replaces or removes it.

    The lock is a file beside it, PATH.lock. It ends with the process, however that ends. Within this process it may be
    held again.

    Args:
        path: the file; None for a profiling that is not kept, which needs no lock.
        doing: what another process that holds it does, for the message.

    Raises:
        ProfileError: another process holds it.
        WriteError: there is no place for the lock.
    """
    path = path and path.absolute()
    if path is None or path in _held:
        yield
        return
    lock = path.with_name(path.name + ".lock")
    held = _locked(lock, f"{path}: another process is {doing}; wait for it, or end it")
    _held.add(path)
    try:
        yield
    finally:
        _held.remove(path)
        lock.unlink(missing_ok=True)  # while it is held: a process that has it open meanwhile finds that it is gone
        os.close(held)


def _locked(lock: Path, message: str) -> int:
    """Make a lock file and lock it; returns its descriptor. ProfileError with this message if another process has."""
    while True:
        try:
            make_folder(lock.parent)
            held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as e:
            raise WriteError(f"cannot write {lock}: {e.strerror or e}") from None
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            raise ProfileError(message) from None
        except OSError:  # where files cannot be locked, nobody is kept out
            return held
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), lock.stat()):
                return held
        os.close(held)  # whoever had it before removed it between opening and locking
