"""Maps of numbers are read as flatbuffers' own package writes and reads them, and damaged ones are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st

from legodnn.runtime.tflite.flatbuffer import Damaged
from legodnn.runtime.tflite.flexbuffer import read_flexbuffer, write_flexbuffer
from tests.runtime.tflite.detection_files import OPTIONS, options_of_others

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=30)
NUMBERS = st.dictionaries(
    NAMES, st.one_of(st.integers(-(2**31), 2**31 - 1), st.floats(width=32, allow_nan=False)), max_size=20
)


@given(NUMBERS)
def test_what_is_written_is_read(numbers: dict[str, Any]) -> None:
    content = write_flexbuffer(numbers)
    assert read_flexbuffer(content) == numbers
    assert flexbuffers.Loads(content) == numbers


@given(NUMBERS)
def test_what_others_write_is_read(numbers: dict[str, Any]) -> None:
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in numbers.items():
            builder.Key(name)
            (builder.Float if isinstance(value, float) else builder.Int)(value)
    assert read_flexbuffer(bytes(builder.Finish())) == numbers


def test_numbers_that_lie_elsewhere_are_read() -> None:
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, add, value in (("a", builder.IndirectInt, -3), ("b", builder.IndirectFloat, 0.5)):
            builder.Key(name)
            add(value)
    assert read_flexbuffer(bytes(builder.Finish())) == {"a": -3, "b": 0.5}


@given(st.binary(max_size=60))
def test_bytes_that_are_no_map_are_refused(content: bytes) -> None:
    try:
        read_flexbuffer(content)
    except Damaged:
        return


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=5), st.integers(0, 30))
def test_a_damaged_map_is_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(options_of_others())
    for place, value in changes:
        content[place % len(content)] = value
    try:
        read_flexbuffer(bytes(content[cut:]))
    except Damaged:
        return


@pytest.mark.parametrize("value", [[1], "text", {"x": 1}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(Damaged, match="'a' is no number"):
        read_flexbuffer(bytes(flexbuffers.Dumps({"a": value})))


def test_keys_are_in_the_order_in_which_readers_search() -> None:
    assert list(flexbuffers.Loads(write_flexbuffer({"b": 1, "c": 2, "a": 3}))) == ["a", "b", "c"]


def test_more_keys_than_any_operator_has_are_refused() -> None:
    read_flexbuffer(write_flexbuffer({f"k{i}": i for i in range(64)}))
    with pytest.raises(Damaged, match="its map has 65 keys"):
        read_flexbuffer(write_flexbuffer({f"k{i}": i for i in range(65)}))


def test_something_else_than_a_map_is_refused() -> None:
    with pytest.raises(Damaged, match="no map"):
        read_flexbuffer(bytes(flexbuffers.Dumps([1, 2])))
    assert np.isclose(read_flexbuffer(options_of_others())["nms_score_threshold"], OPTIONS["nms_score_threshold"])
