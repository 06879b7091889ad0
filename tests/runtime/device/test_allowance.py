"""Work in a container is spread over what the container may use, not over the machine around it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from legodnn.runtime.device.allowance import free_memory_bytes, usable_processors
from legodnn.runtime.device.processor import usable_cores
from tests.runtime.device.boards import write


def container(root: Path, quota: str, limit: object = "max") -> Path:
    """A container with a quota of processor time and a limit of memory, of which it uses 100 MB."""
    group = "sys/fs/cgroup"
    return write(
        root,
        {
            "proc/self/cgroup": "0::/",
            f"{group}/cgroup.controllers": "cpu memory",
            f"{group}/cpu.max": quota,
            f"{group}/memory.max": limit,
            f"{group}/memory.current": 100_000_000,
        },
    )


@pytest.mark.parametrize(("quota", "processors"), [("20000 100000", 1), ("100000 100000", 1), ("150000 100000", 2)])
def test_a_quota_counts_as_whole_processors(quota: str, processors: int, tmp_path: Path) -> None:
    assert usable_processors(container(tmp_path, quota)) == min(processors, usable_cores())


@pytest.mark.parametrize("quota", ["max 100000", "6400000 100000"])
def test_without_a_quota_or_with_more_than_there_is_each_core_counts(quota: str, tmp_path: Path) -> None:
    assert usable_processors(container(tmp_path, quota)) == usable_cores()


def test_a_process_bound_to_one_core_spreads_its_work_over_one() -> None:
    core = min(os.sched_getaffinity(0))
    told = (
        f"import os; os.sched_setaffinity(0, {{{core}}})\n"
        "from legodnn.blocks.jobs.local_processes import LocalProcesses; print(LocalProcesses(1).threads)"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


def test_free_memory_is_what_a_containers_limit_leaves(tmp_path: Path) -> None:
    assert free_memory_bytes(container(tmp_path, "max 100000", 150_000_000)) == 50_000_000
    assert free_memory_bytes(container(tmp_path, "max 100000")) <= psutil.virtual_memory().total
