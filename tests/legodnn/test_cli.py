"""The command line: every command explains itself, errors are a line or two, JSON is JSON.

Covers also: commands.run, runtime.feeds.live, runtime.feeds.replay, runtime.feeds.report.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn.cli import main
from legodnn.store import Store

COMMANDS = ("demo", "build", "inspect", "profile", "plan", "run", "doctor")


@pytest.fixture
def digits(tiny_store: Store, tmp_path: Path) -> Path:
    shape = tiny_store.manifest.inputs[0].shape
    x = np.random.default_rng(0).random((6, *shape), np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(6))
    return tmp_path / "x.npz"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert exit_.value.code == 0
    assert f"  legodnn {command}" in text
    assert "--json" in text


def test_importing_the_package_and_the_runtime_imports_no_training_or_inference_library() -> None:
    code = (
        "import sys, legodnn, legodnn.runtime; "
        "heavy = {'keras', 'tensorflow', 'ai_edge_litert', 'tflite_runtime', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_inspect_shows_a_store(tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_store.path)]) == 0
    text = capsys.readouterr().out
    assert "block1" in text
    assert "9 compositions" in text
    assert main(["inspect", str(tiny_store.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == tiny_store.id


def test_inspect_shows_how_a_model_would_be_cut(tiny_keras_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_keras_file), "--json"]) == 0
    segments = json.loads(capsys.readouterr().out)["segments"]
    assert [s["segment"] for s in segments] == ["block1", "block2", "head"]
    assert segments[1]["reads"] == ["block1"]
    assert main(["inspect", str(tiny_keras_file)]) == 0
    assert "channels made by" in capsys.readouterr().out


def test_inspect_says_why_channels_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("keras")
    assert main(["inspect", "resnet20"]) == 0
    text = capsys.readouterr().out
    assert "16 channels made by layer1_0_conv1" in text
    assert "keeps its channels: it adds channels" in text


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
    assert main([*command, "--report", str(tmp_path / "report"), "--live"]) == 0
    printed = capsys.readouterr()
    assert "refused" in printed.out
    assert "memory" in printed.err
    assert "tiny2" in printed.err
    assert "<svg" in (tmp_path / "report" / "report.html").read_text()


def test_a_trace_that_names_another_model_is_refused_before_anything_runs(
    tiny_store: Store, tmp_path: Path, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text('[{}, {"latency_ms": {"other": 1.0}}]')
    assert main(["run", str(tiny_store.path), "--trace", str(trace), "--input", str(digits)]) == 1
    printed = capsys.readouterr().err
    assert "limits the latency of 'other', which is none of tiny" in printed
    assert "replaying" not in printed


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
    "arguments",
    [
        ["inspect", "nowhere"],
        ["inspect", "nowhere/at/all"],
        ["profile", "nowhere"],
        ["plan", "nowhere"],
        ["run", "STORE", "--input", "nowhere.npy"],
        ["run", "STORE", "--input", "nobody=DIGITS"],
        ["run", "STORE", "--input", "DIGITS", "--memory", "lots"],
        ["run", "STORE", "--input", "DIGITS", "--memory", "1B"],
        ["run", "STORE", "--input", "DIGITS", "--trace", "DIGITS"],
        ["build", "vgg17", "--out", "OUT"],
        ["build", "vgg16", "--out", "OUT"],
        ["build", "vgg16", "--out", "OUT", "--sparsities", "1.5"],
        ["build", "vgg16", "--out", "STORE"],
    ],
)
def test_errors_are_a_line_or_two_and_leave_nothing(
    arguments: list[str], tiny_store: Store, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"STORE": str(tiny_store.path), "DIGITS": str(digits), "OUT": str(tmp_path / "out")}
    for placeholder, value in names.items():
        arguments = [a.replace(placeholder, value) for a in arguments]
    before = sorted(tmp_path.iterdir())
    assert main(arguments) == 1
    error = capsys.readouterr().err
    message = error[error.index("legodnn: ") :]
    assert len(message.strip().splitlines()) <= 2
    assert "Traceback" not in error
    assert sorted(tmp_path.iterdir()) == before
