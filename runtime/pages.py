"""Where a file is mapped in this process, and handing its pages back. Linux."""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path

Span = tuple[int, int]  # first address, and the one after the last

_C = ctypes.CDLL(None)
_C.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def mapped(fd: int) -> set[Span]:
    """Where a file is mapped in this process."""
    path = re.escape(str(Path(f"/proc/self/fd/{fd}").readlink()))
    found = re.findall(rf"^([0-9a-f]+)-([0-9a-f]+) .* {path}$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    return {(int(start, 16), int(end, 16)) for start, end in found}


def drop(span: Span) -> None:
    """Hand a span's pages back. What is read again comes from the page cache, or from disk."""
    start, end = span
    _C.madvise(start, end - start, mmap.MADV_DONTNEED)
