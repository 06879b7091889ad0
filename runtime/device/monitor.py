"""What the device has to spare at this moment: memory, processor time, and signs of strain.

    monitor = Monitor()
    monitor.read()      # Readings: what is available, how pressed the device is

It only looks. What should follow from it is for `legodnn.runtime.governing.policy` to say.
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

from legodnn.runtime.device.cgroup import pressure, read_group, text
from legodnn.runtime.device.fair_share import FIRST, Competitor, Processes, family, read_processes
from legodnn.runtime.device.processor import usable_cores
from legodnn.runtime.device.thermal import read_thermal

_LEAST_CORES = 0.02  # a process that uses less is no competitor


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
        competing: what others spend of `busy_cores`, and with what weight beside this process; what is not among them
            (processes that cannot be seen or hardly do anything) counts as ordinary.
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
    competing: tuple[Competitor, ...] = ()
    throttled: str = ""
    temperature_c: float | None = None
    clock: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For log lines."""
        found = {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}
        return found | {"competing": [[round(c.cores, 3), float(f"{c.weight:.3g}")] for c in self.competing]}


@dataclass(frozen=True)
class _Spent:
    """Processor seconds spent until a moment: by all, by what comes before every process, and by each that is seen."""

    time_s: float
    busy: float | None
    first: float
    processes: Processes


class Monitor:
    """Reads the device; remembers what processor time had been spent at the last reading."""

    def __init__(self, root: Path = Path("/"), vcgencmd: str | None = None) -> None:
        """A monitor of this device.

        Args:
            root: where the kernel's files (`proc`, `sys`) are; processes and the system's memory are this one's always.
            vcgencmd: the Raspberry Pi's command; looked for if None.
        """
        self._root = root
        self._vcgencmd = vcgencmd or shutil.which("vcgencmd")
        self._last: _Spent | None = None

    def read(self) -> Readings:
        """What is so now. Takes a few milliseconds.

        Raises:
            OSError: the system does not even tell its memory.
        """
        memory, group = psutil.virtual_memory(), read_group(self._root)
        thermal = read_thermal(self._root, self._vcgencmd)
        last, now = self._last, _spent()
        self._last = now
        own = family(now.processes, os.getpid())
        busy_cores, own_cores, competing = _between(last, now, own)
        available = _least(memory.available, group.memory_available_bytes)
        total = float(psutil.cpu_count() or 1)
        return Readings(
            time_s=now.time_s,
            memory_total_bytes=_least(memory.total, group.memory_limit_bytes),
            memory_available_bytes=max(0, available - _mapped(own)),
            memory_pressure=_greatest(pressure(self._root / "proc/pressure/memory"), group.memory_pressure),
            cpu_pressure=_greatest(pressure(self._root / "proc/pressure/cpu"), group.cpu_pressure),
            cores_total=total,
            cores_allowed=min(float(usable_cores()), total if group.cores is None else group.cores),
            busy_cores=busy_cores,
            own_cores=own_cores,
            competing=competing,
            throttled=thermal.throttled,
            temperature_c=thermal.temperature_c,
            clock=thermal.clock,
        )


def _spent() -> _Spent:
    try:
        times = psutil.cpu_times()
    except (OSError, ValueError):  # not for this process to know, as on Android
        return _Spent(time.monotonic(), None, 0.0, read_processes())
    idle = times.idle + getattr(times, "iowait", 0.0)
    # A guest's time is part of user and nice. What other machines stole counts: it is not to be had either.
    counted = sum(times) - sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice"))
    first = sum(getattr(times, name, 0.0) for name in ("irq", "softirq", "steal"))
    return _Spent(time.monotonic(), float(counted - idle), first, read_processes())


def _between(
    last: _Spent | None, now: _Spent, own: Processes
) -> tuple[float | None, float | None, tuple[Competitor, ...]]:
    """Processors kept busy between two moments, by all and by this process's family, and who else did."""
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


def _mapped(own: Processes) -> int:
    """Bytes of files that this process and its children have mapped and in memory.

    Shared memory is not among them: it is no file page, and the system does not count it as available.
    """
    found = (re.search(r"^RssFile:\s*(\d+) kB", text(Path(f"/proc/{pid}/status")), re.M) for pid, _ in own)
    return max((int(m[1]) * 1024 for m in found if m), default=0)  # children map much the same files


def _least(value: int, bound: int | None) -> int:
    return value if bound is None else min(value, bound)


def _greatest(*values: float | None) -> float | None:
    return max((v for v in values if v is not None), default=None)
