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


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x.gif", "--sweep draws .svg, .png or .pdf, not x.gif"),
        ("x", "--sweep draws .svg, .png or .pdf, not x"),
        ("file/x.svg", "Not a directory; name another place with --output"),
        ("folder.svg", "Is a directory; name another place with --output"),
    ],
)
def test_what_cannot_be_drawn_into_is_told_before_anything_is_read(
    name: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.svg").mkdir()
    status, out, err = run(capsys, "plan", "nowhere", "--sweep", "--output", tmp_path / name)
    assert (status, out) == (1, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.svg"]


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_sweep_is_drawn_as_its_files_name_says_and_folders_are_made(
    suffix: str, capsys: pytest.CaptureFixture[str], workload: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / "pictures" / f"sweep{suffix}"
    assert run(capsys, "plan", workload, "--sweep", "--output", output)[0] == 0
    assert output.read_bytes()[:4] in (b"\x89PNG", b"%PDF")


def test_where_nothing_fits_it_says_why_as_any_plan(capsys: pytest.CaptureFixture[str], workload: Path) -> None:
    pytest.importorskip("matplotlib")
    status, out, _ = run(capsys, "plan", workload, "--latency", "1e-6", "--sweep", "--json")
    assert status == 1
    assert json.loads(out)["limits"]
