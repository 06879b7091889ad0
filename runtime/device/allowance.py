"""What work of this process may use: processors and memory, by its affinity and the limits of its control groups."""

from __future__ import annotations

import math
from pathlib import Path

import psutil

from legodnn.runtime.device.cgroup import read_group
from legodnn.runtime.device.processor import usable_cores


def usable_processors(root: Path = Path("/")) -> int:
    """Return how many threads can compute at a time: one for each core that this process may run on.

    Where a container or a service has a quota of processor time, more threads than that would wait for one another; a
    part of a core counts as a core.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    quota = read_group(root).cores
    return usable_cores() if quota is None else max(1, min(usable_cores(), math.ceil(quota)))


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Return how much may be allocated: the system's available memory, or what a container's limit leaves if less.

    Args:
        root: the folder that holds `proc` and `sys`.

    Raises:
        OSError: the system does not tell its memory.
    """
    available, within = int(psutil.virtual_memory().available), read_group(root).memory_available_bytes
    return available if within is None else min(available, within)
