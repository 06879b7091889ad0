"""The user's cache folder: what was prepared for stores on this device, one folder for each entry.

    LEGODNN_CACHE        the folder, where ~ is the user's home; else $XDG_CACHE_HOME/legodnn, else ~/.cache/legodnn
    LEGODNN_CACHE_LIMIT  what all entries may take together, such as 500MB; 2GB if it is not set

The name of an entry is a hash of everything that it depends on: the store's content, the library's version, the CPU.
An entry is made under a temporary name and renamed when it is complete. When all entries together exceed the limit,
those that were not used for the longest time are removed. What an entry holds is for others to say: `weight_cache`
keeps packed weights, and `trial` an empty folder for each store that was tried out with the Interpreter.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import mmap
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from legodnn.errors import ConfigError, PackingError
from legodnn.files import make_folder
from legodnn.store import Store
from legodnn.units import parse_size

CACHE_VARIABLE = "LEGODNN_CACHE"
LIMIT_VARIABLE = "LEGODNN_CACHE_LIMIT"
CACHE_FORMAT = "9"
_DEFAULT_LIMIT = "2GB"
_UNFINISHED = ".making-"
_NAME_LENGTH = 40
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """Return the cache folder, which is created if it does not exist.

    Raises:
        ConfigError: LEGODNN_CACHE names a folder that cannot be used, or that others may write to.
        PackingError: the same of the default folder, or there is no room on the disk.
    """
    chosen, base = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    unusable = ConfigError if chosen else PackingError
    path = Path(chosen) if chosen else Path(base or "~/.cache") / "legodnn"
    try:
        path = path.expanduser()  # a user of a container may have no home
        make_folder(path, 0o700)
        status = path.stat()
    except (OSError, RuntimeError) as e:
        unusable = PackingError if isinstance(e, OSError) and e.errno in _DISK_FULL else unusable
        raise unusable(f"cannot use the cache folder {path} ({e}); set {CACHE_VARIABLE} to one of yours") from None
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise unusable(f"{path} can be written by others; make it yours alone (chmod 700) or set {CACHE_VARIABLE}")
    return path


def cache_limit() -> int:
    """Return how many bytes all entries together may take; ConfigError if LEGODNN_CACHE_LIMIT is not a size."""
    given = os.environ.get(LIMIT_VARIABLE)
    try:
        return parse_size(given or _DEFAULT_LIMIT)
    except ValueError as e:
        raise ConfigError(f"{LIMIT_VARIABLE}: {e}") from None


def entry_name(store: Store, executor_name: str) -> str:
    """Return the name of the entry that holds what was prepared to run a store with an executor on this device.

    Args:
        store: the store; its content counts, not where it lies.
        executor_name: package and version of what runs it.
    """
    # Files are mapped in whole pages, and a Raspberry Pi 5 has kernels with pages of 4 and of 16 KiB.
    parts = (CACHE_FORMAT, store.id, executor_name, platform.machine(), str(mmap.PAGESIZE), _cpu())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_NAME_LENGTH]


@functools.cache
def _cpu() -> str:
    """Return everything about the CPU's cores that XNNPACK chooses its kernels by."""
    keys = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.partition(":")[0].strip() in keys}))


def mark_used(entry: Path) -> None:
    """Record that an entry is used now, so that others are removed before it."""
    with contextlib.suppress(OSError):  # a cache that is read-only keeps no order of use
        os.utime(entry)


@contextlib.contextmanager
def unfinished_entry(cache: Path) -> Iterator[Path]:
    """Give a new folder to make an entry in; it is removed at the end unless it was renamed.

    The folder is locked meanwhile. The lock ends with this process, however it ends, so what a killed process left
    behind is recognised without a clock.
    """
    path, lock = _locked_folder(cache)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _locked_folder(cache: Path) -> tuple[Path, int]:
    """Create a folder; return it and the descriptor that holds its lock."""
    while True:
        path = Path(tempfile.mkdtemp(dir=cache, prefix=_UNFINISHED))
        with contextlib.suppress(FileNotFoundError):  # another process removed it before it was locked
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):  # where files cannot be locked, nothing is ever taken for abandoned
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove_abandoned(path: Path) -> None:
    """Remove an unfinished entry, unless the process that makes it still runs."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except OSError:  # its maker holds the lock
        return
    finally:
        os.close(lock)


def entry_bytes(entry: Path) -> int:
    """Return the bytes that an entry takes. FileNotFoundError if another process has removed it."""
    return sum(file.stat().st_size for file in entry.iterdir())


def evict(cache: Path, limit: int, keep: str) -> None:
    """Remove the entries that were not used for the longest time, until the others take at most `limit` bytes.

    Unfinished entries whose makers have ended are removed as well.

    Args:
        cache: the cache folder.
        limit: bytes.
        keep: the name of an entry that is neither counted nor removed.
    """
    entries = []
    for path in cache.iterdir():
        if not path.is_dir() or path.name == keep:
            continue
        if path.name.startswith(_UNFINISHED):
            _remove_abandoned(path)
        elif len(path.name) == _NAME_LENGTH:
            with contextlib.suppress(FileNotFoundError):  # another process removes it as well
                entries.append((path.stat().st_mtime, path, entry_bytes(path)))
    total = sum(size for _, _, size in entries)
    for _, path, size in sorted(entries):
        if total <= limit:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= size
