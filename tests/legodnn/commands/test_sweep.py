"""`legodnn plan --sweep` draws how the best objective rises with memory, in text, JSON and a picture."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from legodnn.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


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
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    status, _, err = run(capsys, "plan", workload, "--sweep")
    assert status == 1
    assert "pip install 'legodnn[plot]'" in err
