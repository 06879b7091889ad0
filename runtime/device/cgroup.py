"""The control groups of this process: their limits of memory and processor time, and their pressure (PSI).

Containers and systemd services are limited by groups within groups; the tightest limit counts. Limits are read from
version 2 and from version 1, which older systems have, alone or beside version 2; pressure exists in version 2 only.
Linux only: where there are no groups, or where they limit nothing, every figure is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from legodnn.runtime.device.kernel_files import number, parse_integer, text

# In version 1 a group without a limit has one of nearly 2**63, rounded down to a page.
_NO_OLD_LIMIT = 1 << 62


@dataclass(frozen=True)
class ControlGroup:
    """The limits of all groups of this process together; None where there is none.

    Attributes:
        memory_limit_bytes: the lowest `memory.max` or `memory.high` (above which the kernel slows processes down).
        memory_available_bytes: how much may be allocated before the first of these limits is reached. File pages that
            the kernel can drop count as free, as in the system's own "available".
        cores: processor seconds that may be used in each second (the lowest `cpu.max`).
        used_s: processor seconds that all processes of the group with that quota have used until now.
        memory_pressure, cpu_pressure: pressure of the innermost group, as `pressure` returns it.
    """

    memory_limit_bytes: int | None = None
    memory_available_bytes: int | None = None
    cores: float | None = None
    used_s: float | None = None
    memory_pressure: float | None = None
    cpu_pressure: float | None = None


def read_group(root: Path) -> ControlGroup:
    """Read the limits and the pressure of the groups that this process is in now.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    folders = list(_folders(root))
    memory: list[tuple[int, int] | None] = []
    quotas: list[tuple[float, float | None]] = []
    for folder in folders:
        bounds = [b for name in ("memory.max", "memory.high") if (b := number(folder / name)) is not None]
        memory.append(_memory(folder, bounds, "memory.current", ""))
        quotas += _quota(text(folder / "cpu.max").split(), _line(folder / "cpu.stat", "usage_usec"), 1e6)
    for folder in _old_folders(root, "memory"):
        bound = number(folder / "memory.limit_in_bytes")
        bounds = [] if bound is None or bound >= _NO_OLD_LIMIT else [bound]
        memory.append(_memory(folder, bounds, "memory.usage_in_bytes", "total_"))
    for folder in _old_folders(root, "cpu"):
        fields = [text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        quotas += _quota(fields, number(folder / "cpuacct.usage"), 1e9)
    known = [found for found in memory if found is not None]
    cores, used_s = min(quotas, key=lambda quota: quota[0], default=(None, None))
    return ControlGroup(
        memory_limit_bytes=min((limit for limit, _ in known), default=None),
        memory_available_bytes=min((available for _, available in known), default=None),
        cores=cores,
        used_s=used_s,
        memory_pressure=pressure(folders[0] / "memory.pressure") if folders else None,
        cpu_pressure=pressure(folders[0] / "cpu.pressure") if folders else None,
    )


def pressure(path: Path) -> float | None:
    """Read a pressure file: the share of the last ten seconds in which some process had to wait, 0 to 1.

    This is avg10 of the line "some" of Linux' pressure stall information (PSI). None where the kernel does not tell it.
    """
    for line in text(path).splitlines():
        fields = line.split()
        if fields[:1] == ["some"]:
            for field in fields[1:]:
                name, _, value = field.partition("=")
                if name == "avg10" and (percent := _float(value)) is not None:
                    return percent / 100
    return None


def _folders(root: Path) -> Iterator[Path]:
    """Find the folders of the version 2 groups that this process is in, innermost first."""
    mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
    mount = next((m for m in mounts if (m / "cgroup.controllers").exists()), None)
    own = [path for _, names, path in _memberships(root) if names == ""]
    return _upwards(mount, own[0]) if mount is not None and own else iter(())


def _old_folders(root: Path, controller: str) -> Iterator[Path]:
    """Find the folders of the version 1 groups that this process is in; each controller has a tree of its own."""
    own = [path for _, names, path in _memberships(root) if controller in names.split(",")]
    mount = root / "sys/fs/cgroup" / controller  # a link where controllers share a tree, such as cpu,cpuacct
    return _upwards(mount, own[0]) if own and mount.exists() else iter(())


def _memberships(root: Path) -> list[tuple[str, str, str]]:
    """List this process's groups: number of the tree, its controllers (empty in version 2), and the path in it."""
    lines = (line.split(":", 2) for line in text(root / "proc/self/cgroup").splitlines())
    return [(tree, names, path) for tree, names, path in (x for x in lines if len(x) == 3)]


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Yield a group's folder and those above it. Folders that a container does not show just have no files."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # the path is seen from another namespace of groups, and only the outermost group is known
        parts = []
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _memory(folder: Path, bounds: list[int], current: str, prefix: str) -> tuple[int, int] | None:
    """Return the lowest limit of a group, and how many bytes are left below it; None where it has no limit."""
    used = number(folder / current)
    if not bounds or used is None:
        return None
    return min(bounds), max(0, min(bounds) - used + _droppable(folder, prefix))


def _droppable(folder: Path, prefix: str) -> int:
    """Return the bytes of file pages that a group holds; `prefix` selects version 1's sums over groups within it."""
    return sum(_line(folder / "memory.stat", f"{prefix}{kind}_file") or 0 for kind in ("inactive", "active"))


def _line(path: Path, name: str) -> int | None:
    """Return the number behind a name in a file of such lines; None if it is not there."""
    lines = (line.split() for line in text(path).splitlines())
    return next((parse_integer(x[1]) for x in lines if len(x) == 2 and x[0] == name), None)


def _quota(fields: list[str], used: int | None, second: float) -> list[tuple[float, float | None]]:
    """Turn a quota and its period into cores, and what was used into seconds, given how many units one is.

    Nothing where there is no quota ("max", or -1 in version 1).
    """
    if len(fields) != 2 or (quota := _float(fields[0])) is None or not (period := _float(fields[1])) or quota < 0:
        return []
    return [(quota / period, None if used is None else used / second)]


def _float(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:  # "max"
        return None
