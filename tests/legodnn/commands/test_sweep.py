"""`legodnn plan --sweep` draws how the best objective rises with memory, in text, JSON and a picture.

Covers also: commands.plotting.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.legodnn.commands.running import run


def test_sweep_draws_a_rising_curve(capsys: pytest.CaptureFixture[str], workload: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / "sweep.svg"
    status, out, _ = run(capsys, "plan", workload, "--sweep", "--output", output, "--json")
    points = json.loads(out)["points"]
    assert status == 0
    assert output.read_text().lstrip().startswith("<?xml")
    assert [p["objective"] for p in points] == sorted(p["objective"] for p in points)
    assert points[0]["memory_bytes"] <= points[-1]["memory_bytes"]


def test_sweep_without_matplotlib_names_the_command(
    capsys: pytest.CaptureFixture[str], workload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, err = run(capsys, "plan", workload, "--sweep")
    assert status == 1
    assert "pip install 'legodnn[plot]'" in err
