"""How much memory a process takes, and giving freed memory back to the system."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import psutil

from legodnn.errors import DependencyError

_C_LIBRARY = ctypes.CDLL(None)
# A mapping in smaps: whether it may be executed, its file, and its proportional set size.
_MAPPING = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ ..(.). \S+ \S+ \d+ *(.*)\n(?:\w+:.*\n)*?Pss: +(\d+) kB", re.MULTILINE)


def process_memory_bytes(pid: int | str = "self") -> int:
    """Return the bytes of memory that a process takes: its proportional set size (PSS) without program code.

    Private pages count fully, and pages that are shared by n processes count 1/n. Files that are mapped as code are
    left out, because their share changes by megabytes whenever another process that uses the same libraries starts or
    ends. Where the system does not tell PSS, this is the resident set size.

    Args:
        pid: the process id; 'self' for this process.

    Raises:
        DependencyError: there is no /proc.
        psutil.NoSuchProcess: there is no such process.
    """
    try:
        text = Path(f"/proc/{pid}/smaps").read_bytes()
    except OSError:
        if not Path("/proc/self").exists():
            raise DependencyError("what a process holds is not known without /proc; mount it here") from None
        return int(psutil.Process(None if pid == "self" else int(pid)).memory_info().rss)
    by_path: dict[bytes, int] = {}
    code = set()
    for executable, path, kilobytes in _MAPPING.findall(text):
        by_path[path] = by_path.get(path, 0) + int(kilobytes)
        if executable == b"x" and path.startswith(b"/"):
            code.add(path)
    return sum(size for path, size in by_path.items() if path not in code) * 1024


def release_freed_memory() -> None:
    """Have the C library give freed memory back to the system. Only glibc can; elsewhere this does nothing."""
    if trim := getattr(_C_LIBRARY, "malloc_trim", None):
        trim(0)
