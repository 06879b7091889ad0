"""The name of the processor, which tells devices apart whose measurements must not be mixed up.

On x86 it is the model name. On ARM the kernel says little about the model ("ARMv8 Processor rev 3", or nothing), so the
name is made of the board and of the cores that this process may use, by kind and highest clock:

    Raspberry Pi 4 Model B Rev 1.4; 4 x Cortex-A72 at 1.8 GHz
    Radxa ROCK 5B; 4 x Cortex-A55 at 1.8 GHz + 4 x Cortex-A76 at 2.4 GHz

The clock is the one that the hardware is set up for, whatever heat or a frequency governor make of it at the moment.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from legodnn.runtime.device.kernel_files import number, text

# Names of cores by the "CPU implementer" and "CPU part" of /proc/cpuinfo, as the manufacturers' manuals number them.
_ARM, _QUALCOMM, _NVIDIA = 0x41, 0x51, 0x4E
_CORES = {
    (_ARM, 0xB76): "ARM1176",
    (_ARM, 0xC05): "Cortex-A5",
    (_ARM, 0xC07): "Cortex-A7",
    (_ARM, 0xC08): "Cortex-A8",
    (_ARM, 0xC09): "Cortex-A9",
    (_ARM, 0xC0D): "Cortex-A12",
    (_ARM, 0xC0E): "Cortex-A17",
    (_ARM, 0xC0F): "Cortex-A15",
    (_ARM, 0xD03): "Cortex-A53",
    (_ARM, 0xD04): "Cortex-A35",
    (_ARM, 0xD05): "Cortex-A55",
    (_ARM, 0xD07): "Cortex-A57",
    (_ARM, 0xD08): "Cortex-A72",
    (_ARM, 0xD09): "Cortex-A73",
    (_ARM, 0xD0A): "Cortex-A75",
    (_ARM, 0xD0B): "Cortex-A76",
    (_ARM, 0xD0C): "Neoverse-N1",
    (_ARM, 0xD0D): "Cortex-A77",
    (_ARM, 0xD40): "Neoverse-V1",
    (_ARM, 0xD41): "Cortex-A78",
    (_ARM, 0xD42): "Cortex-A78AE",
    (_ARM, 0xD44): "Cortex-X1",
    (_ARM, 0xD46): "Cortex-A510",
    (_ARM, 0xD47): "Cortex-A710",
    (_ARM, 0xD48): "Cortex-X2",
    (_ARM, 0xD49): "Neoverse-N2",
    (_ARM, 0xD4D): "Cortex-A715",
    (_ARM, 0xD4E): "Cortex-X3",
    (_ARM, 0xD4F): "Neoverse-V2",
    (_ARM, 0xD80): "Cortex-A520",
    (_ARM, 0xD81): "Cortex-A720",
    (_QUALCOMM, 0x800): "Kryo-2xx-Gold",
    (_QUALCOMM, 0x801): "Kryo-2xx-Silver",
    (_QUALCOMM, 0x802): "Kryo-3xx-Gold",
    (_QUALCOMM, 0x803): "Kryo-3xx-Silver",
    (_QUALCOMM, 0x804): "Kryo-4xx-Gold",
    (_QUALCOMM, 0x805): "Kryo-4xx-Silver",
    (_NVIDIA, 0x003): "Denver-2",
    (_NVIDIA, 0x004): "Carmel",
}
# The lines of /proc/cpuinfo that name the processor on other architectures.
_NAMES = ("model name", "cpu model", "uarch", "cpu", "isa")


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(usable()) or os.cpu_count() or 1


def usable() -> frozenset[int]:
    """Return the numbers of the cores that this process may run on; empty where the system does not tell."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def cpu_name(root: Path = Path("/"), cores: Collection[int] | None = None) -> str:
    """Return the name of the processor; "unknown" where the kernel tells nothing.

    Args:
        root: the folder that holds `proc` and `sys`.
        cores: the numbers of the cores that are named on ARM; those that this process may run on if None.
    """
    blocks = _blocks(text(root / "proc/cpuinfo"))
    if not any("CPU implementer" in block for block in blocks):
        names = (block[key] for key in _NAMES for block in blocks if block.get(key))
        return next(names, "") or _board(root, blocks) or platform.processor() or "unknown"
    kinds = _kinds(root, blocks, usable() if cores is None else cores)
    return "; ".join(part for part in (_board(root, blocks), kinds) if part) or "unknown"


def _blocks(cpuinfo: str) -> list[dict[str, str]]:
    """Split /proc/cpuinfo into its paragraphs: one for each core, and sometimes one more for the whole processor."""
    return [
        {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in paragraph.splitlines())}
        for paragraph in cpuinfo.split("\n\n")
        if paragraph.strip()
    ]


def _board(root: Path, blocks: list[dict[str, str]]) -> str:
    """Return the name that the device tree, the kernel, or the firmware gives the board; empty if none does."""
    of_kernel = (block[key] for key in ("Model", "Hardware") for block in blocks if key in block)
    of_tree = text(root / "proc/device-tree/model").strip("\0\n ")
    return of_tree or next(of_kernel, "") or text(root / "sys/class/dmi/id/product_name").strip()


def _kinds(root: Path, blocks: list[dict[str, str]], wanted: Collection[int]) -> str:
    """Count ARM cores by kind and highest clock: "4 x Cortex-A55 at 1.8 GHz + 4 x Cortex-A76 at 2.4 GHz"."""
    parts = {}
    whole = next(block for block in blocks if "CPU part" in block or "CPU implementer" in block)
    for block in blocks:
        if (core := block.get("processor", "")).isdecimal() and (not wanted or int(core) in wanted):
            # Kernels before 3.8 describe all cores once, in the paragraph for the whole processor.
            described = block if "CPU implementer" in block else whole
            parts[int(core)] = described.get("CPU implementer", ""), described.get("CPU part", "")
    counts = Counter((_named(*part), _clock(root, core)) for core, part in sorted(parts.items()))
    return " + ".join(f"{count} x {name}{clock}" for (name, clock), count in counts.items())


def _named(implementer: str, part: str) -> str:
    try:
        return _CORES[int(implementer, 16), int(part, 16)]
    except (KeyError, ValueError):
        return f"core {implementer}:{part}"


def _clock(root: Path, core: int) -> str:
    khz = number(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq")
    return f" at {khz / 1e6:.3g} GHz" if khz else ""
