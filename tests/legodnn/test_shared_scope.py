"""What threads change for a while is as it was when the last of them goes, in whatever order they do."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from PIL import Image

from legodnn.images import load
from legodnn.native_stderr import native_stderr_silenced
from legodnn.processes import start_module
from legodnn.shared_scope import SharedScope
from legodnn.tensor_spec import InputSpec
from tests.runtime.test_forks import forked


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


@pytest.mark.timeout(60)
def test_a_process_that_is_forked_off_is_in_no_scope_of_other_threads() -> None:
    told: list[str] = []

    @contextmanager
    def told_of() -> Iterator[None]:
        told.append("entered")
        yield
        told.append("left")

    scope, begun, goes_on = SharedScope(told_of), threading.Event(), threading.Event()

    def stay() -> None:
        with scope:
            begun.set()
            assert goes_on.wait(30)

    thread = threading.Thread(target=stay)
    thread.start()
    assert begun.wait(30)

    def left() -> None:
        assert told == ["entered", "left"]
        with scope:
            assert told == ["entered", "left", "entered"]

    forked(left)
    assert told == ["entered"], "what is forked off changes nothing here"
    goes_on.set()
    thread.join(30)
    with scope:
        forked(lambda: assert_inside(told, 3))


def assert_inside(told: list[str], count: int) -> None:
    assert len(told) == count, "the thread that forked is still inside"


@pytest.mark.timeout(60)
def test_who_is_outside_waits_for_others_and_lets_none_in() -> None:
    scope, begun, goes_on, order = SharedScope(nullcontext), threading.Event(), threading.Event(), []

    def stay() -> None:
        with scope:
            begun.set()
            assert goes_on.wait(30)
            order.append("left")

    def enter() -> None:
        with scope:
            order.append("entered")

    threads = [threading.Thread(target=stay), threading.Thread(target=enter)]
    threads[0].start()
    assert begun.wait(30)
    threading.Timer(0.2, goes_on.set).start()
    with scope.outside():
        threads[1].start()
        threads[1].join(0.2)
        order.append("outside")
    for thread in threads:
        thread.join(30)
    assert order == ["left", "outside", "entered"]
    with scope, scope.outside():
        pass  # the thread's own stay is no reason to wait


def test_a_child_that_starts_while_standard_error_is_silent_can_be_heard(capfd: pytest.CaptureFixture[str]) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def silent() -> None:
        with native_stderr_silenced():
            begun.set()
            assert goes_on.wait(30)

    thread = threading.Thread(target=silent)
    thread.start()
    assert begun.wait(30)
    threading.Timer(0.2, goes_on.set).start()
    assert start_module("legodnn.no_such_module").wait(60)
    thread.join(30)
    assert "no_such_module" in capfd.readouterr().err
