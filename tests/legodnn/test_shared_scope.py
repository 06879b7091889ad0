"""What threads change for a while is as it was when the last of them goes, in whatever order they do."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from legodnn.images import load
from legodnn.native_stderr import native_stderr_silenced
from legodnn.shared_scope import SharedScope
from legodnn.tensor_spec import InputSpec


def test_it_is_entered_by_the_first_and_left_by_the_last() -> None:
    told = []

    @contextmanager
    def told_of() -> Iterator[None]:
        told.append("entered")
        yield
        told.append("left")

    scope = SharedScope(told_of)
    for _ in range(2):
        told.clear()
        with scope:
            scope.__enter__()
        assert told == ["entered"], "who came first has gone, another is inside"
        scope.__exit__()
        assert told == ["entered", "left"]


def test_nobody_is_in_what_cannot_be_entered() -> None:
    @contextmanager
    def never() -> Iterator[None]:
        raise OSError("not now")
        yield

    scope = SharedScope(never)
    for _ in range(2):
        with pytest.raises(OSError, match="not now"), scope:
            pass


def test_warnings_are_as_before_when_several_threads_have_read_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, before = InputSpec(name="image", shape=(4, 4, 1)), list(warnings.filters)
    readers, ways = [], []
    for _ in range(2):  # the second begins before the first ends, and ends after it
        picture, begun, goes_on = Image.new("L", (30, 30)), threading.Event(), threading.Event()

        def read_slowly(begun: threading.Event = begun, goes_on: threading.Event = goes_on) -> object:
            begun.set()
            assert goes_on.wait(30)
            return {}

        monkeypatch.setattr(picture, "getexif", read_slowly)
        readers.append(threading.Thread(target=load, args=(picture, spec)))
        readers[-1].start()
        assert begun.wait(30)
        ways.append(goes_on)
    for reader, goes_on in zip(readers, ways, strict=True):
        goes_on.set()
        reader.join(30)
    assert list(warnings.filters) == before


def test_standard_error_is_back_whoever_goes_first(capfd: pytest.CaptureFixture[str]) -> None:
    first, second = native_stderr_silenced(), native_stderr_silenced()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    os.write(2, b"dropped\n")
    second.__exit__(None, None, None)
    os.write(2, b"kept\n")
    assert capfd.readouterr().err == "kept\n"
