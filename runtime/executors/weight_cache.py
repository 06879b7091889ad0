"""Packed weights, kept in the user's cache folder: XNNPACK's own layout of a store's weights, and the linked model's
head, made once for each store and device.

An entry is a folder named by what it depends on: the store's content, LiteRT's version, the CPU. It is made under a
temporary name and renamed; its checksums are verified before it is used; its files are read-only and never written
again. Entries that were not used for longest go when all together exceed a limit.

    LEGODNN_CACHE        the folder; else $XDG_CACHE_HOME/legodnn, else ~/.cache/legodnn
    LEGODNN_CACHE_LIMIT  what all entries may take, such as 500MB; 2GB unless said otherwise

Entries are made by the process that tries a store out (`trial`), so one that is there says that its store may be run.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import platform
import shutil
import tempfile
from pathlib import Path

from legodnn.errors import ConfigError, LegoError
from legodnn.lifetime import release_with
from legodnn.runtime.executors import interpreter, linked_model, litert_capi, trial
from legodnn.store import Store
from legodnn.units import parse_size

CACHE_FORMAT = "5"
HEAD, WEIGHTS, SUMS = "head.tflite", "weights.packed", "sums.json"
_LIMIT = "2GB"
_SPARE_BYTES = 32_000_000
_MAKING = ".making-"


class PackingError(LegoError):
    """Packed weights cannot be made or kept; models run without them, slower to load and to switch."""


class PackedWeights:
    """An entry that was verified.

    Attributes:
        head: see `linking`.
        weights: file descriptor of the packed weights, read only; closed when this is closed or dropped.
        close: closes it, unless that has been done.
    """

    def __init__(self, head: bytes, weights: int) -> None:
        self.head, self.weights = head, weights
        self.close = release_with(self, os.close, weights)


def cache_folder() -> Path:
    """The cache folder, made if it is not there; PackingError unless it is this user's alone."""
    chosen, base = os.environ.get("LEGODNN_CACHE"), os.environ.get("XDG_CACHE_HOME")
    path = Path(chosen) if chosen else Path(base or "~/.cache") / "legodnn"
    try:
        path = path if chosen or base else path.expanduser()  # a user of a container may have no home
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except (OSError, RuntimeError) as e:
        raise PackingError(f"cannot use the cache folder {path} ({e}); set LEGODNN_CACHE to one of yours") from None
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PackingError(f"{path} can be written by others; make it yours alone (chmod 700) or set LEGODNN_CACHE")
    return path


def entry_name(store: Store, executor: str = "") -> str:
    """What an entry is called: a hash of everything that packed weights depend on.

    Args:
        store: the store.
        executor: of the entry that says only that a store was tried out with this.
    """
    parts = (CACHE_FORMAT, store.id, executor or litert_capi.capi_version(), platform.machine(), _cpu())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


@functools.cache
def _cpu() -> str:
    """What XNNPACK chooses kernels by, of all cores."""
    keys = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.partition(":")[0].strip() in keys}))


def open_packed(store: Store) -> PackedWeights:
    """A store's packed weights, made first if they are not there or damaged.

    Raises:
        StoreError: a file of the store is not what the manifest says.
        PackingError: they cannot be made or kept.
    """
    path = cache_folder() / entry_name(store)
    found = _opened(path)
    if found is None:
        _make(store, path)
        found = _opened(path)
    if found is None:
        raise PackingError(f"{path} is damaged again as soon as it is made; is the disk in order?")
    return found


def see_tried(store: Store) -> None:
    """Have a store tried out with the Interpreter, unless that was done on this device before (`trial.run_trial`)."""
    name = entry_name(store, interpreter.interpreter_name())
    if name in _tried:
        return
    try:
        path = cache_folder() / name
    except PackingError:  # then it is done by every process
        path = None
    if path is None or not path.is_dir():
        trial.run_trial(store, "interpreter")
    if path is not None:
        with contextlib.suppress(OSError):
            path.mkdir(mode=0o700, exist_ok=True)
            os.utime(path)
    _tried.add(name)


_tried: set[str] = set()


def is_made(store: Store) -> bool:
    """Whether a store has an entry, damaged or not: if so, opening it takes little time."""
    return (cache_folder() / entry_name(store)).is_dir()


def is_packed(store: Store) -> bool:
    """Whether a store's packed weights are there, and not damaged, so that `open_packed` need not make them."""
    try:
        found = _opened(cache_folder() / entry_name(store))
    except PackingError:
        return False
    if found:
        found.close()
    return found is not None


def _opened(path: Path) -> PackedWeights | None:
    """An entry, verified; None if there is none, or none that can be used."""
    fds: list[int] = []
    try:
        sums = json.loads((path / SUMS).read_bytes())
        for name in (HEAD, WEIGHTS):
            fds.append(os.open(path / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
            if file_digest(fds[-1]) != sums[name]:
                raise ValueError
        head = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
    except (OSError, ValueError, KeyError, TypeError) as e:
        for fd in fds:
            os.close(fd)
        if isinstance(e, OSError) and not isinstance(e, FileNotFoundError):
            raise PackingError(f"cannot read {path} ({e.strerror})") from None
        return None
    os.close(fds[0])
    with contextlib.suppress(OSError):  # a cache that is read-only has no order of use
        os.utime(path)
    return PackedWeights(head, fds[1])


_verified: dict[tuple[int, ...], str] = {}


def file_digest(fd: int) -> str:
    """A file's SHA-256; computed once in a process, and again when the file has changed."""
    status = os.fstat(fd)
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if state not in _verified:
        digest = hashlib.sha256()
        place = 0
        while chunk := os.pread(fd, 1 << 20, place):
            digest.update(chunk)
            place += len(chunk)
        _verified[state] = digest.hexdigest()
    return _verified[state]


def _make(store: Store, path: Path) -> None:
    """Make an entry and put it in its place, over a damaged one if there is one."""
    needed = sum(option.bytes for _, option in linked_model.linked_options(store)) * 5 // 4 + _SPARE_BYTES
    try:
        limit = parse_size(os.environ.get("LEGODNN_CACHE_LIMIT") or _LIMIT)
    except ValueError as e:
        raise ConfigError(f"LEGODNN_CACHE_LIMIT: {e}") from None
    if needed - _SPARE_BYTES > limit:
        raise PackingError(f"its packed weights take more than the cache may (LEGODNN_CACHE_LIMIT is {limit} bytes)")
    temporary, lock = None, -1
    try:
        _evict(path.parent, limit - needed, keep=path.name)
        if shutil.disk_usage(path.parent).free < needed:
            raise PackingError(f"there is no room for packed weights in {path.parent}")
        temporary, lock = _unfinished(path.parent)
        try:
            trial.run_trial(store, "capi", temporary)
        except trial.TrialError as e:
            raise PackingError(str(e)) from None
        if path.exists() and _opened(path) is None:
            path.rename(temporary / "damaged")
        if not path.exists():  # another process may have been faster
            temporary.rename(path)
    except OSError as e:
        if not path.exists():
            raise PackingError(f"cannot write to {path.parent} ({e.strerror or e})") from None
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(lock)
    shutil.rmtree(path / "damaged", ignore_errors=True)


def _unfinished(cache: Path) -> tuple[Path, int]:
    """A new folder for an entry that is being made, and the descriptor that holds its lock: made as long as it does.

    A lock ends with its process, and no clock that jumps does harm.
    """
    while True:
        path = Path(tempfile.mkdtemp(dir=cache, prefix=_MAKING))
        with contextlib.suppress(FileNotFoundError):  # taken for abandoned between the two
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):  # where files cannot be locked, nothing is ever taken for abandoned
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove_abandoned(path: Path) -> None:
    """Remove an unfinished entry, unless the process that makes it is still there."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except OSError:  # it is being made
        return
    finally:
        os.close(lock)


def _evict(cache: Path, limit: int, keep: str) -> None:
    """Remove what was not used for longest until the rest takes at most `limit` bytes, and what was abandoned."""
    entries = []
    for path in cache.iterdir():
        if not path.is_dir() or path.name == keep:
            continue
        if path.name.startswith(_MAKING):
            _remove_abandoned(path)
        elif len(path.name) == 40:
            with contextlib.suppress(FileNotFoundError):  # another process removes it as well
                entries.append((path.stat().st_mtime, path, sum(f.stat().st_size for f in path.iterdir())))
    total = sum(size for _, _, size in entries)
    for _, path, size in sorted(entries):
        if total <= limit:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= size
