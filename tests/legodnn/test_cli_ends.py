"""How the command ends when it is interrupted, or nobody reads what it prints: a status and a line, no traceback.

Covers also: __main__.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from legodnn.cli import main
from legodnn.errors import DependencyError, LegoError, WriteError
from legodnn.files import new_folder, write_atomic
from legodnn.profile import default_path
from legodnn.store import Store

LEGODNN = [sys.executable, "-m", "legodnn"]
# The same, but it waits while it imports NumPy, which is when Ctrl-C comes after a typing mistake.
IMPORTING = """
import runpy, sys, time

class Waiting:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print("importing", flush=True)
            time.sleep(600)

sys.meta_path.insert(0, Waiting())
runpy.run_module("legodnn", run_name="__main__", alter_sys=True)
"""


def run(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LEGODNN, *arguments], stderr=subprocess.PIPE, text=True, check=False, timeout=120, **how)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("command", ["profile", "plan"])
def test_a_signal_ends_a_command_without_a_traceback(
    store_copy: Path, tiny_store: Store, number: int, status: int, command: str
) -> None:
    default_path(store_copy).write_bytes(default_path(tiny_store.path).read_bytes())
    before = sorted(path.name for path in store_copy.parent.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING, command, str(store_copy)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert "Traceback" not in told
    assert process.returncode == status
    assert "run the same command again" in told
    left = {path.name for path in store_copy.parent.iterdir()} - set(before)
    assert left <= {default_path(store_copy).name + ".work"}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_an_import_makes_an_error_of_its_own_is_still_a_signal(
    tiny_store: Store,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    status: int,
) -> None:
    def imports(_: object) -> int:
        try:
            signal.raise_signal(number)
        except BaseException as e:
            raise ImportError("could not import module") from e
        return 0

    monkeypatch.setattr("legodnn.commands.inspect.run", imports)
    assert main(["inspect", str(tiny_store.path)]) == status
    assert "run the same command again" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_an_error_of_work_that_ctrl_c_only_cut_short_is_told(
    tiny_store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def searches(_: object) -> int:
        with contextlib.suppress(KeyboardInterrupt):  # as a search of widths, which gives the best so far
            signal.raise_signal(signal.SIGINT)
        raise WriteError("cannot write small.tflite: No space left on device; name another place")

    def imports(_: object) -> int:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        try:
            raise ImportError("could not import module")  # as NumPy's C code, which does not say of what
        except ImportError:
            raise DependencyError("no TensorFlow Lite runtime is installed") from None

    monkeypatch.setattr("legodnn.commands.inspect.run", searches)
    assert main(["inspect", str(tiny_store.path)]) == 1
    assert capsys.readouterr().err.startswith("legodnn: cannot write small.tflite: No space left")
    monkeypatch.setattr("legodnn.commands.inspect.run", imports)
    assert main(["inspect", str(tiny_store.path)]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_sigterm_is_left_alone_where_it_is_ignored(tiny_store: Store) -> None:
    done = run("plan", str(tiny_store.path), preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    assert done.returncode == 0


def test_the_handlers_are_given_back(tiny_store: Store) -> None:
    assert main(["inspect", str(tiny_store.path)]) == 0
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("close", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_closed_streams_do_no_harm(tiny_store: Store, close: tuple[int, ...]) -> None:
    command = " ".join(LEGODNN) + f" plan {tiny_store.path} " + " ".join(f"{fd}>&-" for fd in close)
    assert subprocess.run(["bash", "-c", command], capture_output=True, check=False).returncode == 0


def test_a_full_disk_behind_stdout_is_said(tiny_store: Store) -> None:
    with Path("/dev/full").open("w") as full:
        done = run("inspect", str(tiny_store.path), "--json", stdout=full)
    assert (done.returncode, done.stderr) == (1, "legodnn: No space left on device\n")


def test_all_profiles_are_written_though_none_can_be_told(store_copy: Path) -> None:
    stores = [store_copy, Path(shutil.copytree(store_copy, store_copy.with_name("other")))]
    effort, unbuffered = ("--seconds", "0.3", "--quick"), {**os.environ, "PYTHONUNBUFFERED": "1"}
    with Path("/dev/full").open("w") as full:  # as where head has read what it wants
        done = run("profile", *map(str, stores), *effort, stdout=full, env=unbuffered)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "legodnn: No space left on device")
    assert all(default_path(store).exists() for store in stores)
    assert not list(store_copy.parent.glob("*.work"))


def test_a_reader_that_goes_is_no_error(tiny_store: Store) -> None:
    command = f"{' '.join(LEGODNN)} inspect {tiny_store.path} --json | head -c 10; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr == ""


def limited() -> None:
    """No file may grow beyond two kilobytes, as on a disk that is nearly full."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))


def test_a_full_disk_while_profiling_is_said_and_leaves_nothing_half_written(store_copy: Path) -> None:
    done = run("profile", str(store_copy), "--seconds", "0.5", "--quick", stdout=subprocess.DEVNULL, preexec_fn=limited)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot write" in done.stderr
    assert not default_path(store_copy).exists()
    assert [path.name for path in store_copy.parent.iterdir() if path.suffix == ".tmp"] == []


def test_what_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match=r"cannot write .*file/below: Not a directory"):
        write_atomic(tmp_path / "file" / "below", b"")
    with pytest.raises(WriteError, match="cannot write"):
        write_atomic(Path(f"{tmp_path}/a\0b"), b"")
    with pytest.raises(WriteError, match="below: Not a directory"), new_folder(tmp_path / "file" / "below"):
        pass
    assert issubclass(WriteError, LegoError)
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


@pytest.mark.parametrize("command", [["plan", "."], ["profile", "--merge", ".", "--out", "x"], ["inspect", "."]])
def test_a_folder_where_a_file_or_store_is_expected(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 1
    assert capsys.readouterr().err.startswith("legodnn: ")


def test_the_current_folder_can_be_planned(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny_store.path)
    assert main(["plan", "."]) == 0
    assert tiny_store.path.name in capsys.readouterr().out


def test_what_stdout_cannot_encode_is_printed_as_escapes(tiny_store: Store) -> None:
    done = run("plan", str(tiny_store.path), stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "\\xb1" in done.stdout  # the sign between an accuracy and its error
