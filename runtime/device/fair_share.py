"""How processes share the processors: how much each uses, and how much this process would get if it asked for it.

The kernel divides processor time among the threads that want it, by weights that follow from their nice values. So the
time that other processes use does not tell how much they leave. A process that would use any amount takes all that is
idle, and yields half of it as soon as this process wants it; one with a high nice value, or of the idle class, yields
nearly all. Linux only. Weights of control groups and of sessions are not taken into account.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from legodnn.runtime.device.kernel_files import text

# Scheduling policies of linux/sched.h. All others share by nice values.
_FIFO, _ROUND_ROBIN, _IDLE, _DEADLINE = 1, 2, 5, 6
_PER_NICE = 1.25  # ratio of the weights of one nice value and the next, as in the kernel's table
_IDLE_WEIGHT = 3 / 1024
# The weight of what goes before every ordinary thread: real-time processes, interrupts, other virtual machines.
FIRST = 1e6


@dataclass(frozen=True)
class Process:
    """What the kernel tells about a process.

    Attributes:
        parent: the process id of its parent.
        seconds: processor time that all its threads together have used.
        weight: its share of the processors relative to others; 1 for nice value 0.
    """

    parent: int
    seconds: float
    weight: float


@dataclass(frozen=True)
class Competitor:
    """Other users of the processors.

    Attributes:
        cores: processor seconds that they use in each second.
        weight: the weight of each of their threads; 1 is the weight of this process's threads.
    """

    cores: float
    weight: float


# Processes by their id and time of start, because ids are used again.
Processes = Mapping[tuple[int, int], Process]


def read_processes(proc: Path = Path("/proc")) -> Processes:
    """Read all processes that this one can see. Those of other users or outside a container may be missing."""
    found = {}
    try:
        names = [entry.name for entry in os.scandir(proc) if entry.name.isdecimal()]
    except OSError:
        return {}
    for name in names:
        # Numbers follow the command's name, which stands in parentheses and may hold any character.
        fields = text(proc / name / "stat").rpartition(")")[2].split()
        try:
            parent, user, system, nice, start = (int(fields[i]) for i in (1, 11, 12, 16, 19))
            policy = int(fields[38]) if len(fields) > 38 else 0
        except (IndexError, ValueError):  # ended since it was listed
            continue
        found[int(name), start] = Process(parent, (user + system) / _TICKS, _weight(nice, policy))
    return found


def family(processes: Processes, pid: int) -> Processes:
    """Return the process with an id and all its descendants."""
    children: dict[int, list[tuple[int, int]]] = {}
    for key, process in processes.items():
        children.setdefault(process.parent, []).append(key)
    keys = [key for key in processes if key[0] == pid]
    for key in keys:
        keys += children.get(key[0], ())  # the list grows while it is walked
    return {key: processes[key] for key in keys}


def fair_cores(cores: float, others: Sequence[Competitor], wanted: float) -> float:
    """Return how many of the cores that this process wants the kernel would give it.

    Others are taken to want what they use now, with as many threads as it takes to use that.

    Args:
        cores: the number of processors that are shared.
        others: the other users.
        wanted: cores that this process wants, with one thread of weight 1 for each core or part of one.

    Example:

        >>> fair_cores(2.0, [Competitor(cores=2.0, weight=1.0)], wanted=2.0)
        1.0
    """
    asked = [(o.cores, o.weight * max(1, math.ceil(o.cores)), False) for o in others]
    asked.append((wanted, max(1.0, wanted), True))
    room, weights = cores, sum(weight for _, weight, _ in asked)
    # Whoever wants less than its share gets what it wants, and the rest share what it leaves.
    for most, weight, ours in sorted(asked, key=lambda a: (a[0] / a[1], a[2])):
        share = min(most, room * weight / weights)
        if ours:
            return max(0.0, share)
        room, weights = room - share, weights - weight
    raise AssertionError("this process is among those that ask")


def _weight(nice: int, policy: int) -> float:
    """Return the weight of threads with a nice value and a scheduling policy."""
    if policy in (_FIFO, _ROUND_ROBIN, _DEADLINE):
        return FIRST
    return _IDLE_WEIGHT if policy == _IDLE else _PER_NICE**-nice


_TICKS = os.sysconf("SC_CLK_TCK")
