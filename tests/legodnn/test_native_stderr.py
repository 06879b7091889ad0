"""What native libraries write to stderr is dropped while it is silenced, and only then."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

from legodnn.native_stderr import native_stderr_silenced


def test_native_chatter_is_dropped_only_within(capfd: pytest.CaptureFixture[str]) -> None:
    def chat() -> None:
        with native_stderr_silenced():
            os.write(2, b"dropped\n")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        chat()
    os.write(2, b"kept\n")
    assert capfd.readouterr().err == "kept\n"


@pytest.mark.parametrize("closed", ["os.close(2)", "sys.stderr = None", "sys.stderr.close()"])
def test_where_there_is_no_standard_error_nothing_is_silenced(closed: str) -> None:
    code = f"""
        import os, sys
        from legodnn.native_stderr import native_stderr_silenced
        {closed}
        with native_stderr_silenced():
            print("done")
    """
    found = subprocess.run([sys.executable, "-c", inspect.cleandoc(code)], capture_output=True, text=True, check=False)
    assert found.stdout == "done\n", found.stderr
