"""Where the graphs of a linked model lie in its head (see `linked_model`), and the parts of each.

A head is a flatbuffer. `tflite.flatbuffer` would read the values in it; this finds their places, since a front
(`linked_front`) leads to the tables that are there already. Bounds are not checked: `linked_model.link` made the head.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legodnn.runtime.tflite.quantised_ends import QuantisedEnd, QuantisedEnds

_CODES, _GRAPHS, _BUFFERS = 1, 2, 4  # numbers of fields of a model
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3  # of a graph; of an operator, 1 and 2 are what it reads and writes
_BUFFER = 2  # of a tensor

_Ints = NDArray[np.int64]


class LinkedGraph(NamedTuple):
    """Where the parts of one option's graph lie in a head.

    Attributes:
        place: its table, alone.
        tensors, operators: the tables of these.
        buffers: numbers of the buffers of its constants.
        inputs, outputs: indices of tensors.
        indices: every index of a tensor that an operator reads or writes.
        places: where these lie.
        ends, as_they_are: see `quantised_ends`.
    """

    place: _Ints
    tensors: _Ints
    operators: _Ints
    buffers: _Ints
    inputs: _Ints
    outputs: _Ints
    indices: _Ints
    places: _Ints
    ends: _Ints
    as_they_are: _Ints

    def quantised_ends(self) -> QuantisedEnds:
        """Return where the graph turns inputs into whole numbers, and whole numbers into outputs."""
        ends: tuple[list[QuantisedEnd], list[QuantisedEnd]] = ([], [])
        for written, operator, outer, inner, kind, scale, zero_point in self.ends.reshape(-1, 7).tolist():
            ends[written].append(QuantisedEnd(operator, outer, inner, (kind, scale, zero_point)))
        return QuantisedEnds(*ends, self.as_they_are.tolist())


@dataclass(frozen=True, eq=False)
class LinkedGraphs:
    """The graphs of the options of a store, in the order of `linked_model.linked_options`.

    Attributes:
        head: the content of the head.
        index: numbers of 32 bits: first where each part of each graph begins, and where the last ends, then the parts.
    """

    head: mmap.mmap | bytes
    index: mmap.mmap | bytes

    @classmethod
    def found(cls, head: bytes, ends: Sequence[QuantisedEnds]) -> LinkedGraphs:
        """Find the graphs in a head.

        Args:
            head: its content.
            ends: of each option.
        """
        graphs = cls(head, b"")
        parts = [part for number, of in enumerate(ends) for part in graphs._found(number, of)]
        starts = np.cumsum([len(parts) + 1, *map(len, parts)])
        return replace(graphs, index=np.concatenate([starts, *parts]).astype("<i4").tobytes())

    def drop_read(self) -> None:
        """Give back the pages that were read."""
        for read in (self.head, self.index):
            if isinstance(read, mmap.mmap):
                read.madvise(mmap.MADV_DONTNEED)

    def codes(self) -> int:
        """Return the place of the vector of operator codes."""
        return self._led_to(self._field(self._led_to(0), _CODES))

    def buffers(self) -> _Ints:
        """Return the places of the tables of all buffers."""
        return self._listed(_BUFFERS)

    def graph(self, number: int) -> LinkedGraph:
        """Return the parts of an option's graph."""
        numbers, count = np.frombuffer(self.index, "<i4"), len(LinkedGraph._fields)
        starts = numbers[number * count : (number + 1) * count + 1]
        # A copy, since a mapped file cannot be closed while an array shows a part of it.
        parts = numbers[starts[0] : starts[-1]].astype(np.int64)
        return LinkedGraph(*np.split(parts, starts[1:-1] - starts[0]))

    def _found(self, number: int, ends: QuantisedEnds) -> LinkedGraph:
        """Find the parts of an option's graph in the head."""
        place = int(self._listed(_GRAPHS)[number])
        tensors, operators = (self._tables(self._field(place, at)) for at in (_TENSORS, _OPERATORS))
        read = [self._numbers(self._field(int(o), at)) for o in operators for at in (_INPUTS, _OUTPUTS)]
        both = enumerate((ends.inputs, ends.outputs))
        rows = [(written, e.operator, e.outer, e.inner, *e.form) for written, of in both for e in of]
        return LinkedGraph(
            np.array([place], np.int64),
            tensors,
            operators,
            np.array([self._number(self._field(int(tensor), _BUFFER)) for tensor in tensors], np.int64),
            self._numbers(self._field(place, _INPUTS))[0],
            self._numbers(self._field(place, _OUTPUTS))[0],
            np.concatenate([values for values, _ in read]),
            np.concatenate([places for _, places in read]),
            np.array(rows, np.int64).ravel(),
            np.array(ends.as_they_are, np.int64),
        )

    def _listed(self, number: int) -> _Ints:
        """Return the places of the tables that a field of the model lists."""
        return self._tables(self._field(self._led_to(0), number))

    def _number(self, place: int) -> int:
        """Return the number at the place of a field; 0, the default, if the field is absent."""
        return int(struct.unpack_from("<I", self.head, place)[0]) if place else 0

    def _led_to(self, place: int) -> int:
        """Return the place that the offset at another place leads to."""
        return place + int(struct.unpack_from("<I", self.head, place)[0])

    def _field(self, table: int, number: int) -> int:
        """Return the place of a table's field; 0 if the field is absent.

        A table begins with the way back to a list: its own length in bytes, the table's, and how far behind the table's
        beginning each field lies, 0 for absent.
        """
        listed = table - int(struct.unpack_from("<i", self.head, table)[0])
        (length,) = struct.unpack_from("<H", self.head, listed)
        at = 4 + 2 * number
        behind = int(struct.unpack_from("<H", self.head, listed + at)[0]) if at < length else 0
        return table + behind if behind else 0

    def _numbers(self, place: int) -> tuple[_Ints, _Ints]:
        """Return the elements of the vector that a field leads to, and their places; none where there is no field."""
        start = self._led_to(place) if place else 0
        count = int(struct.unpack_from("<I", self.head, start)[0]) if place else 0
        values = np.frombuffer(self.head, "<i4", count, start + 4).astype(np.int64)
        return values, start + 4 + 4 * np.arange(count, dtype=np.int64)

    def _tables(self, place: int) -> _Ints:
        """Return the places of the tables in the vector that a field leads to."""
        offsets, places = self._numbers(place)
        return places + offsets.astype(np.uint32)
