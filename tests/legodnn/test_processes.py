"""Processes that this package starts: what they import, and when they end.

Covers also: child.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from legodnn import Store, processes
from legodnn.printable import printable
from legodnn.runtime.executors import trial
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.isolated import IsolatedExecutor

X = {"image": np.random.default_rng(0).random((12, 12, 1), np.float32)}


def packing(store: Store, folder: Path) -> str:
    return ended("legodnn.runtime.executors.trial_child", str(store.path), store.id, "capi", "60", str(folder))


def weighing(store: Store, folder: Path) -> str:
    return ended("legodnn.profiler.memory", str(store.path), "0", "0")


def self_test(store: Store, folder: Path) -> str:
    return ended("legodnn.runtime.executors.litert_capi")


def command(store: Store, folder: Path) -> str:
    return ended("legodnn", "inspect", str(store.path))


def worker(store: Store, folder: Path) -> str:
    executor = IsolatedExecutor(store)
    executor.compose(covering_compositions(store)[0]).run(X)
    executor.close()
    return ""


def job(store: Store, folder: Path) -> str:
    """Have a conversion fail for want of arguments: it says so, after importing all that it needs."""
    from legodnn.blocks.jobs.local_worker import write_frame
    from legodnn.blocks.jobs.packed import packed

    nothing, request = packed({}), io.BytesIO()
    write_frame(request, nothing)
    write_frame(request, [b""])
    with tempfile.TemporaryFile() as shared:
        shared.write(np.concatenate(nothing).tobytes())
        shared.flush()
        process = processes.start_module(
            "legodnn.blocks.jobs.local_worker",
            *(str(shared.fileno()), str(shared.tell()), "legodnn.blocks.export.conversion_job:converting"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[shared.fileno()],
        )
        told, errors = process.communicate(request.getvalue())
    assert b"KeyError: 'request'" in told
    found: str = errors.decode()
    return found


def ended(module: str, *arguments: str) -> str:
    done = processes.run_module(module, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


KINDS = [packing, weighing, self_test, command, worker, pytest.param(job, marks=pytest.mark.slow)]


def plant(folder: Path, modules: set[str], marker: Path) -> None:
    """Write a file with the name of every module; it leaves a mark when it is executed."""
    for name in modules:
        (folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r} + '\\n')\nraise SystemExit(9)\n")


@pytest.mark.parametrize("kind", KINDS)
def test_no_child_executes_what_lies_in_the_current_folder(
    kind: Callable[[Store, Path], str],
    tiny_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The folder has a file named like every module that this kind of child imports; the parent looks there first."""
    outs = [tmp_path / "first", tmp_path / "second"]
    here, marker = tmp_path / "here", tmp_path / "executed"
    for folder in (*outs, here):
        folder.mkdir()
    with monkeypatch.context() as watched:
        watched.setenv("PYTHONPROFILEIMPORTTIME", "1")
        printed = kind(tiny_store, outs[0]) + capfd.readouterr().err
    imported = {name.partition(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", printed, re.MULTILINE)}
    assert imported >= {"json", "numpy", "legodnn", "runpy"}
    plant(here, imported | {"sitecustomize", "usercustomize", "linecache"}, marker)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", str(here)]))
    monkeypatch.setattr(sys, "path", ["", ".", str(here), str(here / "." / ".." / "here"), *sys.path])
    kind(tiny_store, outs[1])
    assert not marker.exists(), marker.read_text()


RUN = "import sys; from legodnn.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "../copy", "--input", "x.npy"],
        ["run", "../copy", "--input", "x.npy", "--isolated"],
        ["profile", "../copy", "--quick", "--seconds", "0.2"],
    ],
    ids=["run", "isolated", "profile"],
)
def test_a_store_that_is_the_current_folder_executes_nothing(
    arguments: list[str], store_copy: Path, tiny_store: Store, tmp_path: Path
) -> None:
    """Commands are run in a store's folder, as a user would, before anything was packed."""
    marker, program = tmp_path / "executed", tmp_path / "elsewhere" / "program.py"
    np.save(store_copy / "x.npy", X["image"][None])
    program.parent.mkdir()
    program.write_text(RUN)
    plant(store_copy, set(sys.stdlib_module_names) | {"numpy", "psutil", "pydantic", "legodnn", "flatbuffers"}, marker)
    profile = Path(f"{store_copy}.profile.json")
    profile.write_text(Path(f"{tiny_store.path}.profile.json").read_text())
    environment = {**os.environ, "LEGODNN_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        cwd=store_copy,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert not marker.exists(), marker.read_text()
    assert done.returncode == 0, done.stderr


def test_children_find_what_this_process_finds_but_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the package itself lies in the current folder, as in a checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "lib", str(tmp_path), "/not/there", "/usr"])
    assert processes.search_path() == ["/not/there", "/usr"]
    monkeypatch.undo()
    root = Path(processes.__file__).resolve().parent.parent
    monkeypatch.chdir(root)
    assert str(root) not in processes.search_path()
    assert processes.run_module("legodnn.runtime.executors.litert_capi").returncode == 0


def test_what_only_the_current_folder_holds_is_missed_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = processes.run_module("legodnn.nothing")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "legodnn: legodnn.nothing cannot start: No module named legodnn.nothing; what only the current folder holds is "
        "not used: install it"
    ]


def test_messages_may_hold_any_bytes(tmp_path: Path) -> None:
    path = os.fsdecode(bytes(tmp_path) + b"/\xff\xe9")
    done = processes.run_module("legodnn.runtime.executors.trial_child", path, "", "capi", "60", str(tmp_path))
    assert done.returncode == 1
    _, error = trial.told(done.stdout)
    assert error is not None
    assert error[0] == "StoreError"
    assert error[1].startswith(f"{printable(path)} is not a folder")


def test_a_child_that_takes_too_long_is_ended() -> None:
    started = psutil.Process().children()
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run_module("legodnn.runtime.executors.litert_capi", timeout_s=0.001)
    assert psutil.Process().children() == started


PARENT = """
import os, sys, time
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.store import Store
executor = IsolatedExecutor(Store(sys.argv[1]))
print(executor.pid, flush=True)
if sys.argv[2] == "forks" and not os.fork():
    time.sleep(60)  # with a copy of the socket, which so is never closed
    os._exit(0)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("end", "forks"),
    [(signal.SIGKILL, "alone"), (signal.SIGKILL, "forks"), (signal.SIGTERM, "alone"), (signal.SIGINT, "alone")],
)
def test_a_worker_ends_with_its_parent_and_says_nothing(tiny_store: Store, end: signal.Signals, forks: str) -> None:
    """SIGINT reaches the whole group, as Ctrl-C in a terminal does."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tiny_store.path), forks],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stderr is not None
            worker = psutil.Process(int(parent.stdout.readline()))
            assert parent.stdout.readline() == "ready\n"
            if end is signal.SIGINT:
                os.killpg(parent.pid, end)
            else:
                parent.send_signal(end)
            parent.wait()
            worker.wait(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)
        said = parent.stderr.read()
    assert "worker" not in said
    assert said.count("Traceback") == (1 if end is signal.SIGINT else 0)  # the parent's own


def test_a_child_that_is_starting_is_not_interrupted(tiny_store: Store, tmp_path: Path) -> None:
    """From its first moment on, when Python would answer Ctrl-C with a traceback."""
    for delay in (0, 0.01, 0.05):
        arguments = (str(tiny_store.path), tiny_store.id, "capi", "60", str(tmp_path))
        with processes.start_module(
            *("legodnn.runtime.executors.trial_child", *arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            time.sleep(delay)
            child.send_signal(signal.SIGINT)
            _, said = child.communicate()
        assert "Traceback" not in said
        assert child.returncode == 0
        for file in tmp_path.iterdir():
            file.unlink()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
