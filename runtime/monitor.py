"""What the device has to spare at this moment: memory, processor time, and signs of strain.

    monitor = Monitor()
    monitor.read()      # Readings: what is available, how pressed the device is

It only looks. What should follow from it is for `legodnn.runtime.policy` to say.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from legodnn.runtime.cgroup import pressure, read_group
from legodnn.runtime.thermal import read_thermal


@dataclass(frozen=True)
class Readings:
    """The state of the device at one moment; None where it does not tell.

    Attributes:
        time_s: of a clock that never goes back.
        memory_total_bytes: the system's memory, or what its control groups allow this process, if that is less.
        memory_available_bytes: what could be allocated before the system must swap, or a group's limit is reached. The
            system counts file pages as available; those that this process has mapped (libraries, packed weights) are
            not, since it would miss them at once.
        memory_pressure, cpu_pressure: the share of the last ten seconds in which some process had to wait for it (PSI),
            0 to 1; the system's or the group's, whichever is greater.
        cores_total: processors of the device.
        cores_allowed: those that this process may use, or less if its group has a quota of time.
        busy_cores: processor seconds spent in each second by all processes since the reading before.
        own_cores: the same by this process and its children.
        throttled: why the processor is held back (heat, power); "" if it is not.
        temperature_c: of the hottest zone.
        clock: of the fastest core, as a fraction of the most it can.
    """

    time_s: float
    memory_total_bytes: int
    memory_available_bytes: int
    memory_pressure: float | None = None
    cpu_pressure: float | None = None
    cores_total: float = 1.0
    cores_allowed: float = 1.0
    busy_cores: float | None = None
    own_cores: float | None = None
    throttled: str = ""
    temperature_c: float | None = None
    clock: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For log lines."""
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}


class Monitor:
    """Reads the device; remembers what processor time had been spent at the last reading."""

    def __init__(self, root: Path = Path("/"), vcgencmd: str | None = None) -> None:
        """A monitor of this device.

        Args:
            root: where the kernel's files (`proc`, `sys`) are.
            vcgencmd: the Raspberry Pi's command; looked for if None.
        """
        self._root = root
        self._vcgencmd = vcgencmd or shutil.which("vcgencmd")
        self._process = psutil.Process()
        self._last: tuple[float, float, float] | None = None

    def read(self) -> Readings:
        """What is so now. Takes a few milliseconds."""
        now, memory, group = time.monotonic(), psutil.virtual_memory(), read_group(self._root)
        thermal = read_thermal(self._root, self._vcgencmd)
        own, mapped = self._own()
        busy = _busy_seconds()
        busy_cores = own_cores = None
        if self._last is not None and now > self._last[0]:
            seconds = now - self._last[0]
            busy_cores = max(0.0, (busy - self._last[1]) / seconds)
            own_cores = max(0.0, (own - self._last[2]) / seconds)
        self._last = now, busy, own
        available = _least(memory.available, group.memory_available_bytes)
        total = float(psutil.cpu_count() or 1)
        return Readings(
            time_s=now,
            memory_total_bytes=_least(memory.total, group.memory_limit_bytes),
            memory_available_bytes=max(0, available - mapped),
            memory_pressure=_greatest(pressure(self._root / "proc/pressure/memory"), group.memory_pressure),
            cpu_pressure=_greatest(pressure(self._root / "proc/pressure/cpu"), group.cpu_pressure),
            cores_total=total,
            cores_allowed=min(_usable_cores(total), total if group.cores is None else group.cores),
            busy_cores=busy_cores,
            own_cores=own_cores,
            throttled=thermal.throttled,
            temperature_c=thermal.temperature_c,
            clock=thermal.clock,
        )

    def _own(self) -> tuple[float, int]:
        """Processor seconds that this process and its children have spent, and bytes of files that they have mapped."""
        seconds, mapped = 0.0, 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                times, memory = process.cpu_times(), process.memory_info()
            except psutil.NoSuchProcess:  # ended since it was listed
                continue
            seconds += times.user + times.system
            mapped = max(mapped, getattr(memory, "shared", 0))  # children map much the same files
        return seconds, mapped


def _busy_seconds() -> float:
    """Processor seconds that all processes have spent since the system started."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # A guest's time is part of user and nice. What other machines stole counts: it is not to be had either.
    counted = sum(times) - sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice"))
    return float(counted - idle)


def _usable_cores(total: float) -> float:
    return float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else total


def _least(value: int, bound: int | None) -> int:
    return value if bound is None else min(value, bound)


def _greatest(*values: float | None) -> float | None:
    return max((v for v in values if v is not None), default=None)
