"""The command line: every command explains itself, errors are a line or two, and nothing is left behind by them.

Covers also: __main__.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from legodnn.cli import main
from legodnn.commands import doctor
from legodnn.errors import LegoError
from legodnn.store import Store

COMMANDS = ("demo", "build", "compress", "pack", "inspect", "profile", "plan", "run", "serve", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert exit_.value.code == 0
    assert f"  legodnn {command}" in text
    assert "--json" in text or command == "serve"  # which answers programs in JSON over HTTP


def test_importing_the_package_and_the_runtime_imports_no_training_or_inference_library() -> None:
    code = (
        "import sys, legodnn, legodnn.runtime; "
        "heavy = {'keras', 'tensorflow', 'ai_edge_litert', 'tflite_runtime', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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


def test_the_command_alone_says_what_to_do_in_which_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"  legodnn {command}") for command in ("demo", "build", "inspect", "profile", "plan", "run")]
    assert places == sorted(places)
    assert "legodnn COMMAND --help" in text
    assert max(map(len, text.splitlines())) <= 100


def test_debug_may_stand_behind_the_command_and_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--debug", "inspect", "nowhere"], ["inspect", "nowhere", "--debug"]):
        with pytest.raises(LegoError):
            main(arguments)


def test_the_librarys_notes_are_shown_while_a_command_runs_and_not_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine() -> Iterator[doctor.Finding]:
        logging.getLogger("legodnn.runtime").warning("no packed weights")
        yield doctor.Finding("Python", "ok", "3")

    monkeypatch.setattr(doctor, "examine", examine)
    assert main(["doctor", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "warning: no packed weights\n"
    assert json.loads(captured.out)[0]["found"] == "3"
    assert not logging.getLogger("legodnn").handlers
