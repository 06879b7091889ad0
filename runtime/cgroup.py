"""What the control groups (cgroup v2) of this process allow it: memory, processor time, and how pressed they are.

Containers and systemd services are held by groups within groups; the tightest of them counts. Linux only: where there
are no groups, or none that limits anything, every figure is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Group:
    """The limits that the groups of this process put on it together.

    Attributes:
        memory_limit_bytes: the least `memory.max` or `memory.high` (beyond which a process is slowed down).
        memory_available_bytes: the least that may still be added before one of them is reached; file pages that the
            kernel can drop count as free, as in the system's own "available".
        cores: processor seconds for each second (`cpu.max`).
        memory_pressure, cpu_pressure: see `pressure`; of the innermost group.
    """

    memory_limit_bytes: int | None = None
    memory_available_bytes: int | None = None
    cores: float | None = None
    memory_pressure: float | None = None
    cpu_pressure: float | None = None


def read_group(root: Path) -> Group:
    """The limits of the moment.

    Args:
        root: where `proc` and `sys` are.
    """
    folders = list(_folders(root))
    if not folders:
        return Group()
    limits, available, cores = [], [], []
    for folder in folders:
        bounds = [b for name in ("memory.max", "memory.high") if (b := number(folder / name)) is not None]
        current = number(folder / "memory.current")
        if bounds and current is not None:
            limits.append(min(bounds))
            available.append(max(0, min(bounds) - current + _droppable(folder)))
        if (share := _cores(folder)) is not None:
            cores.append(share)
    return Group(
        memory_limit_bytes=min(limits, default=None),
        memory_available_bytes=min(available, default=None),
        cores=min(cores, default=None),
        memory_pressure=pressure(folders[0] / "memory.pressure"),
        cpu_pressure=pressure(folders[0] / "cpu.pressure"),
    )


def pressure(path: Path) -> float | None:
    """The share of the last ten seconds in which something had to wait (PSI: "some", avg10), 0 to 1."""
    for line in text(path).splitlines():
        fields = line.split()
        if fields[:1] == ["some"]:
            for field in fields[1:]:
                name, _, value = field.partition("=")
                if name == "avg10" and (percent := _float(value)) is not None:
                    return percent / 100
    return None


def text(path: Path) -> str:
    """What a file of the kernel says; nothing where there is none or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """The whole number that a file of the kernel holds; None where it says "max", or nothing."""
    found = text(path).strip()
    return int(found) if found.lstrip("-").isdecimal() else None


def _folders(root: Path) -> Iterator[Path]:
    """The folders of the groups that this process is in, innermost first."""
    mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
    mount = next((m for m in mounts if (m / "cgroup.controllers").exists()), None)
    own = [x.removeprefix("0::") for x in text(root / "proc/self/cgroup").splitlines() if x.startswith("0::")]
    if mount is None or not own:
        return
    parts = [part for part in own[0].split("/") if part]
    if ".." in parts:  # seen from a namespace of groups that this process is not in: only the outermost is known
        parts = []
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _droppable(folder: Path) -> int:
    """Bytes of file pages that the group holds."""
    lines = (line.split() for line in text(folder / "memory.stat").splitlines())
    return sum(int(x[1]) for x in lines if len(x) == 2 and x[0] in ("inactive_file", "active_file"))


def _cores(folder: Path) -> float | None:
    fields = text(folder / "cpu.max").split()
    if len(fields) != 2 or (quota := _float(fields[0])) is None or not (period := _float(fields[1])):
        return None
    return quota / period


def _float(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:  # "max"
        return None
