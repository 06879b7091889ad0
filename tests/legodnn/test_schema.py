"""Documents are strict and frozen, and whatever is wrong with one is said in a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from legodnn.errors import LegoError, ProfileError
from legodnn.schema import (
    MOST_CONTAINERS,
    MOST_FIELDS,
    MOST_VALUES,
    Many,
    Schema,
    explain,
    parse_document,
    read_document,
    read_json,
    to_json,
)


class Note(Schema):
    schema_: Literal["note/1"] = Field(default="note/1", alias="schema")
    title: str
    weight: float = 1.0
    tags: Many[str] = ()


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
        ('{"schema": "note/1", "title": 7}', "title: must be a valid string, got 7"),
        ('{"schema": "note/1", "title": "a", "weight": "1"}', "weight: must be a valid number, got '1'"),
        ('{"schema": "note/1", "title": "a", "weight": 1e999}', "weight: must be a finite number"),
        ('{"schema": "note/1", "title": "a", "tags": ["a", 2]}', "tags.1: must be a valid string"),
        ('{"schema": "note/1", "title": "a", "colour": "red"}', "colour: unknown field"),
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


def test_a_misspelt_field_is_told_before_what_it_is_missed_as() -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({"schema": "note/1", "titel": "a"})
    assert explain(caught.value) == "titel: unknown field, got 'a', and title: Field required"


def test_three_problems_are_explained_and_the_others_are_counted() -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({"schema": 5, "title": 1, "weight": "x", "more": 2, "less": 3})
    assert explain(caught.value) == (
        "more: unknown field, got 2, and less: unknown field, got 3, and schema: must be 'note/1', got 5 (and 2 more)"
    )


def test_thousands_of_problems_are_counted_only() -> None:
    with pytest.raises(LegoError, match="30,001 fields are wrong or unknown"):
        parse(json.dumps({"schema": "note/1", **{f"k{i}": i for i in range(30_000)}}))


def test_the_first_wrong_entry_of_a_list_ends_the_search() -> None:
    with pytest.raises(LegoError, match=r"tags.0: must be a valid string, got 0; write") as caught:
        parse(json.dumps({"schema": "note/1", "title": "a", "tags": [0] * 400_000}))
    assert "more" not in str(caught.value)


@pytest.mark.parametrize(
    ("element", "count", "message"),
    [
        ("[]", MOST_CONTAINERS, "100,001 lists and objects, at most 100,000 are read"),
        ("{}", MOST_CONTAINERS + 1, "100,002 lists and objects"),
        ("1", MOST_VALUES + 1, "500,002 values, at most 500,000 are read"),
    ],
)
def test_what_would_take_much_more_room_than_its_text_is_not_parsed(element: str, count: int, message: str) -> None:
    with pytest.raises(LegoError, match=message):
        parse('{"schema": "note/1", "tags": [' + ",".join([element] * (count - 1)) + "]}")


def test_no_more_fields_are_told_to_be_wrong_than_there_is_room_for() -> None:
    unknown = ",".join(f'"{i}":0' for i in range(MOST_FIELDS))
    with pytest.raises(LegoError, match="100,001 named fields, at most 100,000 are read; write"):
        parse('{"schema":"note/1",' + unknown + "}")


def test_a_document_of_more_than_four_mebibytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    with path.open("wb") as f:
        f.truncate(1 << 40)
    with pytest.raises(ProfileError, match=r"1,099,511,627,776 bytes or more, at most 4,194,304 are read; measure"):
        read_document(path, Note, "note/1", ProfileError, "measure again")


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty", "/proc/self/mem"])
def test_devices_are_not_read(tmp_path: Path, target: str) -> None:
    path = tmp_path / "note.json"
    path.symlink_to(target)
    with pytest.raises(ProfileError, match="cannot read"):
        read_document(path, Note, "note/1", ProfileError, "measure again")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    os.mkfifo(path)
    with pytest.raises(ProfileError, match="it is a pipe or a device, not a file"):
        read_document(path, Note, "note/1", ProfileError, "measure again")


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(ProfileError, match="cannot read a"):
        read_document(Path("a\0b"), Note, "note/1", ProfileError, "measure again")


def test_a_long_value_is_cut_in_the_explanation() -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({"schema": "note/1", "title": "a", "weight": "x" * 10_000})
    assert len(explain(caught.value)) < 150


def test_of_what_people_write_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    path.write_text('[{"a": 1, "b": {"c": 1, "d": 2, "c": 1}}]')
    assert read_json(path, LegoError, "write it again") == [{"a": 1, "b": {"c": 1, "d": 2}}]
    with pytest.raises(LegoError, match=r"note\.json: 'c' is there twice; leave one of them out"):
        read_json(path, LegoError, "write it again", by_hand=True)
    path.write_text('[{"a": 1, "b": {"a": 1}}, {"a": 1}]')
    assert read_json(path, LegoError, "write it again", by_hand=True) == [{"a": 1, "b": {"a": 1}}, {"a": 1}]
