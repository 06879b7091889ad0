"""The conditions of a measurement: kernel, processor features, clock and its governor, heat; and what disturbed it."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from legodnn.profile import Conditions
from legodnn.profiler.profiling_state import StageState
from legodnn.runtime.device.kernel_files import number, text
from legodnn.runtime.device.thermal import read_thermal

# The features in /proc/cpuinfo that XNNPACK has kernels for.
_FEATURES = (
    *("ssse3", "sse4_1", "avx", "f16c", "fma", "avx2", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("asimd", "neon", "fphp", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
)
_CLOCK_CHANGE = 0.05  # a relative change of the clock that is worth a warning
_BUSY = 0.25  # a share of busy cores that is worth a warning
_KEY = "warnings"


@dataclass(frozen=True)
class Moment:
    """The processor's state at one moment.

    Attributes:
        mhz: the clock of the fastest core; None where the system does not tell.
        throttled: why the processor is held back (heat, power); "" if it is not.
    """

    mhz: float | None
    throttled: str


def moment(root: Path = Path("/")) -> Moment:
    """Read the processor's clock and throttling now.

    Args:
        root: the folder that `/proc` and `/sys` are in.
    """
    folders = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq")
    clocks = [khz for folder in folders if (khz := number(folder / "scaling_cur_freq"))]
    return Moment(max(clocks) / 1000 if clocks else None, read_thermal(root, shutil.which("vcgencmd")).throttled)


def busy_elsewhere(seconds: float = 0.3) -> float:
    """The share of this machine's cores that other processes keep busy, 0 to 1.

    This process sleeps meanwhile. 0 where the system does not allow it to know.

    Args:
        seconds: for how long the others are watched.
    """
    try:
        return float(psutil.cpu_percent(seconds)) / 100
    except (OSError, ValueError):
        return 0.0


def conditions(before: Moment, after: Moment, busy: float = 0.0, root: Path = Path("/")) -> Conditions:
    """The conditions of a measurement, with a warning for everything that may have disturbed it.

    Args:
        before, after: the processor when measuring began and ended.
        busy: the share of cores that other processes kept busy when measuring began.
        root: the folder that `/proc` and `/sys` are in.
    """
    clocks = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
    # Big and little cores may have different ones, and the first core none.
    governors = dict.fromkeys(name for clock in clocks if (name := text(clock / "scaling_governor").strip()))
    governor = ", ".join(governors) or None
    warnings = [f"the clock is limited to {now / 1000:.0f} of {most / 1000:.0f} MHz" for now, most in _limited(clocks)]
    if before.mhz and after.mhz and abs(after.mhz / before.mhz - 1) > _CLOCK_CHANGE:
        warnings.append(f"the clock went from {before.mhz:.0f} to {after.mhz:.0f} MHz while measuring")
    if before.throttled or after.throttled:
        warnings.append(f"the processor was held back: {after.throttled or before.throttled}")
    if governor and not {"performance", "schedutil"} >= set(governors):
        warnings.append(f"the clock's governor is {governor!r}; `cpupower frequency-set -g performance` steadies it")
    if busy > _BUSY:
        warnings.append(f"other processes kept {busy:.0%} of the processor busy when measuring began")
    return Conditions(
        kernel=platform.release(),
        cpu_features=cpu_features(root),
        governor=governor,
        mhz=(before.mhz, after.mhz),
        throttled=(before.throttled, after.throttled),
        warnings=tuple(warnings),
    )


def with_earlier_warnings(found: Conditions, stage: StageState) -> Conditions:
    """Conditions with the warnings of before an interruption, too: what disturbed that is still in the measurements.

    Args:
        found: the conditions since then.
        stage: holds the earlier warnings; all are saved.
    """
    earlier = json.loads(str(stage.done.get(_KEY, "[]")))
    warnings = tuple(dict.fromkeys([*earlier, *found.warnings]))
    stage.save({_KEY: np.array(json.dumps(warnings))})
    return found.model_copy(update={"warnings": warnings})


def _limited(clocks: Sequence[Path]) -> list[tuple[int, int]]:
    """For clocks that a power mode, a user or heat limits: the limit and the hardware's greatest clock, in kHz."""
    found = ((number(clock / "scaling_max_freq"), number(clock / "cpuinfo_max_freq")) for clock in clocks)
    return sorted({(now, most) for now, most in found if now and most and now < most})


def cpu_features(root: Path = Path("/")) -> tuple[str, ...]:
    """The instruction set extensions of the processor that matter for neural networks."""
    words = {
        word
        for line in text(root / "proc/cpuinfo").splitlines()
        if line.partition(":")[0].strip() in ("flags", "Features")
        for word in line.partition(":")[2].split()
    }
    return tuple(name for name in _FEATURES if name in words)
