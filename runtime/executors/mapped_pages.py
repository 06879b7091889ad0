"""Address space of this process: what is left of it, where a file is mapped, and handing its pages back. Linux."""

from __future__ import annotations

import ctypes
import mmap
import re
import resource
from pathlib import Path

from legodnn.errors import ExecutionError
from legodnn.units import size

Span = tuple[int, int]  # first address, and the one after the last

_SPARE_BYTES = 16_000_000  # what LiteRT allocates besides weights and threads
_STACK_BYTES = 8_000_000  # of a thread, where it is not limited

_C = ctypes.CDLL(None)
_C.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def mapped_spans(fd: int) -> set[Span]:
    """Where a file is mapped in this process."""
    path = re.escape(str(Path(f"/proc/self/fd/{fd}").readlink()))
    found = re.findall(rf"^([0-9a-f]+)-([0-9a-f]+) .* {path}$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    return {(int(start, 16), int(end, 16)) for start, end in found}


def drop_pages(span: Span) -> None:
    """Hand a span's pages back. What is read again comes from the page cache, or from disk."""
    start, end = span
    _C.madvise(start, end - start, mmap.MADV_DONTNEED)


def check_room(weights: int, threads: int) -> None:
    """ExecutionError unless a model can still be opened under this process's limit of address space (`ulimit -v`).

    LiteRT does not say when it cannot map weights or start a thread: it ends the process.

    Args:
        weights: bytes that will be mapped.
        threads: of the model; all but one are started for it.
    """
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stack = _STACK_BYTES if stack == resource.RLIM_INFINITY else stack
    needed = weights + _SPARE_BYTES + (threads - 1) * (stack + mmap.PAGESIZE)
    try:
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()
    except (OSError, OverflowError, ValueError):
        raise ExecutionError(
            f"{size(needed)} of address space are needed for a model and its threads, and are not left; "
            "raise the limit (ulimit -v), or open fewer models"
        ) from None
