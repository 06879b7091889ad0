"""Energy of inferences and switches, as the device tells it.

Meters stand behind one protocol: RAPL (Intel and AMD, through powercap), the power management chip of a Raspberry Pi 5,
a battery's own gauge, a file that an external power meter writes; or an estimate, CPU seconds times watts that the
user gives. `open_meter` finds them by name.
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
from typing import Protocol, TypeVar

import numpy as np

from legodnn.console import ProgressLine
from legodnn.errors import ProfileError
from legodnn.profile import Energy
from legodnn.profiler.latency import Bench
from legodnn.runtime.device.cgroup import number, text

_T = TypeVar("_T")
METERS = ("rapl", "pmic", "battery")
_SAMPLE_S = 0.1
_TIMEOUT_S = 2.0


class Meter(Protocol):
    """Measures the joules that something takes.

    Attributes:
        name: what profiles call it.
        estimate: whether it calculates rather than measures.
        window_s: how long something has to go on to be measured well.
    """

    name: str
    estimate: bool
    window_s: float

    def joules(self, work: Callable[[], None]) -> float:
        """Do the work; what the device (or what the meter sees of it) took meanwhile."""
        ...


class Rapl:
    """Running average power limit counters of the processor packages, in microjoules, that wrap around."""

    name, estimate, window_s = "rapl", False, 0.2

    def __init__(self, root: Path = Path("/")) -> None:
        """ProfileError if there are no counters, or they cannot be read."""
        zones = sorted((root / "sys/class/powercap").glob("intel-rapl:?"))
        # Laptops have a zone for the whole system beside those of packages, which it counts again.
        self._zones = [zone for zone in zones if text(zone / "name").strip() != "psys"]
        if not self._zones:
            raise ProfileError("this processor, or the virtual machine, shows no RAPL counters (/sys/class/powercap)")
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


class _Sampled:
    """A meter that knows watts: they are read in a thread of its own and summed over time."""

    estimate = False

    def watts(self) -> float:
        raise NotImplementedError

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`."""
        readings, done = [(time.monotonic(), self.watts())], threading.Event()

        def sample() -> None:
            while not done.wait(_SAMPLE_S):
                with suppress(ProfileError):
                    readings.append((time.monotonic(), self.watts()))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            work()
        finally:
            done.set()
            thread.join()
        readings.append((time.monotonic(), self.watts()))
        return _integral(*zip(*readings, strict=True))


class Pmic(_Sampled):
    """A Raspberry Pi 5's power management chip: amperes times volts of every rail it measures."""

    name, window_s = "pmic", 1.0

    def __init__(self, command: tuple[str, ...] = ("vcgencmd", "pmic_read_adc")) -> None:
        """ProfileError unless the command answers."""
        self._command = command
        self.watts()

    def watts(self) -> float:
        """At this moment."""
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


class Battery(_Sampled):
    """A battery's gauge. It is slow and shows the whole device: run nothing else, and on battery."""

    name, window_s = "battery", 5.0

    def __init__(self, root: Path = Path("/")) -> None:
        """ProfileError if there is no battery that tells its power, or the device takes power from elsewhere."""
        folders = sorted((root / "sys/class/power_supply").glob("*"))
        self._folders = [  # of this device, not of a mouse
            f for f in folders if text(f / "type").strip() == "Battery" and text(f / "scope").strip() != "Device"
        ]
        self.watts()

    def watts(self) -> float:
        """At this moment."""
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
    """A file to which an external power meter appends lines `unix seconds,watts`, while profiling goes on."""

    estimate, window_s = False, 1.0

    def __init__(self, path: Path) -> None:
        """ProfileError if the file cannot be read."""
        self.name, self._path = f"csv:{path.name}", path
        self._rows()

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`."""
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
        inside = [t for t in times if start < t < end]
        points = [start, *inside, end]
        return _integral(points, np.interp(points, times, watts).tolist())

    def _rows(self) -> list[tuple[float, float]]:
        try:
            content = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError as e:
            raise ProfileError(f"cannot read {self._path}: {e.strerror or e}") from None
        rows = []
        for line in content.split("\n")[:-1]:  # what follows the last line's end is still being written
            with suppress(ValueError):  # a heading
                seconds, watts = map(float, line.split(",")[:2])
                if math.isfinite(seconds) and math.isfinite(watts):
                    rows.append((seconds, watts))
        return rows


class CpuSeconds:
    """An estimate: this process's CPU seconds times the watts that a busy core is said to take."""

    estimate, window_s = True, 0.2

    def __init__(self, watts: float) -> None:
        """ProfileError unless watts are positive."""
        if not 0 < watts < 1000:
            raise ProfileError(f"{watts} watts a core make no sense")
        self.name, self._watts = f"CPU seconds x {watts:g} W", watts

    def joules(self, work: Callable[[], None]) -> float:
        """See `Meter.joules`."""
        start = time.process_time()
        work()
        return (time.process_time() - start) * self._watts


def open_meter(name: str, root: Path = Path("/")) -> Meter:
    """The meter called `rapl`, `pmic`, `battery`, `csv:FILE`, or `watts:NUMBER` for an estimate.

    Raises:
        ProfileError: there is no such meter, or it does not work here; the message says why.
    """
    kind, _, argument = name.partition(":")
    if kind == "csv" and argument:
        return External(Path(argument))
    if kind == "watts" and re.fullmatch(r"\d+(\.\d+)?", argument):
        return CpuSeconds(float(argument))
    if name == "rapl":
        return Rapl(root)
    if name == "battery":
        return Battery(root)
    if name == "pmic":
        return Pmic()
    raise ProfileError(f"no meter {name!r}; there are {', '.join(METERS)}, csv:FILE and watts:NUMBER")


def measure_energy(
    bench: Bench,
    meter: Meter,
    done: Mapping[str, np.ndarray] | None = None,
    save: Callable[[dict[str, np.ndarray]], None] = lambda found: None,
) -> tuple[dict[tuple[str, str], float], Energy]:
    """Millijoules of a run of each option, beyond what the idle device takes; and of a switch.

    At the first of the bench's thread counts. Each option runs on its own, with whatever its inputs hold: what weights
    and activations say does not matter to the time it takes. The bench cannot be used afterwards, for switches let go.

    Args:
        bench: what is run.
        meter: what measures.
        done: what an interrupted measurement with this meter had, by `segment number/option number`.
        save: is given all that has been measured after each option.
    """
    threads, window = bench.threads[0], meter.window_s
    idle_w = 0.0 if meter.estimate else meter.joules(lambda: time.sleep(window)) / window
    bench.composition((0,) * len(bench.segments), threads).run(bench.input)

    def each(work: Callable[[], None]) -> float:
        """Millijoules of each of as many repetitions as fill the window."""
        count, start = 0, 0.0

        def repeat() -> None:
            nonlocal count, start
            start = time.monotonic()
            while time.monotonic() - start < window:
                work()
                count += 1
            start = time.monotonic() - start

        joules = meter.joules(repeat)
        return max(0.0, joules - idle_w * start) / count * 1e3

    found = dict(done or {})
    with ProgressLine(f"energy of {bench.store.name}", sum(map(len, bench.options)), len(found)) as progress:
        for s, options in enumerate(bench.options):
            for i in range(len(options)):
                if f"{s}/{i}" in found:
                    continue
                numbers = [0] * len(bench.segments)
                numbers[s] = i
                found[f"{s}/{i}"] = np.array(each(bench.composition(numbers, threads).steps[s]))
                save(found)
                progress.step()
    ends = [tuple(n % len(o) for o in bench.options) for n in (0, -1)]
    runs = [bench.composition(numbers, threads) for numbers in ends]
    run_mj = each(lambda: _each(lambda c: c.run(bench.input), runs))
    both_mj = each(lambda: _each(lambda numbers: bench.switch_and_run(numbers, threads), ends))
    names = {
        (segment.name, option.name): float(found[f"{s}/{i}"])
        for s, (segment, options) in enumerate(zip(bench.segments, bench.options, strict=True))
        for i, option in enumerate(options)
    }
    return names, Energy(
        meter=meter.name, estimate=meter.estimate, idle_w=idle_w, switch_mj=max(0.0, both_mj - run_mj) / 2
    )


def _each(work: Callable[[_T], object], things: Sequence[_T]) -> None:
    for thing in things:
        work(thing)


def _integral(times: object, watts: object) -> float:
    """Joules, by the trapezoidal rule."""
    t, w = np.asarray(times, float), np.asarray(watts, float)
    return float(np.sum(np.diff(t) * (w[1:] + w[:-1]) / 2))
