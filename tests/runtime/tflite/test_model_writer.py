"""What is written is read back the same, and a file that is written anew computes the same.

Covers also: runtime.tflite.flatbuffer_writer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.flatbuffer import Damaged, Record, fields, read_flatbuffer
from legodnn.runtime.tflite.flatbuffer_writer import Place, write_flatbuffer
from legodnn.runtime.tflite.model_file import FileGraph, parse_model_file
from legodnn.runtime.tflite.model_writer import write_model_file
from tests.runtime.tflite.tflite_files import T, one, schema

DATA = Path(__file__).resolve().parents[2] / "data"
FILES = sorted(DATA.glob("tiny/*/*.tflite"))

_LEAF = fields("byte:uint8=3 long:int64 words:[int64] text:string")
_SCHEMA = fields(
    "flag:bool small:int8 number:int32=-1 ratio:float which:uint8 choice:union unused:none leaf:table leaves:[table] "
    "raw:[uint8] sizes:[int32]",
    choice={1: _LEAF, 2: fields("axis:int32")},
    leaf=_LEAF,
    leaves=_LEAF,
)


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "byte": st.integers(0, 255),
        "long": integers(64),
        "words": st.lists(integers(64), max_size=3),
        "text": st.binary(max_size=9),
    },
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "flag": st.booleans(),
        "small": integers(8),
        "number": integers(32),
        "ratio": st.floats(width=32, allow_nan=False),
        "leaf": LEAVES,
        "leaves": st.lists(LEAVES, max_size=3),
        "raw": st.lists(st.integers(0, 255), max_size=40),
        "sizes": st.lists(integers(32), max_size=5),
    },
)


def agrees(written: Record, found: Record, defaults: dict[str, Any]) -> bool:
    """Whether what was read is what was written, with defaults where nothing was."""
    for name, value in found.items():
        wanted = written.get(name, defaults.get(name))
        if isinstance(value, dict):
            if not agrees(wanted, value, {"byte": 3, "long": 0} if name != "choice" else {"axis": 0}):
                return False
        elif isinstance(value, list):
            if len(wanted) != len(value) or not all(
                agrees(w, v, {"byte": 3, "long": 0}) for w, v in zip(wanted, value, strict=True)
            ):
                return False
        elif isinstance(value, np.ndarray):
            if value.tolist() != list(wanted):
                return False
        elif value != wanted:
            return False
    return True


@given(RECORDS, st.sampled_from([0, 1, 2]))
def test_a_record_is_read_as_it_was_written(record: dict[str, Any], which: int) -> None:
    record = {**record, "which": which, **({"choice": {"axis": 7} if which == 2 else {"long": 9}} if which else {})}
    content = write_flatbuffer(record, b"TEST", _SCHEMA)
    found = read_flatbuffer(content, b"TEST", _SCHEMA)
    defaults = {"flag": False, "small": 0, "number": -1, "ratio": 0, "which": 0}
    if which == 1:
        assert found["choice"] == {"byte": 3, "long": 9, "words": None, "text": None}
        found = {**found, "choice": record["choice"]}
    assert agrees(record, found, defaults), found


def same(a: FileGraph, b: FileGraph) -> bool:
    def data(graph: FileGraph) -> list[bytes | None]:
        return [None if t.data is None else t.data.tobytes() for t in graph.tensors]

    def scales(graph: FileGraph) -> list[tuple[list[float], list[int]]]:
        return [(t.scales.tolist(), t.zero_points.tolist()) for t in graph.tensors]

    return (
        [(t.shape, t.dtype, t.axis) for t in a.tensors] == [(t.shape, t.dtype, t.axis) for t in b.tensors]
        and data(a) == data(b)
        and scales(a) == scales(b)
        and (a.inputs, a.outputs) == (b.inputs, b.outputs)
        and [(o.code, o.version, o.inputs, o.outputs) for o in a.operators]
        == [(o.code, o.version, o.inputs, o.outputs) for o in b.operators]
    )


def result(content: bytes) -> np.ndarray:
    interpreter = open_interpreter(model_content=content, threads=1)
    (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(x["index"], np.random.default_rng(0).random(x["shape"], np.float32))
    interpreter.invoke()
    found: np.ndarray = interpreter.get_tensor(y["index"])
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_file_of_the_converter_that_is_written_anew_is_the_same_graph_and_computes_the_same(file: Path) -> None:
    graph = parse_model_file(file.read_bytes())
    again = write_model_file(graph)
    assert same(parse_model_file(again), graph)
    check_graph(parse_model_file(again))
    np.testing.assert_array_equal(result(again), result(file.read_bytes()))


@pytest.mark.parametrize("file", FILES[:2], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_constants_lie_where_kernels_can_compute_on_them(file: Path) -> None:
    content = write_model_file(parse_model_file(file.read_bytes()))
    start = np.frombuffer(content, np.uint8).ctypes.data
    places = [t.data.ctypes.data - start for t in parse_model_file(content).tensors if t.data is not None]
    assert places
    assert [place % 16 for place in places] == [0] * len(places)


def test_scales_along_another_axis_are_written() -> None:
    weights = T((1, 1, 1, 2), 9, np.ones((1, 1, 1, 2), np.int8), (1.0, 2.0), axis=3)
    graph = parse_model_file(one("DEPTHWISE_CONV_2D", [T((1, 4, 4, 2)), weights, None], [T((1, 4, 4, 2))]))
    assert same(parse_model_file(write_model_file(graph)), graph)
    assert graph.tensors[1].axis == 3


@pytest.mark.parametrize(("kind", "old"), [("RELU", 19), ("GELU", 127)])
def test_readers_of_before_find_the_kind_or_that_it_is_new(kind: str, old: int) -> None:
    content = write_model_file(parse_model_file(one(kind, [T((2,))], [T((2,))])))
    (code,) = schema.ModelT.InitFromPackedBuf(bytearray(content), 0).operatorCodes
    assert (code.deprecatedBuiltinCode, code.builtinCode) == (old, getattr(schema.BuiltinOperator, kind))


def test_what_is_no_such_file_is_not_read() -> None:
    known = fields("axis:int32 sizes:[int32]")
    read_flatbuffer(write_flatbuffer({"axis": 1, "more": 0}, b"TEST", known), b"TEST", known)
    newer = write_flatbuffer({"axis": 1, "more": 2}, b"TEST", fields("axis:int32 sizes:[int32] more:int32"))
    with pytest.raises(Damaged, match="has fields that are not known"):
        read_flatbuffer(newer, b"TEST", known)
    whole = write_flatbuffer({"sizes": [1, 2, 3]}, b"TEST", known)
    longer = whole[:-16] + (4).to_bytes(4, "little") + whole[-12:]
    with pytest.raises(Damaged, match="does not lie inside the file"):
        read_flatbuffer(longer, b"TEST", known)
    plain = write_flatbuffer({"axis": 1}, b"TEST", known)
    moved = (int.from_bytes(plain[:4], "little") + 2).to_bytes(4, "little") + plain[4:8] + bytes(2) + plain[8:]
    with pytest.raises(Damaged, match="does not lie inside the file"):
        read_flatbuffer(moved, b"TEST", known)


def test_there_are_files() -> None:
    assert len(FILES) >= 5


def test_tables_that_are_there_already_are_led_to() -> None:
    """A file whose leaves lie behind what is written: named by places, or all by an array of them."""
    leaf = write_flatbuffer({"byte": 7, "text": b"here"}, b"LEAF", _LEAF)
    behind = 1024
    place = behind + int.from_bytes(leaf[:4], "little")
    for leaves in ([Place(place), {"long": 5}], np.array([place, place])):
        front = write_flatbuffer({"leaf": Place(place), "leaves": leaves}, b"TEST", _SCHEMA)
        found = read_flatbuffer(front.ljust(behind, b"\0") + leaf, b"TEST", _SCHEMA)
        assert found["leaf"]["byte"] == found["leaves"][0]["byte"] == 7
        assert found["leaf"]["text"] == b"here"
        assert (found["leaves"][1]["byte"], found["leaves"][1]["long"]) in ((3, 5), (7, 0))
