"""Writing flatbuffers: the inverse of `flatbuffer.read_flatbuffer`, by the same schemas.

Every offset of the format leads forward, except that from a table to the list of its fields. So a table is written with
that list before it and zeros for its offsets, then what they lead to, then the offsets are filled in.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.runtime.tflite.flatbuffer import SCALARS, Field, Record, Table

# Where the bytes of a vector begin. TensorFlow Lite computes on a constant's bytes in place, and asks for this.
_ALIGNED_BYTES = 16


@dataclass(frozen=True)
class Place:
    """A table or vector that is there already, this many bytes from the start of the file, behind what is written."""

    offset: int


def write_flatbuffer(record: Record, identifier: bytes, schema: Table) -> bytes:
    """Return the content of a file.

    Args:
        record: the values of the root table's fields, as `read_flatbuffer` returns them; fields may be left out. In
            place of a table or a vector there may be a `Place`, and in place of a vector of tables an array of the
            offsets that `Place` has.
        identifier: the four characters that such files have at byte 4.
        schema: the schema of the root table.

    Example:
        >>> from legodnn.runtime.tflite.flatbuffer import fields, read_flatbuffer
        >>> schema = fields("axis:int32 beta:float=1 shape:[int32]")
        >>> content = write_flatbuffer({"axis": 3, "shape": [1, 8]}, b"TEST", schema)
        >>> read_flatbuffer(content, b"TEST", schema)
        {'axis': 3, 'beta': 1, 'shape': array([1, 8], dtype=int32)}
    """
    content = bytearray(8)
    content[4:8] = identifier
    _point(content, 0, _write_table(content, record, schema))
    return bytes(content)


def _align(content: bytearray, size: int, ahead: int = 0) -> None:
    """Append zeros until what follows after `ahead` more bytes begins at a multiple of a size."""
    content.extend(bytes(-(len(content) + ahead) % size))


def _point(content: bytearray, place: int, target: int) -> None:
    """Write the offset at a place that leads to a target."""
    struct.pack_into("<I", content, place, target - place)


def _write_table(content: bytearray, record: Record, schema: Table) -> int:
    """Append a table and everything below it, and return where it begins."""
    present = [f for f in schema if _is_written(f, record.get(f.name))]
    slots, size = {}, 4
    for field in present:
        width = struct.calcsize(SCALARS.get(field.kind, "I"))
        size += -size % width
        slots[field.name], size = size, size + width
    count = max((i for i, f in enumerate(schema, 1) if f.name in slots), default=0)
    _align(content, 8, 4 + 2 * count)
    fields_at = len(content)
    content += struct.pack(f"<{2 + count}H", 4 + 2 * count, size, *(slots.get(f.name, 0) for f in schema[:count]))
    start = len(content)
    content += struct.pack("<i", start - fields_at) + bytes(size - 4)
    for field in present:
        if field.kind in SCALARS:
            struct.pack_into("<" + SCALARS[field.kind], content, start + slots[field.name], record[field.name])
    for field in present:
        if field.kind not in SCALARS:
            below = field
            if field.kind == "union":
                chosen = record[schema[schema.index(field) - 1].name]
                below = Field(field.name, "table", table=field.union[chosen])
            _point(content, start + slots[field.name], _write_below(content, record[field.name], below))
    return start


def _is_written(field: Field, value: Any) -> bool:
    """Whether a field takes room in its table: a scalar does unless it has its default."""
    if field.kind in ("none", "note"):
        return False
    return value is not None and (field.kind not in SCALARS or value != field.default)


def _write_below(content: bytearray, value: Any, field: Field) -> int:
    """Append what the offset of a field leads to, unless it is there, and return where that begins."""
    if isinstance(value, Place):
        return value.offset
    if field.kind == "table":
        return _write_table(content, value, field.table)
    if field.kind == "[table]":
        return _write_tables(content, value, field.table)
    if field.kind == "string":
        _align(content, 4)
        start = len(content)
        content += struct.pack("<I", len(value)) + bytes(value) + b"\0"
        return start
    array = np.asarray(value, np.dtype(SCALARS[field.kind[1:-1]]).newbyteorder("<"))
    _align(content, _ALIGNED_BYTES if array.itemsize == 1 else max(4, array.itemsize), 4)
    start = len(content)
    content += struct.pack("<I", array.size) + array.tobytes()
    return start


def _write_tables(content: bytearray, records: Sequence[Record | Place] | NDArray[np.int64], schema: Table) -> int:
    """Append a vector of tables, and return where it begins."""
    _align(content, 4)
    start = len(content)
    if isinstance(records, np.ndarray):
        places = start + 4 + 4 * np.arange(len(records))
        content += struct.pack("<I", len(records)) + (records - places).astype("<u4").tobytes()
        return start
    content += struct.pack("<I", len(records)) + bytes(4 * len(records))
    for i, record in enumerate(records):
        place = start + 4 + 4 * i
        _point(content, place, record.offset if isinstance(record, Place) else _write_table(content, record, schema))
    return start
