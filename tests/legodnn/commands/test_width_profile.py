"""`legodnn profile --widths FILE` writes a table of widths and shows its steps; what it cannot use is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from legodnn.cli import main
from legodnn.profiler import width_latency
from legodnn.widths_table import WidthsTable


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(a) for a in arguments])
    captured = capfd.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(autouse=True)
def _few_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(width_latency, "PROBED_WIDTHS", 8)


def test_the_table_is_written_and_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my boards" / "board.widths.json"
    status, out, err = run(capfd, "profile", "--widths", file, "--seconds", "0.2")
    assert status == 0
    table = WidthsTable.load(file)
    assert {len(curve.least_ms) for curve in table.curves} == {8}
    assert "steps at" in out
    assert f"next, on the workstation: legodnn build MODEL --widths-table '{file}' --out" in out
    assert "timing widths" in err
    assert [p.name for p in file.parent.iterdir()] == [file.name]  # what was kept for an interruption is gone


def test_json_is_the_table_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.json"
    status, out, _ = run(capfd, "profile", "--widths", file, "--seconds", "0.2", "--json")
    assert status == 0
    assert json.loads(out) == json.loads(file.read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["somestore"], "leave out STORE"),
        (["--energy", "watts:3"], "leave out --energy"),
        (["--merge"], "leave out --merge"),
        (["--streaming"], "leave out --streaming"),
        (["--threads", "1,2"], "one number of threads"),
        (["--seconds", "-1"], "--seconds must be positive"),
    ],
)
def test_what_says_how_stores_are_measured_is_refused(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capfd, "profile", "--widths", tmp_path / "w.json", *arguments)
    assert status == 1
    assert said in err
    assert not out
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capfd, "profile", "--widths", tmp_path)
    assert status == 1
    assert f"cannot write {tmp_path}" in err
