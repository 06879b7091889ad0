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

ROOT = Path(__file__).resolve().parents[2]
SHORT = 150
LONG = int(os.environ.get("LEGODNN_FUZZ_CASES", "2000"))


def run(folder: Path, seeds: Iterable[str], cases: int, seed: int) -> dict[str, Any]:
    """Return the counts of so many cases, which run in processes without this one's threads and TensorFlow."""
    for script, arguments in (
        ("tflite_seeds", [str(folder), *seeds]),
        ("tflite_cases", [str(folder), "--cases", str(cases), "--seed", str(seed)]),
    ):
        command = [sys.executable, "-m", f"tests.fuzz.{script}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
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
