"""Whether heat or a weak power supply slows this device down, as far as the device tells.

A Raspberry Pi's firmware has a bit for each reason. Elsewhere Linux has thermal zones with trip points, and cooling
devices that slow processors down. The clock is only recorded: a low clock can also mean that the processor is idle.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from legodnn.runtime.device.kernel_files import number, text

# Bits of the Pi's `get_throttled` that hold at the moment; bits from 16 on say that the same has happened before.
_PI_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_PI_FILES = ("soc*/*firmware/get_throttled", "*firmware/get_throttled")  # the path differs from model to model
_TIMEOUT_S = 1.0
# Temperatures beyond these come from sensors that are not connected.
_LEAST_C, _MOST_C = -40.0, 150.0


@dataclass(frozen=True)
class Thermal:
    """What the device tells about heat.

    Attributes:
        throttled: why the processor is slowed down; "" if it is not, or if the device does not tell.
        temperature_c: temperature of the hottest thermal zone in degrees Celsius.
        clock: clock of the fastest core as a fraction of its highest clock.
    """

    throttled: str = ""
    temperature_c: float | None = None
    clock: float | None = None


def read_thermal(root: Path, vcgencmd: str | None = None) -> Thermal:
    """Read what the device tells about heat at the moment.

    Args:
        root: the folder that holds `sys`.
        vcgencmd: path of the Raspberry Pi's command `vcgencmd`, for systems whose kernel does not show the same bits.
    """
    zones = list(_zones(root))
    why = [*_firmware(root, vcgencmd), *(why for _, why in zones if why), *_cooling(root)]
    return Thermal(
        throttled=", ".join(dict.fromkeys(why)),
        temperature_c=max((c for c, _ in zones), default=None),
        clock=_clock(root),
    )


def _firmware(root: Path, vcgencmd: str | None) -> list[str]:
    """Return the reasons for which a Raspberry Pi's firmware slows the processor down."""
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
    """Yield for each thermal zone its temperature in degrees Celsius, and what is wrong with it ("" if nothing is)."""
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        millidegrees = number(zone / "temp")
        if millidegrees is None or not _LEAST_C <= millidegrees / 1000 <= _MOST_C:
            continue
        trips = [
            trip
            for kind in zone.glob("trip_point_*_type")
            if text(kind).strip() == "passive"  # above this temperature the system slows the processor down
            and (trip := number(kind.with_name(kind.name.replace("_type", "_temp")))) is not None
            and trip > 0
        ]
        hot = bool(trips) and millidegrees >= min(trips)
        name = text(zone / "type").strip() or zone.name
        yield millidegrees / 1000, f"{name} at {millidegrees / 1000:.0f} °C" if hot else ""


def _cooling(root: Path) -> Iterator[str]:
    """Yield the cooling devices that slow processors down at the moment."""
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = text(device / "type").strip()
        slows = kind == "Processor" or "cpufreq" in kind
        if slows and (number(device / "cur_state") or 0) > 0:
            yield f"{kind} cooling"


def _clock(root: Path) -> float | None:
    """Return the clock of the fastest core as a fraction of its highest clock."""
    ratios = []
    for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"):
        now, most = number(folder / "scaling_cur_freq"), number(folder / "cpuinfo_max_freq")
        if now and most:
            ratios.append(now / most)
    return max(ratios, default=None)
