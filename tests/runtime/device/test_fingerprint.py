"""A fingerprint is what measurements depend on: the same here every time, another with other cores.

Covers also: runtime.device.memory.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.device.processor import usable_cores
from legodnn.runtime.executors.select import executor_name


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    program = "from legodnn.runtime.device.fingerprint import fingerprint; print(fingerprint('x').model_dump_json())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint("x").model_dump_json()


def test_the_fingerprint_names_machine_cores_and_executor() -> None:
    here = fingerprint(executor_name())
    assert here.machine == platform.machine()
    assert here.cores == usable_cores() >= 1
    assert here.executor == executor_name()
    assert here.cpu.strip() == here.cpu != ""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a process to cores")
def test_only_the_cores_this_process_may_use_count() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from legodnn.runtime.device.processor import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_memory_grows_by_what_is_allocated_and_touched() -> None:
    program = (  # in a fresh process: what other tests left behind may be freed meanwhile
        "import numpy as np\n"
        "from legodnn.runtime.device.memory import process_memory_bytes\n"
        "before = process_memory_bytes()\n"
        "block = np.ones(64 << 20, np.uint8)\n"
        "print(process_memory_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 60 << 20 <= int(done.stdout) <= 80 << 20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have one heap, or do not tell")
def test_threads_share_as_many_heaps_as_are_allowed() -> None:
    program = (
        "import ctypes, sys, threading\n"
        "from legodnn.runtime.device.memory import limit_heaps\n"
        "c = ctypes.CDLL(None)\n"
        "if sys.argv[1:]: limit_heaps(int(sys.argv[1]))\n"
        "together = threading.Barrier(8)\n"
        "def allocate(): together.wait(); c.malloc(1000); together.wait()\n"
        "threads = [threading.Thread(target=allocate) for _ in range(8)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "c.malloc_info(0, ctypes.c_void_p.in_dll(c, 'stdout'))\n"
        "c.fflush(None)\n"
    )

    def heaps(*arguments: str) -> int:
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert heaps() > 2
    assert heaps("2") == 2
