"""Meters of energy, and `open_meter`, which finds one by the name that `legodnn profile --energy` takes.

RAPL counters (Intel and AMD), the power management chip of a Raspberry Pi 5, a battery's gauge, a file to which an
external power meter writes; and an estimate, CPU seconds times the watts that the user gives.

To add a meter, write a class that fulfils `Meter`: `__init__` raises ProfileError where the meter does not work, with
a message that says why, and `joules` measures. A meter that reads watts gets `joules` from `sampled_joules`. Then add
a line to `METERS`: the command line and `legodnn doctor` find it there. Last, name it in the help text of `--energy`
(legodnn/commands/profile.py) and in docs/profiler.md.
"""

from __future__ import annotations

import math
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from legodnn.errors import ConfigError, ProfileError
from legodnn.files import with_home
from legodnn.printable import printable
from legodnn.runtime.device.kernel_files import number, text

_SAMPLE_S = 0.1
_TIMEOUT_S = 2.0
_MOST_WATTS = 1000


class Meter(Protocol):
    """Measures the energy that work takes.

    Attributes:
        name: what profiles call the meter.
        estimate: whether the meter calculates energy rather than measures it.
        window_s: how long work has to go on to be measured well.
    """

    name: str
    estimate: bool
    window_s: float

    def joules(self, work: Callable[[], None]) -> float:
        """Do the work; returns the joules that the device, or the part of it that the meter sees, took meanwhile.

        Raises:
            ProfileError: the meter failed.
        """
        ...


class Rapl:
    """Running average power limit counters of the processor packages: microjoules, which wrap around."""

    name, estimate, window_s = "rapl", False, 0.2

    def __init__(self, root: Path = Path("/")) -> None:
        """Find the counters. ProfileError if there are none, or they cannot be read."""
        zones = sorted((root / "sys/class/powercap").glob("intel-rapl:?"))
        # Laptops have a zone of the whole system, which counts the energy of the packages once more.
        self._zones = [zone for zone in zones if text(zone / "name").strip() != "psys"]
        if not self._zones:
            raise ProfileError(
                "this processor, or the virtual machine, shows no RAPL counters (/sys/class/powercap); name another "
                "meter, or watts:N for an estimate"
            )
        if any(number(zone / "energy_uj") is None for zone in self._zones):
            raise ProfileError(
                "RAPL counters can only be read by root here: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
            )

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`."""
        before = self._read()
        work()
        after = self._read()
        ranges = [number(zone / "max_energy_range_uj") or 0 for zone in self._zones]
        used = (b - a if b >= a else b - a + most for a, b, most in zip(before, after, ranges, strict=True))
        return sum(used) / 1e6

    def _read(self) -> list[int]:
        return [number(zone / "energy_uj") or 0 for zone in self._zones]


class Pmic:
    """The power management chip of a Raspberry Pi 5: amperes times volts of every rail that it measures."""

    name, estimate, window_s = "pmic", False, 1.0

    def __init__(self, command: tuple[str, ...] = ("vcgencmd", "pmic_read_adc")) -> None:
        """Read the chip by a command. ProfileError unless the command tells currents."""
        self._command = command
        self.watts()

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`."""
        return sampled_joules(self.watts, work)

    def watts(self) -> float:
        """The power of all measured rails at this moment."""
        try:
            done = subprocess.run(self._command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as e:
            raise ProfileError(
                f"`{' '.join(self._command)}` does not answer ({e}); is this a Raspberry Pi 5?"
            ) from None
        found: dict[str, dict[str, float]] = {"A": {}, "V": {}}
        for rail, kind, value in re.findall(r"(\w+)_([AV]) \w+\(\d+\)=([\d.]+)[AV]", done.stdout):
            found[kind][rail] = float(value)
        rails = found["A"].keys() & found["V"].keys()
        if not rails:
            raise ProfileError(f"`{' '.join(self._command)}` tells no currents; is this a Raspberry Pi 5?")
        return sum(found["A"][rail] * found["V"][rail] for rail in rails)


class Battery:
    """A battery's gauge. It is slow and sees the whole device: run nothing else, and take power from the battery."""

    name, estimate, window_s = "battery", False, 5.0

    def __init__(self, root: Path = Path("/")) -> None:
        """Find the batteries. ProfileError if none tells its power, or the device takes power from elsewhere."""
        folders = sorted((root / "sys/class/power_supply").glob("*"))
        self._folders = [  # those of this device: the battery of a mouse has the scope "Device"
            f for f in folders if text(f / "type").strip() == "Battery" and text(f / "scope").strip() != "Device"
        ]
        self.watts()

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`."""
        return sampled_joules(self.watts, work)

    def watts(self) -> float:
        """The power that all batteries give at this moment."""
        total, known = 0.0, False
        states = {folder.name: text(folder / "status").strip() for folder in self._folders}
        if charging := [name for name, state in states.items() if state == "Charging"]:
            raise ProfileError(f"{charging[0]} is being charged; unplug the device to measure energy")
        if states and not {"Discharging", "Unknown", ""} & set(states.values()):
            raise ProfileError(f"{', '.join(states)} gives no power; unplug the device to measure energy")
        for folder in self._folders:
            power, current, volts = (number(folder / f) for f in ("power_now", "current_now", "voltage_now"))
            if power is not None:
                total, known = total + abs(power) / 1e6, True
            elif current is not None and volts is not None:
                total, known = total + abs(current) * volts / 1e12, True
        if not known:
            raise ProfileError("no battery under /sys/class/power_supply tells its power")
        return total


class External:
    """A file to which an external power meter appends lines `unix seconds,watts` while profiling goes on."""

    estimate, window_s = False, 1.0

    def __init__(self, path: Path) -> None:
        """Read the file. ProfileError if that is not possible."""
        self.name, self._path = f"csv:{printable(path.name)}", path
        self._rows()

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`. Waits until the meter has written a line from after the work."""
        start = time.time()
        work()
        end, deadline = time.time(), time.monotonic() + 10 * _TIMEOUT_S
        while True:
            rows = self._rows()
            if rows and rows[-1][0] >= end:
                break
            if time.monotonic() > deadline:
                raise ProfileError(f"{self._path} has had no new lines for a while; is the meter still writing to it?")
            time.sleep(_SAMPLE_S)
        times, watts = zip(*rows, strict=True)
        if times[0] > start:
            raise ProfileError(f"{self._path} begins after the measurement; start the meter before profiling")
        points = [start, *(t for t in times if start < t < end), end]
        return _integral(points, np.interp(points, times, watts).tolist())

    def _rows(self) -> list[tuple[float, float]]:
        """The readings so far: (unix seconds, watts)."""
        try:
            content = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError as e:
            raise ProfileError(f"cannot read {self._path}: {e.strerror or e}") from None
        rows = []
        for line in content.split("\n")[:-1]:  # what follows the last end of a line is still being written
            with suppress(ValueError):  # a heading
                seconds, watts = map(float, line.split(",")[:2])
                if math.isfinite(seconds) and math.isfinite(watts):
                    rows.append((seconds, watts))
        return rows


class CpuSeconds:
    """An estimate: this process's CPU seconds times the watts that a busy core is said to take."""

    estimate, window_s = True, 0.2

    def __init__(self, watts: float) -> None:
        """Take the watts of one busy core. ConfigError if they make no sense."""
        if not 0 < watts < _MOST_WATTS:
            raise ConfigError(f"{watts:g} watts a core make no sense; give a number between 0 and {_MOST_WATTS}")
        self.name, self._watts = f"CPU seconds x {watts:g} W", watts

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`."""
        start = time.process_time()
        work()
        return (time.process_time() - start) * self._watts


def sampled_joules(watts: Callable[[], float], work: Callable[[], None]) -> float:
    """Do the work; returns its joules, from watts that a thread reads again and again meanwhile.

    Readings that fail meanwhile are left out; the first and the last must not.
    """
    readings, done = [(time.monotonic(), watts())], threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_S):
            with suppress(ProfileError):
                readings.append((time.monotonic(), watts()))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    readings.append((time.monotonic(), watts()))
    return _integral(*zip(*readings, strict=True))


def _integral(times: Sequence[float], watts: Sequence[float]) -> float:
    """Joules, by the trapezoidal rule."""
    t, w = np.asarray(times, float), np.asarray(watts, float)
    return float(np.sum(np.diff(t) * (w[1:] + w[:-1]) / 2))


class MeterKind(NamedTuple):
    """How a meter is opened.

    Attributes:
        open: makes the meter of what follows the colon of its name, and of the folder that `/proc` and `/sys` are in.
        argument: what stands after the colon; "" for a meter whose name has none.
    """

    open: Callable[[str, Path], Meter]
    argument: str = ""


METERS: Mapping[str, MeterKind] = {
    "rapl": MeterKind(lambda _, root: Rapl(root)),
    "pmic": MeterKind(lambda _, root: Pmic()),
    "battery": MeterKind(lambda _, root: Battery(root)),
    "csv": MeterKind(lambda path, _: External(Path(with_home(path))), "FILE"),
    "watts": MeterKind(lambda watts, _: CpuSeconds(_watts(watts)), "NUMBER"),
}


def open_meter(name: str, root: Path = Path("/")) -> Meter:
    """The meter called `rapl`, `pmic`, `battery`, `csv:FILE`, or `watts:NUMBER` for an estimate.

    Args:
        name: a key of `METERS`, and a colon and its argument if it takes one.
        root: the folder that `/proc` and `/sys` are in.

    Raises:
        ConfigError: there is no such meter; the message names those that there are.
        ProfileError: it does not work on this device; the message says why.
    """
    kind, colon, argument = name.partition(":")
    meter = METERS.get(kind)
    if meter is None or (colon != "") != (meter.argument != "") or (colon and not argument):
        *names, last = (f"{n}:{m.argument}" if m.argument else n for n, m in METERS.items())
        raise ConfigError(f"no meter {name!r}; there are {', '.join(names)} and {last}")
    return meter.open(argument, root)


def _watts(argument: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", argument):
        raise ConfigError(f"watts:{argument} gives no number of watts; write watts:3.5, say")
    return float(argument)
