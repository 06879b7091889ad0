"""Whether heat (or a weak power supply) makes this device slower, as far as it tells.

A Raspberry Pi's firmware says so in so many bits. Elsewhere Linux has thermal zones with trip points, and cooling
devices that slow processors down. The clock is read for the record: a low one can also be a processor that idles.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from legodnn.runtime.device.cgroup import number, text

# Bits of the Pi's `get_throttled` that hold at this moment; those above 16 are a memory of the same.
_PI_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_PI_FILES = ("soc*/*firmware/get_throttled", "*firmware/get_throttled")  # where it is differs from model to model
_TIMEOUT_S = 1.0
# Sensors that are not connected report nonsense.
_LEAST_C, _MOST_C = -40.0, 150.0


@dataclass(frozen=True)
class Thermal:
    """What is known of heat.

    Attributes:
        throttled: why the processor is being held back, or "" if it is not, or nothing is known.
        temperature_c: of the hottest zone.
        clock: of the fastest core, as a fraction of the most it can.
    """

    throttled: str = ""
    temperature_c: float | None = None
    clock: float | None = None


def read_thermal(root: Path, vcgencmd: str | None = None) -> Thermal:
    """What is known at this moment.

    Args:
        root: where `sys` is.
        vcgencmd: the Raspberry Pi's command, for systems whose kernel does not show what it says.
    """
    zones = list(_zones(root))
    why = [*_firmware(root, vcgencmd), *(why for _, why in zones if why), *_cooling(root)]
    return Thermal(
        throttled=", ".join(dict.fromkeys(why)),
        temperature_c=max((c for c, _ in zones), default=None),
        clock=_clock(root),
    )


def _firmware(root: Path, vcgencmd: str | None) -> list[str]:
    files = (file for pattern in _PI_FILES for file in (root / "sys/devices/platform").glob(pattern))
    found = text(next(files, root / "none")).strip()
    if not found and vcgencmd:
        try:
            done = subprocess.run([vcgencmd, "get_throttled"], capture_output=True, text=True, timeout=_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            return []
        found = done.stdout.strip().removeprefix("throttled=")
    try:
        bits = int(found, 16)
    except ValueError:
        return []
    return [name for bit, name in _PI_BITS.items() if bits >> bit & 1]


def _zones(root: Path) -> Iterator[tuple[float, str]]:
    """Of each thermal zone its temperature, and what is wrong with it."""
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        millidegrees = number(zone / "temp")
        if millidegrees is None or not _LEAST_C <= millidegrees / 1000 <= _MOST_C:
            continue
        trips = [
            trip
            for kind in zone.glob("trip_point_*_type")
            if text(kind).strip() == "passive"  # the point from which the system slows the processor down
            and (trip := number(kind.with_name(kind.name.replace("_type", "_temp")))) is not None
            and trip > 0
        ]
        hot = bool(trips) and millidegrees >= min(trips)
        name = text(zone / "type").strip() or zone.name
        yield millidegrees / 1000, f"{name} at {millidegrees / 1000:.0f} °C" if hot else ""


def _cooling(root: Path) -> Iterator[str]:
    """Cooling devices that slow processors down, and do so now."""
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = text(device / "type").strip()
        slows = kind == "Processor" or "cpufreq" in kind
        if slows and (number(device / "cur_state") or 0) > 0:
            yield f"{kind} cooling"


def _clock(root: Path) -> float | None:
    ratios = []
    for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"):
        now, most = number(folder / "scaling_cur_freq"), number(folder / "cpuinfo_max_freq")
        if now and most:
            ratios.append(now / most)
    return max(ratios, default=None)
