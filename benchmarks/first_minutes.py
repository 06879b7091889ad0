"""What a newcomer waits for: the start of a command, and the quick demo.

    python benchmarks/first_minutes.py --json > benchmarks/results/first_minutes.json
    python benchmarks/first_minutes.py --quick

`legodnn --help` and an empty program of the same interpreter are started in turns. Then `legodnn demo --quick` runs
twice (once with --quick), each time into a new folder and with an empty cache, all packages being installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from support.report import Bars, Figures, bar, run, spread
from support.timing import in_turns, timed

_COMMANDS = {"legodnn --help": ("-m", "legodnn", "--help"), "an empty program": ("-c", "pass")}


def _start(arguments: tuple[str, ...]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def _quick_demo() -> float:
    """Return the seconds of one quick demo."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "legodnn", "demo", "--quick", "--out", str(Path(folder) / "demo")]
        environment = {**os.environ, "LEGODNN_CACHE": str(Path(folder) / "cache")}
        return timed(lambda: subprocess.run(command, env=environment, check=True, capture_output=True))[0]


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Start the command, then run the demo."""
    starts = in_turns({name: partial(_start, of) for name, of in _COMMANDS.items()}, 2.0 if args.quick else 10.0)
    demos = [_quick_demo() for _ in range(1 if args.quick else 2)]
    figures: Figures = {name: spread(ms) for name, ms in starts.items()} | {"quick demo, s": demos}
    helps = figures["legodnn --help"]["median"]
    return figures, [bar("legodnn --help, ms", helps, 150.0), bar("quick demo, s", max(demos), 60.0)]


if __name__ == "__main__":
    run("first_minutes", __doc__, measure)
