"""What the control groups of this process allow it: memory, processor time, and how pressed they are.

Containers and systemd services are held by groups within groups; the tightest of them counts. Of version 2 all that
is read, and of version 1, which older systems have, or both at once, the limits. Linux only: where there are no groups,
or none that limits anything, every figure is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Of version 1: what is beyond any memory stands for no limit, rounded down to a page.
_NO_OLD_LIMIT = 1 << 62


@dataclass(frozen=True)
class ControlGroup:
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


def read_group(root: Path) -> ControlGroup:
    """The limits of the moment.

    Args:
        root: where `proc` and `sys` are.
    """
    folders = list(_folders(root))
    memory, cores = [], []
    for folder in folders:
        bounds = [b for name in ("memory.max", "memory.high") if (b := number(folder / name)) is not None]
        memory.append(_memory(folder, bounds, "memory.current", ""))
        cores.append(_cores(text(folder / "cpu.max").split()))
    for folder in _old_folders(root, "memory"):
        bound = number(folder / "memory.limit_in_bytes")
        bounds = [] if bound is None or bound >= _NO_OLD_LIMIT else [bound]
        memory.append(_memory(folder, bounds, "memory.usage_in_bytes", "total_"))
    for folder in _old_folders(root, "cpu"):
        cores.append(_cores([text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]))
    known = [found for found in memory if found is not None]
    return ControlGroup(
        memory_limit_bytes=min((limit for limit, _ in known), default=None),
        memory_available_bytes=min((available for _, available in known), default=None),
        cores=min((share for share in cores if share is not None), default=None),
        memory_pressure=pressure(folders[0] / "memory.pressure") if folders else None,
        cpu_pressure=pressure(folders[0] / "cpu.pressure") if folders else None,
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
    except (OSError, ValueError):  # ValueError: a path that no file can have
        return ""


def number(path: Path) -> int | None:
    """The whole number that a file of the kernel holds; None where it says "max", or nothing."""
    return _int(text(path).strip())


def _folders(root: Path) -> Iterator[Path]:
    """The folders of the groups of version 2 that this process is in, innermost first."""
    mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
    mount = next((m for m in mounts if (m / "cgroup.controllers").exists()), None)
    own = [path for _, names, path in _memberships(root) if names == ""]
    return _upwards(mount, own[0]) if mount is not None and own else iter(())


def _old_folders(root: Path, controller: str) -> Iterator[Path]:
    """The same of version 1, where each controller has a tree of its own."""
    own = [path for _, names, path in _memberships(root) if controller in names.split(",")]
    mount = root / "sys/fs/cgroup" / controller  # a link where controllers share a tree, such as cpu,cpuacct
    return _upwards(mount, own[0]) if own and mount.exists() else iter(())


def _memberships(root: Path) -> list[tuple[str, str, str]]:
    """The groups of this process: the tree's number, its controllers (none in version 2), and the path within it."""
    lines = (line.split(":", 2) for line in text(root / "proc/self/cgroup").splitlines())
    return [(tree, names, path) for tree, names, path in (x for x in lines if len(x) == 3)]


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A group's folder and those above it; what a container does not show of them lacks all files."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # seen from a namespace of groups that this process is not in: only the outermost is known
        parts = []
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _memory(folder: Path, bounds: list[int], current: str, prefix: str) -> tuple[int, int] | None:
    """The least of a group's bounds, and what may be added before it is reached; None where nothing bounds it."""
    used = number(folder / current)
    if not bounds or used is None:
        return None
    return min(bounds), max(0, min(bounds) - used + _droppable(folder, prefix))


def _droppable(folder: Path, prefix: str) -> int:
    """Bytes of file pages that the group holds; in version 1 those of groups within it count by a prefix."""
    lines = (line.split() for line in text(folder / "memory.stat").splitlines())
    names = (f"{prefix}inactive_file", f"{prefix}active_file")
    return sum(_int(x[1]) or 0 for x in lines if len(x) == 2 and x[0] in names)


def _cores(fields: list[str]) -> float | None:
    """A quota and its period as cores; None where there is no quota ("max", or -1 in version 1)."""
    if len(fields) != 2 or (quota := _float(fields[0])) is None or not (period := _float(fields[1])) or quota < 0:
        return None
    return quota / period


def _int(value: str) -> int | None:
    return int(value) if re.fullmatch(r"-?[0-9]{1,30}", value) else None


def _float(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:  # "max"
        return None
