"""How processes share the processors: what each of them spends, and what of it would be this one's for the asking.

The kernel divides processor time among the threads that want it, by weights that follow from their nice values. So what
other processes use is no measure of what they leave: a process that would use any amount takes what is idle, and gives
half of it back as soon as this one wants it; one of a high nice value, or of the idle class, gives back nearly all.
Linux only; weights of control groups and of sessions are not known here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from legodnn.runtime.device.cgroup import text

# Of linux/sched.h. What is none of these is shared by nice values.
_FIFO, _ROUND_ROBIN, _IDLE, _DEADLINE = 1, 2, 5, 6
_PER_NICE = 1.25  # from one nice value to the next, as the kernel's table has it
_IDLE_WEIGHT = 3 / 1024
# Of what comes before every ordinary thread: real-time processes, interrupts, other machines on the same processor.
FIRST = 1e6


@dataclass(frozen=True)
class Process:
    """What the kernel knows of a process.

    Attributes:
        parent: the process id of its parent.
        seconds: processor time that it has spent, all threads together.
        weight: its share beside others, 1 for nice value 0.
    """

    parent: int
    seconds: float
    weight: float


@dataclass(frozen=True)
class Competitor:
    """Others that use the processors: so many cores, with the weight of each of their threads, 1 for this process's."""

    cores: float
    weight: float


# By process id and time of start: ids are used again.
Processes = Mapping[tuple[int, int], Process]


def read_processes(proc: Path = Path("/proc")) -> Processes:
    """All processes that can be seen; those of other users or outside a container may not be among them."""
    found = {}
    try:
        names = [entry.name for entry in os.scandir(proc) if entry.name.isdecimal()]
    except OSError:
        return {}
    for name in names:
        # The command's name stands in parentheses and may hold anything; numbers follow.
        fields = text(proc / name / "stat").rpartition(")")[2].split()
        try:
            parent, user, system, nice, start = (int(fields[i]) for i in (1, 11, 12, 16, 19))
            policy = int(fields[38]) if len(fields) > 38 else 0
        except (IndexError, ValueError):  # ended since it was listed
            continue
        found[int(name), start] = Process(parent, (user + system) / _TICKS, _weight(nice, policy))
    return found


def family(processes: Processes, pid: int) -> Processes:
    """A process and all that descend from it."""
    children: dict[int, list[tuple[int, int]]] = {}
    for key, process in processes.items():
        children.setdefault(process.parent, []).append(key)
    keys = [key for key in processes if key[0] == pid]
    for key in keys:
        keys += children.get(key[0], ())  # the list grows while it is walked
    return {key: processes[key] for key in keys}


def fair_cores(cores: float, others: Sequence[Competitor], wanted: float) -> float:
    """What the kernel would give to threads that want so many cores, beside others that want what they use now.

    Others have at least as many threads as it takes to use what they use.

    Args:
        cores: processors that are shared.
        others: who else uses them.
        wanted: by threads of weight 1, one for each core or part of one.
    """
    asked = [(o.cores, o.weight * max(1, math.ceil(o.cores)), False) for o in others]
    asked.append((wanted, max(1.0, wanted), True))
    room, weights = cores, sum(weight for _, weight, _ in asked)
    # Whoever wants less than its share gets that, and what it leaves is shared by the rest.
    for most, weight, ours in sorted(asked, key=lambda a: (a[0] / a[1], a[2])):
        share = min(most, room * weight / weights)
        if ours:
            return max(0.0, share)
        room, weights = room - share, weights - weight
    raise AssertionError("this process is among those that ask")


def _weight(nice: int, policy: int) -> float:
    if policy in (_FIFO, _ROUND_ROBIN, _DEADLINE):
        return FIRST
    return _IDLE_WEIGHT if policy == _IDLE else _PER_NICE**-nice


_TICKS = os.sysconf("SC_CLK_TCK")
