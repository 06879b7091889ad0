"""Making memory scarce in the emulated machine, and watching what governed models do (`tests.pi.governed`)."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from typing_extensions import Self

from legodnn.runtime.device.cgroup import pressure

_WAIT_S = 180.0  # for what takes seconds where the machine has a core to itself


class Watched:
    """Governed models, and what they have told of themselves.

    Attributes:
        told: all that they told, each with the second at which it came.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        """Have models of stores run, which have been profiled."""
        words = [sys.executable, "-m", "tests.pi.governed", *map(str, stores)]
        self._program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told: list[tuple[float, dict[str, Any]]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            self.told.append((time.monotonic(), json.loads(line)))

    def until(self, what: str, holds: Callable[[dict[str, Any]], bool], start: float) -> float:
        """Wait until something is told; return how long after a moment that was.

        Raises:
            AssertionError: it takes too long, or the models' process has ended.
        """
        while True:
            for when, line in self.told:
                if when >= start and holds(line):
                    return when - start
            assert self._program.poll() is None, "the process with the models has ended"
            assert time.monotonic() < start + _WAIT_S, f"no {what} in {_WAIT_S:.0f} s; the last was {self.told[-1:]}"
            time.sleep(0.1)

    def longest_wait_s(self, start: float) -> float:
        """The longest time between the ends of two inferences of one model since a moment."""
        return max(line["waited_s"] for when, line in self.told if when >= start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the models end."""
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait(60)
        self._reader.join()


@contextmanager
def hog(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Have `tests.pi.hog` run, and end it."""
    words = [sys.executable, "-m", "tests.pi.hog", *map(str, arguments)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        yield program


def ready(program: subprocess.Popen[str], wait_s: float = 0.1) -> bool:
    """Return whether a hog has said within some seconds that it does what it should."""
    assert program.stdout is not None
    return bool(select.select([program.stdout], [], [], wait_s)[0])


def oom_kills() -> int:
    """How many processes the kernel has ended because no memory was left."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])


def memory_pressure() -> float:
    """The share of the last ten seconds in which some process waited for memory."""
    return pressure(Path("/proc/pressure/memory")) or 0.0


def shrinks_and_grows(watched: Watched, left_mb: int) -> str:
    """Take nearly all memory: the smallest plan must run; give it back: the first plan must run again."""
    widest, reserve = watched.told[-1][1]["options"], 0.1 * psutil.virtual_memory().total
    start, crossed, full, least, most = time.monotonic(), None, None, 1 << 62, 0.0
    with hog("take", left_mb) as program:
        while full is None or time.monotonic() < full + 20:
            now, available = time.monotonic(), psutil.virtual_memory().available
            assert now < start + _WAIT_S, f"{available / 1e6:.0f} MB are still available"
            crossed = now if crossed is None and available < reserve else crossed
            full = now if full is None and ready(program) else full
            least, most = min(least, available), max(most, memory_pressure())
            time.sleep(0.1)
        assert crossed is not None, "the reserve was never touched"
        fallen = watched.until("smallest plan", lambda line: line["options"] == line["smallest"], start)
        waited = watched.longest_wait_s(start)
    grown = watched.until("return of the first plan", lambda line: line["options"] == widest, time.monotonic())
    return (
        f"memory taken until {least / 1e6:.0f} MB were available: the smallest plan {start + fallen - crossed:.1f} s "
        f"after less than the reserve was, pressure up to {most:.0%}, longest wait for an inference {waited:.2f} s; "
        f"the first plan again {grown:.1f} s after the memory was given back"
    )


def pressure_alone(watched: Watched, left_mb: int, file_mb: int) -> str:
    """Have a process wait for its file's pages while more than the reserve is available: models give memory back."""
    widest, start = watched.told[-1][1]["options"], time.monotonic()

    def because_of_pressure(line: dict[str, Any]) -> list[str]:
        return [c["why"] for c in line["changes"] if c["what"] == "memory" and c["why"].startswith("processes wait")]

    with hog("take", left_mb) as taker, hog("read", "/opt/read", file_mb) as reader:
        while not (ready(taker) and ready(reader)):
            time.sleep(0.1)
        after = watched.until("decision because of pressure", lambda line: bool(because_of_pressure(line)), start)
        why = next(w for when, line in watched.told if when >= start for w in because_of_pressure(line))
        waited = watched.longest_wait_s(start)
    grown = watched.until("return of the first plan", lambda line: line["options"] == widest, time.monotonic())
    return (
        f"pressure alone: after {after:.1f} s, {why}; longest wait for an inference {waited:.2f} s; the first plan "
        f"again {grown:.1f} s after it ended"
    )
