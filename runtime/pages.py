"""Which pages of a mapped file this process holds, and handing them back. Linux."""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path

import numpy as np

Span = tuple[int, int]  # first address, and the one after the last

_C = ctypes.CDLL(None)
_C.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def mapped(fd: int) -> set[Span]:
    """Where a file is mapped in this process."""
    path = re.escape(str(Path(f"/proc/self/fd/{fd}").readlink()))
    found = re.findall(rf"^([0-9a-f]+)-([0-9a-f]+) .* {path}$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    return {(int(start, 16), int(end, 16)) for start, end in found}


def held(span: Span) -> Span | None:
    """From the first to the last page of a span that counts as this process's memory; None for none."""
    start, end = span
    with Path("/proc/self/pagemap").open("rb") as f:
        f.seek(start // mmap.PAGESIZE * 8)
        entries = np.frombuffer(f.read((end - start) // mmap.PAGESIZE * 8), np.uint64)
    (present,) = np.nonzero(entries >> np.uint64(63))
    if not len(present):
        return None
    return start + int(present[0]) * mmap.PAGESIZE, start + (int(present[-1]) + 1) * mmap.PAGESIZE


def drop(span: Span) -> None:
    """Hand a span's pages back. If they are read again they come from the page cache, or from disk."""
    start, end = span
    _C.madvise(start, end - start, mmap.MADV_DONTNEED)
