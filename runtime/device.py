"""What this device is, as far as measurements depend on it."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
from pathlib import Path

import psutil

from legodnn.profile import Fingerprint
from legodnn.runtime.executor import executor_name

_C_LIBRARY = ctypes.CDLL(None)


@functools.cache
def fingerprint(executor: str | None = None) -> Fingerprint:
    """CPU, architecture, usable cores, and what runs the blocks (see `legodnn.runtime.executor.executor_kind`)."""
    return Fingerprint(
        machine=platform.machine(), cpu=cpu_name(), cores=usable_cores(), executor=executor_name(executor)
    )


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_memory_bytes() -> int:
    """Proportional set size (PSS) of this process; resident size where the system does not tell PSS."""
    info = psutil.Process().memory_full_info()
    return int(getattr(info, "pss", info.rss))


def release_freed_memory() -> None:
    """Have the C library give freed memory back to the system, where it can (glibc); elsewhere nothing happens."""
    if trim := getattr(_C_LIBRARY, "malloc_trim", None):
        trim(0)


def cpu_name(root: Path = Path("/")) -> str:
    """The processor's name: 'model name' on x86, the board's 'Model' on a Raspberry Pi."""
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    for key in ("model name", "Model", "Hardware"):
        if match := re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE):
            return match[1].strip()
    return platform.processor() or "unknown"
