"""The command line: every command explains itself, errors are a line or two, and nothing is left behind by them.

Covers also: __main__.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import legodnn
from legodnn.cli import command_line, main
from legodnn.commands import doctor
from legodnn.errors import LegoError
from legodnn.runtime.executors.select import executor_name
from legodnn.store import Store

COMMANDS = (
    "demo",
    "build",
    "compress",
    "pack",
    "inspect",
    "profile",
    "plan",
    "run",
    "bundle",
    "serve",
    "service",
    "doctor",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert exit_.value.code == 0
    assert f"  legodnn {command}" in text
    assert "--json" in text or command == "service"  # whose status has it


def lines_to_copy(text: str) -> Iterator[list[str]]:
    """The commands of `legodnn` in a text, each as the words that a shell makes of its line."""
    for line in re.findall(r"^  (?:sudo )?legodnn (.*)$", text.replace("\\\n", " "), re.MULTILINE):
        yield shlex.split(line, comments=True)


def test_commands_in_help_can_be_copied_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    helps = [[], *([command, "--help"] for command in COMMANDS), ["service", "install", "--help"]]
    for words in helps:
        with contextlib.suppress(SystemExit):
            main(words)
    found = [words for words in lines_to_copy(capsys.readouterr().out) if len(words) > 1 and words[0] in COMMANDS]
    assert {words[0] for words in found} >= {*COMMANDS} - {"doctor"}
    for words in found:
        args = command_line(words).parse_args(words)
        places = [Path(place) for place in getattr(args, "workload", [])]
        assert len(places) == 1 or not any(place.suffix for place in places), f"{words}: a file is given alone"
        if words[0] in ("build", "compress") and Path(args.model).suffix:
            assert args.data, f"{words}: a model of one's own is not for the digits"


def test_importing_the_package_and_the_runtime_imports_no_training_or_inference_library() -> None:
    code = (
        "import sys, legodnn, legodnn.runtime; "
        "heavy = {'keras', 'tensorflow', 'ai_edge_litert', 'tflite_runtime', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("line", [["--help"], [], ["build", "--help"]])
def test_help_imports_nothing_that_takes_long(line: list[str]) -> None:
    code = (
        "import sys\n"
        "from legodnn.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert not loaded & {
        "numpy",
        "pydantic",
        "psutil",
        "rich",
        "asyncio",
        "ai_edge_litert",
        "keras",
        "legodnn.manifest",
    }
    commands = {name for name in loaded if name.startswith("legodnn.commands.")}
    assert commands == {
        "legodnn.commands.parser",
        *(f"legodnn.commands.{word}" for word in line[:1] if word in COMMANDS),
    }
    assert not [name for name in loaded if name.startswith("legodnn.runtime")]


def test_the_line_decides_which_command_has_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    whole = command_line()
    assert all(f"    {command} " in whole.format_help() for command in COMMANDS)
    assert command_line(["--debug", "plan", "build"]).format_help() == whole.format_help()
    assert command_line(["--debug", "plan", "build"]).parse_args(["plan", "build"]).workload == ["build"]
    with pytest.raises(SystemExit) as exit_:
        main(["bild", "vgg16"])
    assert exit_.value.code == 2
    assert "'bild'" in capsys.readouterr().err


def test_the_version_names_the_executor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, told in (("interpreter", executor_name("interpreter")), ("nonsense", "no executor: LEGODNN_EXECUTOR")):
        monkeypatch.setenv("LEGODNN_EXECUTOR", kind)
        with pytest.raises(SystemExit) as exit_:
            main(["--version"])
        assert exit_.value.code == 0
        assert capsys.readouterr().out.startswith(f"legodnn {legodnn.__version__} ({told}")


def test_the_shell_completes_commands_and_their_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as exit_:
        main(["--completion", "bash"])
    assert exit_.value.code == 0
    (tmp_path / "legodnn").write_text(capsys.readouterr().out)
    # With a slash: bash would look for the name in PATH first, where an activated environment has the command itself.
    ask = ". ./legodnn; COMP_WORDS=($0); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_legodnn; echo ${COMPREPLY[@]}"
    for line, wanted in (("legodnn pl", "plan"), ("legodnn profile --wid", "--widths")):
        done = subprocess.run(["bash", "-c", ask, line], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == wanted


def test_completion_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--completion", "zsh"]) == 1
    assert capsys.readouterr().err == "legodnn: shtab is missing; install it: pip install 'legodnn[completion]'\n"


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
