"""Processes of our own: every one that this package starts for its own modules is started here.

A store may come from anywhere and be the current folder, so none of them imports from there, whatever this process
does: `python -m` and `python -c` would look there first. They find packages where this process finds them, the current
folder left out, and `legodnn` itself where it was loaded from.

Ctrl-C in a terminal reaches all processes there; these leave it to the one that started them, and end when that ends,
however it does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import legodnn

_PROGRAM = Path(__file__).absolute().with_name("child.py")
_PACKAGE = Path(legodnn.__file__).absolute()


def start_module(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a module of this package as a program; OSError if no process can be started.

    Args:
        module: its name, such as 'legodnn.runtime.executors.worker'.
        arguments: what it finds in `sys.argv`.
        environment: variables that it has beside this process's.
        options: of `subprocess.Popen`; standard input is empty unless they say otherwise.
    """
    paths = search_path()
    command = [sys.executable, str(_PROGRAM), str(os.getpid()), str(_PACKAGE), str(len(paths)), *paths]
    # Python itself would take more folders from PYTHONPATH, the current one for an empty entry.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # What is blocked here while it starts stays blocked in it, from its first moment on.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [*command, module, *arguments],
            **{"stdin": subprocess.DEVNULL, "env": {**inherited, **(environment or {})}, **options},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run_module(
    module: str, *arguments: str, timeout_s: float | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Start a module as `start` does, and wait for its end: what it printed, and its status.

    Its paths and messages may hold any bytes. It is killed if this is interrupted, and after `timeout_s` seconds.

    Raises:
        OSError: no process can be started.
        subprocess.TimeoutExpired: it took longer.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "errors": "surrogateescape"}
    environment = {**(options.pop("environment", None) or {}), "PYTHONIOENCODING": "utf-8:surrogateescape"}
    with start_module(module, *arguments, environment=environment, **{**pipes, **options}) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def search_path() -> list[str]:
    """Where this process looks for modules, without the current folder and what is relative to it."""
    here = Path().stat()

    def is_here(entry: str) -> bool:
        try:
            return os.path.samestat(Path(entry).stat(), here)
        except OSError:  # there is nothing
            return False

    return [entry for entry in sys.path if Path(entry).is_absolute() and not is_here(entry)]
