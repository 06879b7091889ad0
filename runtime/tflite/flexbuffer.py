"""Maps of numbers in the FlexBuffers format: the options of a custom operator.

TensorFlow Lite follows the offsets in such a map without checking them. So a map that may come from anywhere is read
here with every offset checked, and files of stores hold it as `write_flexbuffer` writes it, byte for byte.
(Format: https://flatbuffers.dev/internals, "FlexBuffers".)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from legodnn.runtime.tflite.flatbuffer import Damaged

_INT, _UINT, _FLOAT, _MAP, _BOOL = 1, 2, 3, 9, 26
_INDIRECT = {6: _INT, 7: _UINT, 8: _FLOAT}  # the number lies elsewhere, and an offset leads to it
_LETTERS = {_INT: "bhiq", _UINT: "BHIQ", _BOOL: "BHIQ", _FLOAT: "  fd"}  # by the logarithm of the width
_WIDTH, _FOUR_BYTES = 4, 2  # of everything that is written, and its logarithm
_MOST_KEYS, _LONGEST_KEY = 64, 64

Numbers = Mapping[str, int | float]


def read_flexbuffer(content: bytes) -> dict[str, int | float]:
    """Read a map of numbers.

    Raises:
        Damaged: it is something else, or an offset leads out of it.
    """
    if len(content) < 3 or content[-2] >> 2 != _MAP:
        raise Damaged("it is no map in the FlexBuffers format")
    width = 1 << (content[-2] & 3)
    values = _target(content, len(content) - 2 - content[-1], content[-1])
    count = _whole(content, values - width, width)
    keys = _target(content, values - 3 * width, width)
    key_width = _whole(content, values - 2 * width, width)
    if count > _MOST_KEYS:
        raise Damaged(f"its map has {count} keys")
    found: dict[str, int | float] = {}
    for i in range(count):
        place, packed = values + i * width, _whole(content, values + count * width + i, 1)
        name = _key(content, _target(content, keys + i * key_width, key_width))
        kind, size = packed >> 2, 1 << (packed & 3)
        if kind in _INDIRECT:
            found[name] = _number(content, _target(content, place, width), _INDIRECT[kind], size)
        elif kind in _LETTERS:
            found[name] = _number(content, place, kind, width)
        else:
            raise Damaged(f"its {name!r} is no number")
    return found


def write_flexbuffer(numbers: Numbers) -> bytes:
    """Return a map of numbers: whole ones of 32 bits, and others in single precision.

    Example:
        >>> read_flexbuffer(write_flexbuffer({"num_classes": 3, "y_scale": 10.0}))
        {'num_classes': 3, 'y_scale': 10.0}
    """
    names = sorted(numbers)  # readers search
    content, starts = bytearray(), []
    for name in names:
        starts.append(len(content))
        content += name.encode() + b"\0"
    content += bytes(-len(content) % _WIDTH) + struct.pack("<I", len(names))
    keys = len(content)
    for start in starts:
        content += struct.pack("<I", len(content) - start)
    content += struct.pack("<III", len(content) - keys, _WIDTH, len(names))
    values = len(content)
    for name in names:
        content += struct.pack("<f" if isinstance(numbers[name], float) else "<i", numbers[name])
    kinds = [_FLOAT if isinstance(numbers[name], float) else _INT for name in names]
    content += bytes(kind << 2 | _FOUR_BYTES for kind in kinds)
    content += bytes(-len(content) % _WIDTH)
    content += struct.pack("<I", len(content) - values)
    return bytes(content) + bytes([_MAP << 2 | _FOUR_BYTES, _WIDTH])


def _number(content: bytes, place: int, kind: int, width: int) -> int | float:
    """Return the number of a kind and width at a place."""
    letter = _LETTERS[kind][width.bit_length() - 1] if width in (1, 2, 4, 8) else " "
    if letter == " " or not 0 <= place <= len(content) - width:
        raise Damaged("its options do not lie inside it")
    found: int | float = struct.unpack_from("<" + letter, content, place)[0]
    return found


def _whole(content: bytes, place: int, width: int) -> int:
    """Return the unsigned number of a width at a place."""
    return int(_number(content, place, _UINT, width))


def _target(content: bytes, place: int, width: int) -> int:
    """Return the place that the offset at another place leads back to."""
    return place - _whole(content, place, width)


def _key(content: bytes, start: int) -> str:
    end = content.find(b"\0", max(0, start), max(0, start) + _LONGEST_KEY)
    if start < 0 or end < 0:
        raise Damaged("a key of its options does not lie inside it")
    return content[start:end].decode("ascii", "replace")
