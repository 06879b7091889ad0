"""Child processes: whenever this package runs one of its own modules in another process, it is started here.

The current folder may be a store that comes from anywhere, so a child never imports from the current folder, even if
this process does (`python -m` and `python -c` would look there first). It finds packages where this process finds them,
except for the current folder, and `legodnn` itself where this process loaded it from.

Ctrl-C in a terminal reaches all processes of the terminal. Children ignore it: they end when the process that started
them ends, however that ends.
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
from legodnn.native_stderr import native_stderr_silenced

_PROGRAM = Path(__file__).absolute().with_name("child.py")
_PACKAGE = Path(legodnn.__file__).absolute()


def start_module(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a module of this package as a program; return its process.

    Args:
        module: its name, such as 'legodnn.runtime.executors.worker'.
        arguments: what it finds in `sys.argv` after its own name.
        environment: environment variables that are added to those of this process.
        options: options of `subprocess.Popen`. Standard input is empty unless they say otherwise.

    Raises:
        OSError: no process can be started.
    """
    paths = search_path()
    command = [sys.executable, str(_PROGRAM), str(os.getpid()), str(_PACKAGE), str(len(paths)), *paths]
    # From PYTHONPATH Python would add more folders itself, and for an empty entry the current one.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # The child inherits the set of blocked signals, so it ignores Ctrl-C from its first moment on.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with native_stderr_silenced().outside():  # else the child would be silent for ever
            return subprocess.Popen(
                [*command, module, *arguments],
                **{"stdin": subprocess.DEVNULL, "env": {**inherited, **(environment or {})}, **options},
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run_module(
    module: str, *arguments: str, timeout_s: float | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Start a module as `start_module` does and wait for its end; return its exit status and what it printed.

    Arguments and output may hold any bytes. The child is killed if waiting for it is interrupted.

    Args:
        module, arguments, options: as for `start_module`.
        timeout_s: seconds after which it is killed; None waits for ever.

    Raises:
        OSError: no process can be started.
        subprocess.TimeoutExpired: it took longer than `timeout_s`.
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
    """Return the folders that this process looks for modules in, without the current folder and relative ones."""
    here = Path().stat()

    def is_here(entry: str) -> bool:
        try:
            return os.path.samestat(Path(entry).stat(), here)
        except OSError:  # there is no such folder
            return False

    return [entry for entry in sys.path if Path(entry).is_absolute() and not is_here(entry)]
