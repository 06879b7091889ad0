"""Whatever a name holds, what is printed of it is text in the place where it was printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.printable import printable, shown


@given(st.text())
def test_what_is_printed_cannot_steer_a_terminal(text: str) -> None:
    safe = printable(text)
    assert all(c.isprintable() or c in "\n\t" for c in safe)
    assert printable(safe) == safe
    safe.encode()  # lone surrogates cannot be written


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("größe 大", "größe 大"),
        ("a\tb\n", "a\tb\n"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
    ],
)
def test_only_what_is_unprintable_changes(text: str, safe: str) -> None:
    assert printable(text) == safe


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ([1, None], "[1, None]"),
        ("x" * 100, "'" + "x" * 59),
        (10**5000, "a longer number"),
        ([10**5000], "list"),
    ],
    ids=["text", "list", "long text", "long number", "list of long numbers"],
)
def test_a_value_is_shown_in_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text
