"""How much memory a process takes, and giving freed memory back to the system."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import psutil

from legodnn.errors import DependencyError

_C_LIBRARY = ctypes.CDLL(None)
_M_ARENA_MAX = -8  # of malloc.h
# The first line of a mapping in smaps: whether it may be executed, and its file.
_MAPPING = re.compile(rb"[0-9a-f]+-[0-9a-f]+ ..(.). \S+ \S+ \d+ *(.*)\n")


def process_memory_bytes() -> int:
    """Return the bytes of memory that this process takes: its proportional set size (PSS) without program code.

    Private pages count fully, and pages that are shared by n processes count 1/n. Files that are mapped as code are
    left out, because their share changes by megabytes whenever another process that uses the same libraries starts or
    ends. Where the system does not tell PSS, this is the resident set size.

    Raises:
        DependencyError: there is no /proc.
    """
    by_path: dict[bytes, int] = {}
    code, path = set(), b""
    try:
        # Line by line: a buffer for the whole text would count, and stay with the C library at times.
        with Path("/proc/self/smaps").open("rb") as smaps:
            for line in smaps:
                if line.startswith(b"Pss:"):
                    by_path[path] = by_path.get(path, 0) + int(line.split()[1])
                elif found := _MAPPING.fullmatch(line):
                    path = found[2]
                    if found[1] == b"x" and path.startswith(b"/"):
                        code.add(path)
    except OSError:
        if not Path("/proc/self").exists():
            raise DependencyError("what a process holds is not known without /proc; mount it here") from None
        return int(psutil.Process().memory_info().rss)
    return sum(size for path, size in by_path.items() if path not in code) * 1024


def release_freed_memory() -> None:
    """Have the C library give freed memory back to the system. Only glibc can; elsewhere this does nothing."""
    if trim := getattr(_C_LIBRARY, "malloc_trim", None):
        trim(0)


def limit_heaps(count: int) -> None:
    """Have the C library keep at most so many heaps for all threads together. Only glibc can; elsewhere do nothing.

    By default it keeps up to eight for each processor. Threads that come and go leave each of them partly used, and a
    process that opens models again and again grows by that.
    """
    if option := getattr(_C_LIBRARY, "mallopt", None):
        option(_M_ARENA_MAX, count)
