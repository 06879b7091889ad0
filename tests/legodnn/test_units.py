"""Sizes and times read well, and are understood as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.units import duration, parse_memory, parse_size, size


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
    with pytest.raises(ValueError, match="write it like 20MB"):
        parse_size(text)


@given(st.text(max_size=12))
def test_reading_a_size_gives_a_count_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_size(text) >= 0


@given(st.floats(min_value=0, max_value=1e12))
def test_a_printed_size_reads_back_to_three_digits(count: float) -> None:
    assert parse_size(size(count)) == pytest.approx(count, rel=0.006, abs=0.51)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99, "99 s"), (120, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_durations_are_told_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_memory_of_a_few_bytes_asks_for_the_unit() -> None:
    with pytest.raises(ValueError, match="'20' without a unit is 20 bytes; write 20MB for megabytes, or 20B"):
        parse_memory("20")
    assert parse_memory("20B") == 20
    assert parse_memory("300000") == 300_000
