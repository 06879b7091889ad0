"""Processes that answer one JSON request a line with one JSON answer a line.

Solvers run in processes of their own because OR-Tools and highspy cannot be loaded into one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

# What a line with an answer starts with. Solvers print other lines.
_MARK = "#"


class Worker:
    """A process that answers requests.

    Args:
        command: what is started.
        mark: what its lines with answers start with; lines without it are left out.
    """

    def __init__(self, command: Sequence[str], mark: str = "") -> None:
        self._mark = mark
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request: Any) -> Any:
        """Send a request and return the answer to it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith(self._mark):
                return json.loads(line.removeprefix(self._mark))
        raise RuntimeError("the worker ended; its message is above")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def script_worker(script: str, name: str) -> Worker:
    """Start a benchmark's script again as the worker of a name; there `served` finds that it is one."""
    return Worker([sys.executable, script, "--worker", name], _MARK)


def served(workers: dict[str, Callable[[Any], Any]]) -> bool:
    """Answer requests until stdin is closed, if this process was started by `script_worker`; whether it was.

    Args:
        workers: for each name, the function that gives the answer to a request.
    """
    if sys.argv[1:2] != ["--worker"]:
        return False
    answer = workers[sys.argv[2]]
    for line in sys.stdin:
        print("\n" + _MARK + json.dumps(answer(json.loads(line))), flush=True)
    return True
