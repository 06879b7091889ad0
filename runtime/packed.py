"""Packed weights, kept in the user's cache folder: XNNPACK's own layout of a store's weights, and the linked model's
head, made once for each store and device.

An entry is a folder named by what it depends on: the store's content, LiteRT's version, the CPU. It is made under a
temporary name in a process of its own and renamed; its checksums are verified before it is used; its files are
read-only and never written again. Entries that were not used for longest go when all together exceed a limit.

    LEGODNN_CACHE        the folder; else $XDG_CACHE_HOME/legodnn, else ~/.cache/legodnn
    LEGODNN_CACHE_LIMIT  what all entries may take, such as 500MB; 2GB unless said otherwise

    python -m legodnn.runtime.packed STORE FOLDER

makes the files of one entry.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from legodnn.console import parse_size
from legodnn.errors import LegoError, StoreError
from legodnn.runtime import capi, linking
from legodnn.runtime.processes import child_environment
from legodnn.store import Store

FORMAT = "4"
_HEAD, _WEIGHTS, _SUMS = "head.tflite", "weights.packed", "sums.json"
_LIMIT = "2GB"
_SPARE_BYTES = 32_000_000
_ABANDONED_S = 3600


class PackingError(LegoError):
    """Packed weights cannot be made or kept; models run without them, slower to load and to switch."""


@dataclass(frozen=True)
class Packed:
    """An entry that was verified.

    Attributes:
        head: see `linking`.
        weights: file descriptor of the packed weights, read only.
    """

    head: bytes
    weights: int

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.weights)


def folder() -> Path:
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


def entry_name(store: Store) -> str:
    """What an entry is called: a hash of everything that packed weights depend on."""
    parts = (FORMAT, store.id, capi.version(), platform.machine(), _cpu())
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


def open_packed(store: Store) -> Packed:
    """A store's packed weights, made first if they are not there or damaged.

    Raises:
        StoreError: a file of the store is not what the manifest says.
        PackingError: they cannot be made or kept.
    """
    path = folder() / entry_name(store)
    found = _opened(path)
    if found is None:
        _make(store, path)
        found = _opened(path)
    if found is None:
        raise PackingError(f"{path} is damaged again as soon as it is made; is the disk in order?")
    return found


def is_packed(store: Store) -> bool:
    """Whether a store's packed weights are there, and not damaged, so that `open_packed` need not make them."""
    try:
        found = _opened(folder() / entry_name(store))
    except PackingError:
        return False
    if found:
        found.close()
    return found is not None


def _opened(path: Path) -> Packed | None:
    """An entry, verified; None if there is none, or none that can be used."""
    fds: list[int] = []
    try:
        sums = json.loads((path / _SUMS).read_bytes())
        for name in (_HEAD, _WEIGHTS):
            fds.append(os.open(path / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
            if _digest(fds[-1]) != sums[name]:
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
    return Packed(head, fds[1])


_verified: dict[tuple[int, ...], str] = {}


def _digest(fd: int) -> str:
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
    needed = sum(option.bytes for _, option in linking.options(store)) * 5 // 4 + _SPARE_BYTES
    limit = parse_size(os.environ.get("LEGODNN_CACHE_LIMIT") or _LIMIT)
    if needed - _SPARE_BYTES > limit:
        raise PackingError(f"its packed weights take more than the cache may (LEGODNN_CACHE_LIMIT is {limit} bytes)")
    temporary = None
    try:
        _evict(path.parent, limit - needed, keep=path.name)
        if shutil.disk_usage(path.parent).free < needed:
            raise PackingError(f"there is no room for packed weights in {path.parent}")
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=".making-"))
        _pack_outside(store, temporary)
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
    shutil.rmtree(path / "damaged", ignore_errors=True)


def _pack_outside(store: Store, target: Path) -> None:
    """Run this module in a process of its own: what packing takes, or a crash, stays there."""
    command = [sys.executable, "-m", "legodnn.runtime.packed", str(store.path), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment())
    if done.returncode:
        answer = done.stdout.strip().splitlines()
        kind, _, message = (answer[-1] if answer else "").partition(": ")
        if kind == "StoreError":
            raise StoreError(message)
        raise PackingError(message or f"packing ended with status {done.returncode}")


def _evict(cache: Path, limit: int, keep: str) -> None:
    """Remove what was not used for longest until the rest takes at most `limit` bytes, and what was abandoned."""
    entries = []
    for path in cache.iterdir():
        if not path.is_dir() or path.name == keep:
            continue
        used = path.stat().st_mtime
        if path.name.startswith(".making-"):
            if time.time() - used > _ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)
        elif len(path.name) == 40:
            entries.append((used, path, sum(f.stat().st_size for f in path.iterdir())))
    total = sum(size for _, _, size in entries)
    for _, path, size in sorted(entries):
        if total <= limit:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= size


def pack(store: Store, target: Path) -> None:
    """Write the files of an entry into a folder."""
    head = linking.link(store)
    (target / _HEAD).write_bytes(head)
    placed = linking.place(store, head)
    try:
        capi.Model(placed.address, placed.size, 1, target / _WEIGHTS).close()
    finally:
        placed.close()
    sums = {}
    for name in (_HEAD, _WEIGHTS):
        (target / name).chmod(0o400)
        fd = os.open(target / name, os.O_RDONLY)
        sums[name] = _digest(fd)
        os.close(fd)
    (target / _SUMS).write_text(json.dumps(sums))


if __name__ == "__main__":
    try:
        pack(Store(sys.argv[1]), Path(sys.argv[2]))
    except (LegoError, linking.LinkError, OSError) as e:
        kind = "StoreError" if isinstance(e, StoreError) else "PackingError"
        print(f"{kind}: {e}")
        sys.exit(1)
