"""The address space of this process: where a file is mapped, giving its pages back, and whether room is left. Linux."""

from __future__ import annotations

import ctypes
import mmap
import re
import resource
from pathlib import Path

from legodnn.errors import ExecutionError
from legodnn.units import size

Span = tuple[int, int]  # the first address, and the one after the last

_SPARE_BYTES = 16_000_000  # LiteRT allocates less than this besides weights and threads
_STACK_BYTES = 8_000_000  # of a thread, where the size of stacks is not limited

_C = ctypes.CDLL(None)
_C.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def mapped_spans(fd: int) -> set[Span]:
    """Return where an open file is mapped in this process."""
    path = re.escape(str(Path(f"/proc/self/fd/{fd}").readlink()))
    found = re.findall(rf"^([0-9a-f]+)-([0-9a-f]+) .* {path}$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    return {(int(start, 16), int(end, 16)) for start, end in found}


def drop_pages(span: Span) -> None:
    """Give the pages of a span back to the system. Reading them again takes them from the page cache or the disk."""
    start, end = span
    _C.madvise(start, end - start, mmap.MADV_DONTNEED)


def check_room(weights: int, threads: int) -> None:
    """Check that a model can still be opened under this process's limit of address space (`ulimit -v`).

    This is checked beforehand because LiteRT ends the process when it cannot map weights or start a thread.

    Args:
        weights: bytes of weights that will be mapped.
        threads: the number of threads that the model will run with; all but one are started for it.

    Raises:
        ExecutionError: too little address space is left.
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
