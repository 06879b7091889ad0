"""Damaged `.tflite` files never end the process that opens a store, hang it, or change what other options answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
SHORT = 150
LONG = int(os.environ.get("LEGODNN_FUZZ_CASES", "2000"))


def run(folder: Path, seeds: Iterable[str], cases: int, seed: int) -> dict[str, Any]:
    """The counts of so many cases; their processes have neither this one's threads nor its TensorFlow."""
    program = (
        f"from pathlib import Path; import tflite_seeds; tflite_seeds.write(Path({str(folder)!r}), {[*seeds] or None})"
    )
    for command in (
        ["-c", program],
        [str(FOLDER / "tflite_cases.py"), str(folder), "--cases", str(cases), "--seed", str(seed)],
    ):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), str(FOLDER.parents[1])])}
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any], cases: int) -> None:
    counts = found["counts"]
    harmless = {"refused", "ran", "ended only the trial", "slow", "large"}
    assert not {name: n for name, n in counts.items() if name not in harmless and n}, found["wrong"]
    assert sum(counts[name] for name in harmless & counts.keys() - {"slow", "large"}) == cases
    assert counts["ran"]
    assert counts["refused"]


def test_some_cases(tmp_path: Path) -> None:
    check(run(tmp_path / "seeds", ("plain", "residual-int8", "shapes"), SHORT, seed=1), SHORT)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_cases(tmp_path: Path) -> None:
    """As many as LEGODNN_FUZZ_CASES says."""
    found = run(tmp_path / "seeds", (), LONG, seed=int(os.environ.get("LEGODNN_FUZZ_SEED", "2")))
    print(json.dumps(found))
    check(found, LONG)
