"""Trees of arrays as bytes, in which jobs and their results travel between processes and machines.

The bytes begin with the length of a header, which is JSON: a list of type, shape and offset of every array that
`array_tree.flatten` numbers. The arrays follow at multiples of 64 bytes. So a reader gets views into the bytes that it
was given, without a copy; and it never gets Python objects, which could run code.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.array_tree import ArrayTree, flatten, unflatten

_ALIGNED = 64


def packed(tree: ArrayTree) -> list[NDArray[np.uint8]]:
    """Return a tree of arrays, numbers and texts as parts that make up its bytes when they are put end to end.

    >>> unpacked(np.concatenate(packed({"x": np.arange(3), "name": "a"})))
    {'x': array([0, 1, 2]), 'name': array('a', dtype='<U1')}
    """
    arrays = {key: np.asarray(value, order="C") for key, value in flatten(tree).items()}
    entries, offset = {}, 0
    for key, array in arrays.items():
        entries[key] = [array.dtype.str, list(array.shape), offset]
        offset += _padded(array.nbytes)
    header = json.dumps(entries).encode("ascii")
    header += b" " * (_padded(8 + len(header)) - 8 - len(header))
    parts = [np.frombuffer(len(header).to_bytes(8, "little") + header, np.uint8)]
    for array in arrays.values():
        if array.nbytes:
            parts.append(array.reshape(-1).view(np.uint8))
            parts.append(np.zeros(_padded(array.nbytes) - array.nbytes, np.uint8))
    return parts


def packed_bytes(tree: ArrayTree) -> int:
    """Return how many bytes `packed` makes of a tree."""
    return sum(part.nbytes for part in packed(tree))


def unpacked(content: Any) -> dict[str, Any]:
    """Return the tree that `packed` was given; its arrays are views into `content`, tuples become lists.

    Args:
        content: the bytes, or anything else that has them in one piece.
    """
    view = memoryview(content).cast("B")
    length = int.from_bytes(view[:8], "little")
    start = 8 + length
    arrays = {}
    for key, (kind, shape, offset) in json.loads(bytes(view[8:start])).items():
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        size = count * dtype.itemsize
        flat = np.frombuffer(view[start + offset : start + offset + size], dtype) if size else np.zeros(count, dtype)
        arrays[key] = flat.reshape(shape)
    return unflatten(arrays)


def file_array(content: bytes) -> NDArray[np.uint8]:
    """Return the content of a file as an array, as which it can be in a tree."""
    return np.frombuffer(content, np.uint8)


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
