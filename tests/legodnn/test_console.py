"""Tables align, sizes read well and are understood, progress is quiet away from a terminal.

Covers also: native_stderr, printable, progress, units.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.console import ProgressLine, say, text_table
from legodnn.errors import WorkloadError
from legodnn.native_stderr import native_stderr_silenced
from legodnn.units import duration, parse_memory, parse_size, size


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    rows = [("stem", 5, "1.2 MB", 0.5), ("block10", 12345, "900 kB", "-")]
    assert text_table(rows, ("segment", "params", "size", "loss")).splitlines() == [
        "segment  params    size  loss",
        "-------  ------  ------  ----",
        "stem          5  1.2 MB   0.5",
        "block10   12345  900 kB     -",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert text_table([], ("a", "bc")).splitlines() == ["a  bc", "-  --"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (1_234_567, "1.23 MB"), (250e6, "250 MB"), (3.5e9, "3.5 GB")],
)
def test_sizes_are_decimal_with_three_digits(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("300000", 300_000),
        ("20MB", 20_000_000),
        ("20 mb", 20_000_000),
        ("1.5GiB", 3 << 29),
        (" .5 KiB ", 512),
        ("7 B", 7),
        ("2.", 2),
    ],
)
def test_sizes_are_read_in_decimal_and_binary_units(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "5iB", "5 TB", "1e9", "1,5MB", "20 MB 3", "٣MB", "9" * 400, "nan"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(WorkloadError, match="write it like 20MB"):
        parse_size(text)


@given(st.text(max_size=12))
def test_reading_a_size_gives_a_count_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(WorkloadError):
        assert parse_size(text) >= 0


@given(st.floats(min_value=0, max_value=1e12))
def test_a_printed_size_reads_back_to_three_digits(count: float) -> None:
    assert parse_size(size(count)) == pytest.approx(count, rel=0.006, abs=0.51)


def test_progress_without_a_terminal_is_one_line_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("training", 3) as progress:
        for _ in range(3):
            progress.step("note")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.split()[:2] == ["training", "3/3"]


def test_progress_without_a_terminal_tells_now_and_then(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with ProgressLine("training", 1000) as progress:
        for _ in range(100):
            now += 1
            progress.step("loss 0.5")
    lines = [" ".join(line.split()) for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        "training 31/1000 16 min left loss 0.5",
        "training 62/1000 16 min left loss 0.5",
        "training 93/1000 15 min left loss 0.5",
        "training 100/1000 100.0 s",
    ]


@pytest.mark.parametrize("columns", [40, 110])
def test_on_a_terminal_the_last_line_covers_the_bar_and_none_is_longer_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := io.StringIO())
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    with contextlib.suppress(KeyboardInterrupt), ProgressLine("training", 30) as progress:
        progress.at(10, "a note that is rather long, longer than there is room for in a line of a terminal, as it is")
        raise KeyboardInterrupt
    first, bar, last = terminal.getvalue().split("\r")
    assert first == ""
    assert "[########................]" in bar or columns == 40
    assert len(bar) < columns
    assert last.endswith("\n")
    assert len(last.rstrip("\n")) == len(bar) + 2
    assert last.split()[:2] == ["training", "10/30"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99, "99 s"), (120, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_durations_are_told_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_interrupted_progress_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with ProgressLine("training", 3) as progress:
            progress.step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "1/3  interrupted" in capfd.readouterr().err


def test_native_chatter_is_dropped_only_within(capfd: pytest.CaptureFixture[str]) -> None:
    def chat() -> None:
        with native_stderr_silenced():
            os.write(2, b"dropped\n")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        chat()
    os.write(2, b"kept\n")
    assert capfd.readouterr().err == "kept\n"


def test_memory_of_a_few_bytes_asks_for_the_unit() -> None:
    with pytest.raises(WorkloadError, match="'20' without a unit is 20 bytes; write 20MB for megabytes, or 20B"):
        parse_memory("20")
    assert parse_memory("20B") == 20
    assert parse_memory("300000") == 300_000


def test_control_characters_never_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[31mb\x9bc\u202ed\ne\tf")
    assert capfd.readouterr().out == "a\\x1b[31mb\\x9bc\\u202ed\ne\tf\n"
    assert text_table([["a\nb\x07", 1]], ["name", "count"]).splitlines()[-1] == "a\\nb\\x07      1"
    assert str(WorkloadError("no model '\x1b]0;x\x07'")) == "no model '\\x1b]0;x\\x07'"
    with ProgressLine("\x1b[2Jx", 1):
        pass
    assert "\x1b" not in capfd.readouterr().err
