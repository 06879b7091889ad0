"""What native libraries write to stderr is dropped while it is silenced, and only then."""

from __future__ import annotations

import os

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
