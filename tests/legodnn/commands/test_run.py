"""`legodnn run` replays budgets on inputs, and refuses before anything runs what makes no sense."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn import Budget, Runtime
from legodnn.cli import main
from legodnn.commands.run import steps_table
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.replay import replay
from legodnn.store import Store


def test_run_replays_a_trace_and_measures(
    tiny_store: Store, tiny_store2: Store, tmp_path: Path, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = tiny_store2.manifest.inputs[0].shape
    np.save(tmp_path / "other.npy", np.zeros((3, *shape), np.uint8))
    trace = tmp_path / "trace.json"
    trace.write_text('[{}, {"memory_bytes": 1}, {"latency_ms": {"tiny": 1000.0}}]')
    command = ["run", str(tiny_store.path), str(tiny_store2.path), "--trace", str(trace)]
    command += ["--input", f"tiny={digits}", "--input", f"tiny2={tmp_path / 'other.npy'}"]
    assert main([*command, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)
    assert [step["refused"] is None for step in steps] == [True, False, True]
    assert steps[1]["plan"] == steps[0]["plan"]
    assert steps[0]["models"]["tiny"]["inferences"] == 6
    assert 0 <= steps[0]["models"]["tiny"]["accuracy"] <= 1
    assert steps[0]["models"]["tiny2"]["accuracy"] is None
    for name in ("matplotlib", "rich"):
        pytest.importorskip(name)
    saved = tmp_path / "out.csv"
    assert main([*command, "--report", str(tmp_path / "report"), "--live", "--save", str(saved)]) == 0
    printed = capsys.readouterr()
    rows = [re.split(r"  +", line) for line in printed.out.splitlines()]
    assert ["2 refused", "1 B", "any", "any", "tiny"] in [row[:5] for row in rows]
    assert ["3", "any", "any", "p95 1000.000", "tiny"] in [row[:5] for row in rows]
    assert "refused: no plan holds the budget, so the one before ran on" in printed.out
    assert len(saved.read_text().splitlines()) == 1 + 3 * (6 + 3)
    assert "memory" in printed.err
    assert "tiny2" in printed.err
    assert "<svg" in (tmp_path / "report" / "report.html").read_text()


def test_a_governed_run_says_what_came_of_it_and_shows_decisions_where_asked_for(
    tiny_store: Store, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text('[{}, {"memory_bytes": 1}, {"memory_bytes": 1000000000}]')
    command = ["run", str(tiny_store.path), "--input", str(digits), "--trace", str(trace), "--governed"]
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    steps = json.loads(printed.out)
    assert [step["refused"] is None for step in steps] == [True, False, True]
    assert [(step["governed"], step["replanned"]) for step in steps] == [("applied", 0), (None, 0), ("applied", 0)]
    assert '"decision"' not in printed.err
    assert main([*command, "--debug"]) == 0
    assert '"event": "decision"' in capsys.readouterr().err


def test_what_a_governor_did_is_in_the_table(tiny_store: Store) -> None:
    with Runtime.open([tiny_store.path]) as runtime:
        (step,) = replay(runtime, {"tiny": Inputs([tiny_store.manifest.inputs[0].zeros()])}, [Budget()])
    table = steps_table([step.model_copy(update={"governed": "nearest", "replanned": 2})])
    rows = [re.split(r"  +", line) for line in table.splitlines()]
    assert [row[0] for row in rows if "tiny" in row] == ["1 nearest"]
    assert [row[-2] for row in rows if "tiny" in row] == ["3 + 2"]  # the runtime was opened with three segments
    assert "nearest: no plan holds the budget at the present speed, so the nearest one ran; switched: blocks" in table
    assert "nearest" not in steps_table([step])


def test_inputs_that_one_of_several_models_cannot_take_are_told_with_its_name_and_how_it_gets_others(
    tiny_store: Store, tiny_store2: Store, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(tiny_store.path), str(tiny_store2.path), "--input", str(digits)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"legodnn: tiny2: {digits}")
    assert printed.endswith("; --input tiny2=FILE gives this model inputs of its own\n")


def test_a_trace_that_names_another_model_is_refused_before_anything_runs(
    tiny_store: Store, tmp_path: Path, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text('[{}, {"latency_ms": {"other": 1.0}}]')
    assert main(["run", str(tiny_store.path), "--trace", str(trace), "--input", str(digits)]) == 1
    printed = capsys.readouterr().err
    assert "limits the latency of 'other', which is none of tiny" in printed
    assert "replaying" not in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input", "a.npz,b.npz"], "cannot read a.npz,b.npz: No such file"),
        (["--input", "a.npz", "--input", "b.npz"], "--input gives tiny both a.npz and b.npz; give one"),
        (["--input", "tiny=a.npz", "--input", "b.npz"], "--input gives tiny both a.npz and b.npz; give one"),
        (["--input", "a.npz", "--frames", "2"], "--frames is for cameras and videos, and --input names neither"),
        (["--input", "camera", "--frames", "0"], "--frames must be at least 1"),
        (["--input", "a.npz", "--seconds", "0"], "--seconds must be a positive number, not 0"),
        (["--input", "run/a=b/x.npz"], "cannot read run/a=b/x.npz: No such file"),
        (["--input", "other=x.npz"], "no model 'other' in this workload"),
        (["--input", "camera", "--seconds", "1"], "--seconds is for inputs that can be run again"),
    ],
)
def test_what_is_given_is_not_ignored(
    flags: list[str], message: str, tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(tiny_store.path), *flags]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("flag", [["--memory", "10MB"], ["--latency", "5"], ["--latency", "tiny=5"], ["--cores", "2"]])
def test_a_trace_and_a_budget_are_refused_before_anything_is_read(
    flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "nowhere", "--input", "nowhere.npy", "--trace", "nowhere.json", *flag]) == 1
    assert capsys.readouterr().err == (
        f"legodnn: --trace and {flag[0]} do not go together: the trace's file says every budget; "
        "write the limit there\n"
    )


@pytest.mark.parametrize(
    ("flag", "place"),
    [
        ("--save", "file/x.npz"),
        ("--save", "folder.npz"),
        ("--report", "file/x"),
        ("--report", "file"),
        ("--draw", "file"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_runs(
    flag: str, place: str, tiny_store: Store, tmp_path: Path, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if flag == "--report":
        pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.npz").mkdir()
    assert main(["run", str(tiny_store.path), "--input", str(digits), flag, str(tmp_path / place)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"legodnn: cannot write {tmp_path / place}")
    assert printed.err.endswith(f"a directory; name another place with {flag}\n")
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_what_was_measured_is_told_where_a_file_cannot_be_written_after_all(
    how: list[str],
    tiny_store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "in_the_way", raising=False)
    # Inputs are read after the check of the place, which is gone by then.
    (tmp_path / "in_the_way.py").write_text(
        "import os, numpy as np\n\ndef images():\n"
        "    os.mkdir('x.npz')\n    return {'x': np.zeros((3, 12, 12, 1), np.float32)}\n"
    )
    command = ["run", str(tiny_store.path), "--input", "in_the_way:images", "--save", "x.npz", "--report", "report"]
    assert main([*command, *how]) == 1
    printed = capsys.readouterr()
    assert "cannot write x.npz: Is a directory" in printed.err
    assert json.loads(printed.out)[0]["models"]["tiny"]["inferences"] == 3 if how else "plan + switch ms" in printed.out
    assert (tmp_path / "report" / "report.html").exists(), "it lies elsewhere, where there may be room"
