"""Measuring in a fresh process, which holds nothing of what this one has allocated or let go of."""

from __future__ import annotations

from legodnn.errors import ProfileError
from legodnn.processes import run_module


def printed_by(module: str, what: str, *arguments: str) -> str:
    """Run a module as a program, and return what it prints.

    Args:
        module: its name.
        what: what it measures, for messages.
        arguments: its arguments.

    Raises:
        ProfileError: the process cannot be started, or failed.
    """
    try:
        ended = run_module(module, *arguments)
    except OSError as e:
        raise ProfileError(f"the process that measures {what} cannot be started: {e.strerror or e}") from None
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProfileError(f"the process that measures {what} failed: {last}")
    return ended.stdout
