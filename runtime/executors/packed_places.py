"""Which bytes of a file of packed weights hold the weights of which buffers of a head (see `linked_model`).

The kernel maps up to 16 pages around one that is read, where they are in the page cache, and all of them count as the
process's memory. Weights of options that do not run lie between those of options that do. So a model's executor tells
the kernel which bytes a composition reads, and pages are mapped around those alone. What is said here changes what is
held and never what is computed.

XNNPACK's file begins with a header: its version, and where in the file a list lies, in bytes. The list is a flatbuffer
that names each packed buffer by the numbers of the model's buffers that it was made from.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legodnn.runtime.executors.address_space import whole_pages
from legodnn.runtime.tflite.flatbuffer import Damaged, fields, read_flatbuffer

_HEADER = "<QQQ"
_VERSION = 4
_BUFFER = fields("algorithm:uint64 weights:uint64 bias:uint64 start:uint64 bytes:uint64")
_LIST = fields("fingerprints:[uint64] buffers:[table] start:uint64", buffers=_BUFFER)

Places = NDArray[np.int64]  # a row each: numbers of the buffers of weights and bias, first byte, byte after the last


def read_places(path: Path) -> Places:
    """Return which bytes of a file hold what was packed of which buffers, in the order in which it was packed.

    There are no rows where the file is of another version than the one that is known here.
    """
    content = path.read_bytes()
    none = np.zeros((0, 4), np.int64)
    version, start, size = struct.unpack_from(_HEADER, content)
    if version != _VERSION:
        return none
    listed = content[start : start + size]
    try:
        found = read_flatbuffer(listed, listed[4:8], _LIST)  # such a list has no identifier of its own
    except Damaged:
        return none
    rows = [(b["weights"], b["bias"], b["start"], b["start"] + b["bytes"]) for b in found["buffers"] or ()]
    places: Places = np.array(rows or none, np.uint64).astype(np.int64)  # the largest number is that of no buffer
    places[:, 2:] += found["start"]
    return places


def spans_of(places: Places, buffers: NDArray[np.int64], joined: bool) -> list[tuple[int, int]]:
    """Return which pages of the file a model reads: where each run of them begins and ends, in bytes, in order.

    Args:
        places: what the file holds.
        buffers: numbers of the buffers of the model's constants.
        joined: whether its options are joined to one graph. What is packed of the last operator of an option is there
            twice then: first for the option by itself, later for joined ones (see `linked_front.packing_front`).
    """
    read = places[np.isin(places[:, 0], buffers)]
    chosen: dict[tuple[int, int], tuple[int, int]] = {}
    for weights, bias, start, end in read.tolist():
        if joined or (weights, bias) not in chosen:
            chosen[weights, bias] = (start, end)
    spans: list[tuple[int, int]] = []
    for start, end in sorted(chosen.values()):
        first, last = start - start % whole_pages(1), whole_pages(end)
        if spans and first <= spans[-1][1]:
            first, last = spans[-1][0], max(last, spans[-1][1])
            spans.pop()
        spans.append((first, last))
    return spans
