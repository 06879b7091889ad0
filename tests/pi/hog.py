"""Programs that make memory scarce in the emulated machine: each prints a line when it does, and ends with its input.

python -m tests.pi.hog take MB            takes memory of its own until so many MB are available
python -m tests.pi.hog read FILE MB       reads a file that it has mapped over and over; MB: its size
"""

from __future__ import annotations

import mmap
import select
import sys
import time
from pathlib import Path

import psutil

_STEP = 4 << 20


def take(left_mb: int) -> None:
    """Take memory until so many MB are available, in steps, and hold it."""
    held = []
    while psutil.virtual_memory().available > (left_mb + 4) * 1_000_000:
        held.append(b"x" * _STEP)
        time.sleep(0.02)
    print(f"holds {len(held) * _STEP // 1_000_000} MB", flush=True)
    sys.stdin.read()


def read(path: Path, size_mb: int) -> None:
    """Read one byte of each page of a mapped file, again and again."""
    with path.open("wb") as file:
        for _ in range(size_mb):
            file.write(bytes(1_000_000))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        print("reads", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            sum(mapped[:: mmap.PAGESIZE])


if __name__ == "__main__":
    if sys.argv[1] == "take":
        take(int(sys.argv[2]))
    else:
        read(Path(sys.argv[2]), int(sys.argv[3]))
