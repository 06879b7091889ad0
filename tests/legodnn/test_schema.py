"""Documents are strict and frozen, and whatever is wrong with one is said in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from legodnn.errors import LegoError, ProfileError
from legodnn.schema import Schema, explain, parse_document, read_document, to_json


class Note(Schema):
    schema_: Literal["note/1"] = Field(default="note/1", alias="schema")
    title: str
    weight: float = 1.0
    tags: tuple[str, ...] = ()


def parse(text: str) -> Note:
    return parse_document(text, "note.json", Note, "note/1", LegoError, "write it again")


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.text(), max_size=3))
def test_what_is_written_reads_back_equal(title: str, weight: float, tags: list[str]) -> None:
    note = Note(title=title, weight=weight, tags=tuple(tags))
    assert parse(to_json(note)) == note


def test_documents_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Note(title="a").title = "b"  # type: ignore[misc]


def test_the_version_is_written_under_its_alias() -> None:
    text = to_json(Note(title="ä"))
    assert json.loads(text)["schema"] == "note/1"
    assert "ä" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "note.json is not JSON"),
        ("{", "note.json is not JSON"),
        ("[" * 100_000, "note.json is not JSON"),
        ('{"schema": "note/1", "title": "a", "weight": ' + "9" * 5000 + "}", "note.json is not JSON"),
        ('{"schema": "note/1", "title": "a", "weight": NaN}', "NaN is no JSON number"),
        ('{"schema": "note/1", "title": "a", "weight": -Infinity}', "-Infinity is no JSON number"),
        ("[]", "has schema None, this version of legodnn reads 'note/1'"),
        ('{"title": "a"}', "has schema None"),
        ('{"schema": "note/2", "title": "a"}', "has schema 'note/2'"),
        ('{"schema": "note/1"}', "title: Field required"),
        ('{"schema": "note/1", "title": 7}', "title: Input should be a valid string, got 7"),
        ('{"schema": "note/1", "title": "a", "weight": "1"}', "weight: Input should be a valid number, got '1'"),
        ('{"schema": "note/1", "title": "a", "weight": 1e999}', "weight: Input should be a finite number"),
        ('{"schema": "note/1", "title": "a", "tags": ["a", 2]}', "tags.1: Input should be a valid string"),
        ('{"schema": "note/1", "title": "a", "colour": "red"}', "colour: Extra inputs are not permitted"),
        ('{"schema": "note/1", "title": "\\ud800"}', "note.json"),
    ],
)
def test_a_wrong_document_is_refused_in_one_line_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(LegoError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert str(caught.value).endswith("; write it again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot read"),
        (lambda path: path.mkdir(), "cannot read"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "is not UTF-8"),
        (lambda path: path.write_text('{"schema": 1}'), "has schema 1"),
    ],
)
def test_an_unreadable_file_raises_the_callers_error(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "note.json"
    make(path)
    with pytest.raises(ProfileError, match=message) as caught:
        read_document(path, Note, "note/1", ProfileError, "measure again")
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith("; measure again")


def test_only_the_first_problem_is_explained_and_the_others_are_counted() -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({"schema": "note/1", "title": 1, "weight": "x", "more": 2})
    assert explain(caught.value) == "title: Input should be a valid string, got 1 (and 2 more)"


def test_a_long_value_is_cut_in_the_explanation() -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({"schema": "note/1", "title": "a", "weight": "x" * 10_000})
    assert len(explain(caught.value)) < 150
