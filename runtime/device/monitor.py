"""What the device has to spare at the moment: memory and processor time, and signs that it is under pressure or hot.

    monitor = Monitor()
    readings = monitor.read()
    print(readings.memory_available_bytes, readings.cpu_pressure)

A monitor only reads. `legodnn.runtime.governing.policy` decides what follows from the readings.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from legodnn.runtime.device.cgroup import pressure, read_group
from legodnn.runtime.device.fair_share import FIRST, Competitor, Processes, fair_cores, family, read_processes
from legodnn.runtime.device.kernel_files import text
from legodnn.runtime.device.processor import usable_cores
from legodnn.runtime.device.thermal import read_thermal

_LEAST_CORES = 0.02  # a process that uses fewer is not counted as a competitor
_LEAST_S = 0.25  # over fewer seconds a tick of the kernel's count, 10 ms, would look like whole processors


@dataclass(frozen=True)
class Readings:
    """The state of the device at one moment. A figure that the device does not tell is None.

    Attributes:
        time_s: the time in seconds of a clock that never goes back.
        memory_total_bytes: the system's memory, or the lowest limit of this process's control groups if that is lower.
        memory_available_bytes: how much can be allocated before the system must swap or a group's limit is reached. The
            system counts all file pages as available; those that this process has mapped (libraries, packed weights)
            are not counted here, because it would have to read them again at once.
        memory_pressure, cpu_pressure: the share of the last ten seconds in which some process had to wait for memory or
            for a processor (PSI), 0 to 1; the system's or the group's, whichever is greater.
        cores_total: how many processors the device has.
        cores_allowed: how many of them this process may use, or fewer if its group has a quota of time: what the others
            in that group leave of it, or this process's share if that is more.
        busy_cores: processor seconds that all processes used in each second since the reading before (`Monitor.read`).
        own_cores: the same, of this process and its children.
        competing: the part of `busy_cores` that others used, and their weights beside this process. Processes that
            cannot be seen or do hardly anything are not among them.
        throttled: why the processor is slowed down (heat, power); "" if it is not.
        temperature_c: temperature of the hottest thermal zone in degrees Celsius.
        clock: clock of the fastest core as a fraction of its highest clock.
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
    competing: tuple[Competitor, ...] = ()
    throttled: str = ""
    temperature_c: float | None = None
    clock: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the readings as JSON values, rounded for a line of a log."""
        found = {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}
        return found | {"competing": [[round(c.cores, 3), float(f"{c.weight:.3g}")] for c in self.competing]}


@dataclass(frozen=True)
class _Spent:
    """Processor seconds that had been used at a moment.

    Attributes:
        time_s: the moment.
        busy: seconds used by all together; None if the system does not tell.
        first: seconds used by what goes before every process, such as interrupts.
        processes: the processes that can be seen, with what each has used.
        group: seconds used by all processes of the group with the lowest quota; None if there is none.
    """

    time_s: float
    busy: float | None
    first: float
    processes: Processes
    group: float | None = None


class Monitor:
    """Reads the state of the device. It remembers how much processor time had been used at the last readings."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Make a monitor of this device.

        Args:
            root: the folder that holds the kernel's files (`proc`, `sys`). Processes and the system's memory are always
                read from the real ones.
        """
        self._root = root
        self._vcgencmd = shutil.which("vcgencmd")
        self._last: _Spent | None = None
        self._before: _Spent | None = None  # the one before that, by `_LEAST_S` at least

    def read(self) -> Readings:
        """Read the state of the device. This takes a few milliseconds.

        Figures of processor time cover the time since the last reading, or since the one before it where that was just
        now, and are None at the first one.

        Raises:
            OSError: the system does not even tell its memory.
        """
        memory, group = psutil.virtual_memory(), read_group(self._root)
        thermal = read_thermal(self._root, self._vcgencmd)
        now = _spent(group.used_s)
        if self._last is None or now.time_s - self._last.time_s >= _LEAST_S:
            self._before, self._last = self._last, now
        last = self._before
        own = family(now.processes, os.getpid())
        busy_cores, own_cores, competing = _between(last, now, own)
        available = _least(memory.available, group.memory_available_bytes)
        total = float(psutil.cpu_count() or 1)
        quota = total if group.cores is None else _left(group.cores, last, now, own_cores)
        return Readings(
            time_s=now.time_s,
            memory_total_bytes=_least(memory.total, group.memory_limit_bytes),
            memory_available_bytes=max(0, available - _mapped(own)),
            memory_pressure=_greatest(pressure(self._root / "proc/pressure/memory"), group.memory_pressure),
            cpu_pressure=_greatest(pressure(self._root / "proc/pressure/cpu"), group.cpu_pressure),
            cores_total=total,
            cores_allowed=min(float(usable_cores()), quota),
            busy_cores=busy_cores,
            own_cores=own_cores,
            competing=competing,
            throttled=thermal.throttled,
            temperature_c=thermal.temperature_c,
            clock=thermal.clock,
        )


def _spent(group: float | None) -> _Spent:
    """Read how much processor time has been used until now; `group` is what the group with a quota has used."""
    try:
        times = psutil.cpu_times()
    except (OSError, ValueError):  # this process may not read it, as on Android
        return _Spent(time.monotonic(), None, 0.0, read_processes(), group)
    idle = times.idle + getattr(times, "iowait", 0.0)
    # A guest's time is part of user and nice. Time that other virtual machines took (steal) counts as busy.
    counted = sum(times) - sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice"))
    first = sum(getattr(times, name, 0.0) for name in ("irq", "softirq", "steal"))
    return _Spent(time.monotonic(), float(counted - idle), first, read_processes(), group)


def _between(
    last: _Spent | None, now: _Spent, own: Processes
) -> tuple[float | None, float | None, tuple[Competitor, ...]]:
    """Return the cores that were busy between two moments: all of them, this process's family's, and the competitors.

    Args:
        last: the earlier moment; None if there is none.
        now: the later moment.
        own: this process and its descendants.
    """
    if last is None or last.busy is None or now.busy is None or not own or now.time_s <= last.time_s:
        return None, None, ()
    seconds = now.time_s - last.time_s

    def cores(key: tuple[int, int]) -> float:
        before = last.processes[key].seconds if key in last.processes else 0.0
        return max(0.0, now.processes[key].seconds - before) / seconds

    mine = now.processes[next(iter(own))].weight
    first = Competitor(max(0.0, now.first - last.first) / seconds, FIRST)
    others = [Competitor(cores(key), now.processes[key].weight / mine) for key in now.processes if key not in own]
    competing = sorted((c for c in (first, *others) if c.cores >= _LEAST_CORES), key=lambda c: -c.cores)
    busy = max(0.0, (now.busy - last.busy) / seconds)
    return busy, sum(cores(key) for key in own), tuple(competing)


def _left(quota: float, last: _Spent | None, now: _Spent, own_cores: float | None) -> float:
    """Return the cores of a group's quota that this process could use beside the others in the group.

    Args:
        quota: the cores that all of them may use.
        last, now: two moments, as for `_between`.
        own_cores: the cores that this process's family used between them.
    """
    if last is None or last.group is None or now.group is None or own_cores is None:
        return quota
    others = max(0.0, (now.group - last.group) / (now.time_s - last.time_s) - own_cores)
    return max(quota - others, fair_cores(quota, [Competitor(others, 1.0)], quota))


def _mapped(own: Processes) -> int:
    """Return the bytes of file pages in memory that this process and its children have mapped.

    Shared memory is not included, because the system does not count it as available either.
    """
    found = (re.search(r"^RssFile:\s*(\d+) kB", text(Path(f"/proc/{pid}/status")), re.M) for pid, _ in own)
    return max((int(m[1]) * 1024 for m in found if m), default=0)  # no sum, for children map much the same files


def _least(value: int, bound: int | None) -> int:
    return value if bound is None else min(value, bound)


def _greatest(*values: float | None) -> float | None:
    return max((v for v in values if v is not None), default=None)
