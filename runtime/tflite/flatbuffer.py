"""Reading flatbuffers that may be damaged or forged.

No offset is followed unless it leads to something that lies inside the file. No part of a file is read twice, so the
time for reading is proportional to the size of the file. This module knows the wire format, and not what tables mean.
Fields that are not in the schema must be absent, because another reader might interpret them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

SCALARS = {
    "bool": "?",
    **{f"{sign}int{8 * size}": letter for size, letters in zip((1, 2, 4, 8), ("bB", "hH", "iI", "qQ"), strict=True)
       for sign, letter in zip(("", "u"), letters, strict=True)},
    "float": "f",
}  # fmt: skip


class Damaged(Exception):
    """A file is not a flatbuffer of the expected schema; the message says where it deviates."""


@dataclass(frozen=True)
class Field:
    """One field of a table.

    Attributes:
        name: the key of its value in the record that is read.
        kind: `int32` or another scalar; `[int32]` and so on, a vector of scalars; `string`; `table`; `[table]`, a
            vector of tables; `union`, a table whose schema is chosen by the field before it (None for an unknown
            choice); `none`, a vector that must be absent or empty; `note`, one that must be so as well, and that
            `without_notes` empties, since it says nothing about what is computed; or
            `unread`, whatever it is, which is not followed (see `lenient`).
        default: the value of a scalar that is absent.
        table: the schema of the tables of kind `table` and `[table]`.
        union: the schemas of kind `union`, by the value of the field before it.
    """

    name: str
    kind: str
    default: float = 0
    table: Table = ()
    union: Mapping[int, Table] = field(default_factory=dict)


_MOST_VTABLE = 4 + 2 * 256  # bytes: no table of these files has a tenth of these fields

Table = tuple[Field, ...]
Record = Mapping[str, Any]


def fields(text: str, **below: Table | Mapping[int, Table]) -> Table:
    """Parse the schema of a table.

    Args:
        text: the fields in order, as `name:kind` or `name:kind=default`, separated by spaces.
        below: for each field of kind `table`, `[table]` or `union`, the schema or the schemas of what it leads to.

    Example:

        >>> fields("axis:int32 beta:float=1")[1]
        Field(name='beta', kind='float', default=1, table=(), union={})
    """
    found = []
    for part in text.split():
        name, _, kind = part.partition(":")
        kind, _, default = kind.partition("=")
        schema = below.get(name, ())
        if isinstance(schema, tuple):
            found.append(Field(name, kind, int(default or 0), table=schema))
        else:
            found.append(Field(name, kind, union=schema))
    return tuple(found)


def lenient(schema: Table) -> Table:
    """Return a schema for files that may have what must be empty (`none`, `note`): it is `unread`. Unions stay."""
    return tuple(
        replace(f, kind="unread") if f.kind in ("none", "note") else replace(f, table=lenient(f.table)) for f in schema
    )


def read_flatbuffer(
    content: bytes | bytearray, identifier: bytes, schema: Table, copy: bytearray | None = None
) -> Record:
    """Read the root table of a file and everything below it.

    Args:
        content: the bytes of the file.
        identifier: the four characters that such files have at byte 4.
        schema: the schema of the root table.
        copy: the same bytes again, for `without_notes`.

    Returns:
        The values of its fields by name. Absent vectors, strings and tables are None. Vectors of scalars are arrays
        that view the file's own bytes, and are writable where `content` is a bytearray.

    Raises:
        Damaged: the file is something else, or it is damaged.
    """
    reader = _Reader(content, copy)
    if content[4:8] != identifier:
        raise Damaged("it does not begin as such a file does")
    return reader.table(reader.target(0, "the root"), schema, "the root")


def without_notes(content: bytes, identifier: bytes, schema: Table) -> bytes:
    """Return a copy of a file in which vectors of kind `note` are empty. Their bytes stay, and nothing leads to them.

    Raises:
        Damaged: as `read_flatbuffer`.
    """
    copy = bytearray(content)
    read_flatbuffer(content, identifier, schema, copy)
    return bytes(copy)


class _Reader:
    """Reads tables, and counts the bytes that it has read. `where` is what messages call the place.

    With a copy of the content, the lengths of notes become zero there.
    """

    def __init__(self, content: bytes | bytearray, copy: bytearray | None) -> None:
        self._content, self._copy, self._size = content, copy, len(content)
        self._left = len(content)  # how many bytes of tables and vectors may still be read

    def _number(self, place: int, letter: str, where: str) -> Any:
        """Return the number at a place, in the format that `struct` calls by a letter."""
        size = struct.calcsize(letter)
        if not 0 <= place <= self._size - size or place % size:
            raise Damaged(f"{where} does not lie inside the file")
        return struct.unpack_from("<" + letter, self._content, place)[0]

    def _spend(self, size: int, where: str) -> None:
        """Count bytes as read; Damaged if more were read than the file has, so that parts of it must overlap."""
        self._left -= size
        if self._left < 0:
            raise Damaged(f"{where} has parts that lie over one another")

    def target(self, place: int, where: str) -> int:
        """Return the place that the offset at another place leads to."""
        return place + int(self._number(place, "I", where))

    def table(self, place: int, schema: Table, where: str) -> Record:
        """Read the table at a place."""
        vtable = place - int(self._number(place, "i", where))
        length, size = (int(self._number(vtable + at, "H", where)) for at in (0, 2))
        if length > _MOST_VTABLE:
            raise Damaged(f"{where} has fields that are not known")
        if length < 4 or length % 2 or vtable + length > self._size or size < 4 or place + size > self._size:
            raise Damaged(f"{where} does not lie inside the file")
        self._spend(size, where)
        slots = [int(self._number(vtable + at, "H", where)) for at in range(4, length, 2)]
        if any(slots[len(schema) :]):
            raise Damaged(f"{where} has fields that are not known")
        values: dict[str, Any] = {}
        for wanted, slot in zip(schema, slots + [0] * (len(schema) - len(slots)), strict=False):
            inside = f"{where}, {wanted.name}"
            scalar = SCALARS.get(wanted.kind)
            width = struct.calcsize(scalar) if scalar else 4
            if slot and not 4 <= slot <= size - width:
                raise Damaged(f"{inside} does not lie inside its table")
            if scalar:
                values[wanted.name] = self._number(place + slot, scalar, inside) if slot else wanted.default
            elif not slot or wanted.kind == "unread":
                values[wanted.name] = None
            elif wanted.kind == "union":
                found = wanted.union.get(next(reversed(values.values())))
                at = self.target(place + slot, inside)
                values[wanted.name] = None if found is None else self.table(at, found, inside)
            else:
                values[wanted.name] = self._pointed_to(place + slot, wanted, inside)
        return values

    def _pointed_to(self, place: int, field: Field, where: str) -> Any:
        """Read what the offset of a field leads to: a table, vector or string."""
        target = self.target(place, where)
        if field.kind == "table":
            return self.table(target, field.table, where)
        count = int(self._number(target, "I", where))
        start = target + 4
        if field.kind in ("none", "note"):
            if count and field.kind == "note" and self._copy is not None:
                struct.pack_into("<I", self._copy, target, 0)
            elif count:
                raise Damaged(f"{where} is not used by anything that is known")
            return None
        if field.kind == "[table]":
            self._spend(4 * count, where)
            return [self.table(self.target(start + 4 * i, where), field.table, f"{where}[{i}]") for i in range(count)]
        if field.kind == "string":
            self._spend(count, where)
            if start + count > self._size:
                raise Damaged(f"{where} does not lie inside the file")
            return self._content[start : start + count]
        dtype = np.dtype(SCALARS[field.kind[1:-1]]).newbyteorder("<")
        self._spend(count * dtype.itemsize, where)
        if start % dtype.itemsize or start + count * dtype.itemsize > self._size:
            raise Damaged(f"{where} does not lie inside the file")
        return np.frombuffer(self._content, dtype, count, start)
