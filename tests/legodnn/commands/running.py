"""Running a command line in this process."""

from __future__ import annotations

import pytest

from legodnn.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit status, and what was printed to stdout and to stderr."""
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err
