"""`legodnn bundle` writes what an app carries, says what it is, and `legodnn plan` plans by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.legodnn.commands.running import run


def test_a_workload_is_bundled_and_planned(
    profiled_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "workload.toml", tmp_path / "bundle"
    file.write_text(f'[[models]]\nname = "faces"\nstore = "{profiled_copy}"\nweight = 3\n')
    status, shown, _ = run(capsys, "bundle", file, "--out", out)
    assert status == 0
    assert f"faces: {out}/stores/faces, " in shown
    assert f"wrote {out}/workload.json" in shown
    plans = [json.loads(run(capsys, "plan", workload, "--json")[1]) for workload in (file, out / "workload.json")]
    assert plans[0] == plans[1]
    status, shown, _ = run(capsys, "bundle", profiled_copy, "--out", tmp_path / "other", "--json")
    assert json.loads(shown)["models"][0]["name"] == profiled_copy.name


def test_what_is_there_already_is_one_error(
    profiled_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, error = run(capsys, "bundle", profiled_copy, "--out", tmp_path)
    assert status == 1
    assert error.strip() == f"legodnn: {tmp_path} exists; name another folder, or remove it"
