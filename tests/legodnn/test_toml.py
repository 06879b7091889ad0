"""TOML that people write is read; what the parser would choke on is refused in a line with the caller's remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.errors import ModelError, WorkloadError
from legodnn.toml import read_toml


def test_a_file_is_read_with_its_types(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "ä"\n[budget]\ncores = 2.0\n[[models]]\nthreads = 1\n')
    found = {"name": "ä", "budget": {"cores": 2.0}, "models": [{"threads": 1}]}
    assert read_toml(path, WorkloadError, "write it again") == found


def test_a_byte_order_mark_and_dots_in_comments_are_no_reason_to_refuse_it(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("\ufeff# two models" + "." * 60 + "\na = 1\n", encoding="utf-8")
    assert read_toml(path, WorkloadError, "write it again") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = " + "[" * 5000, "too many lists and tables inside one another"),
        ("a = " + "9" * 4301, "4300 digits"),
        ("a" + ".a" * 20_000 + " = 1", "line 1 has more than 50 dots"),
        ("# " + "x" * 70_000, "at most 65,536 are read"),
        ("a = 1\n\x00", "not TOML"),
    ],
)
def test_what_the_parser_chokes_on_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=problem) as caught:
        read_toml(path, ModelError, "write it again")
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith("; write it again")
    assert "\n" not in str(caught.value)
