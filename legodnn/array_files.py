"""Reading and writing arrays: .npz and .npy files of numbers and texts, never of Python objects.

The sizes that a file announces are compared with the bytes that it has before any memory is allocated for them, because
a few bytes can announce terabytes.
"""

from __future__ import annotations

import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from legodnn.errors import LegoError
from legodnn.files import open_regular, write_atomic

# What NumPy, zipfile, and Python's parser, which reads NumPy's headers, raise for damaged files.
DAMAGED = (
    *(OSError, ValueError, TypeError, EOFError, RuntimeError, MemoryError, SyntaxError, LookupError, ArithmeticError),
    *(AttributeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, struct.error),
)
_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 10_000  # bytes: NumPy's own limit; headers of its versions 2 and 3 could announce 4 GB
# Deflate packs at most 1032 : 1, and pictures hardly more than 100 : 1. Up to 64 MiB any ratio is read.
_MOST_RATIO, _SMALL = 200, 64 << 20
_MOST_DIRECTORY = 4 << 20  # bytes of an archive's directory, enough for some seventy thousand arrays
_END, _END64 = 22, 20 + 56  # bytes of the records at the end of an archive, with sizes of 32 and of 64 bits


def read_arrays(
    path: Path, error: type[LegoError], remedy: str, names: Collection[str] | None = None, lone: str | None = None
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name.

    Args:
        path: the file.
        error: the type to raise if the file cannot be read, is damaged, or is something else.
        remedy: what the user can do, for the end of the message.
        names: the names of the arrays that are wanted; those that the file lacks are left out. None: all arrays.
        lone: the name for the array of an .npy file; None: such a file is refused.
    """
    with open_regular(path, error, remedy) as f:
        try:
            size = os.fstat(f.fileno()).st_size
            if f.read(len(_MAGIC)) == _MAGIC:
                if lone is None:
                    raise ValueError("it is no .npz file")
                f.seek(0)
                return {lone: _array(f, size)}
            return _archive(f, size, names)
        except DAMAGED as e:
            reason = getattr(e, "strerror", None) or (str(e) if isinstance(e, ValueError) else "it is damaged")
            if isinstance(e, zipfile.BadZipFile):
                reason = "it is no .npz file" + (f" ({e})" if str(e) else "")
            raise error(f"cannot read arrays from {path}: {reason:.200}; {remedy}") from None


def _archive(f: IO[bytes], size: int, names: Collection[str] | None) -> dict[str, NDArray[Any]]:
    if (directory := _directory_size(f, size)) > _MOST_DIRECTORY:
        raise ValueError(f"its directory has {directory:,} bytes, at most {_MOST_DIRECTORY:,} are read")
    with zipfile.ZipFile(f) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = {name: info for name, info in members.items() if names is None or name in names}
        total = sum(info.file_size for info in wanted.values())
        if total > max(_SMALL, _MOST_RATIO * size):
            raise ValueError(f"its {size:,} bytes announce {total:,}, more than {_MOST_RATIO} times as many")
        arrays = {}
        for name, info in wanted.items():
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name} is packed in a way that NumPy does not")
            if info.compress_type == zipfile.ZIP_STORED and info.file_size > size:
                raise ValueError(f"{name} announces more than the file has")
            with archive.open(info) as member:
                arrays[name] = _array(member, info.file_size)
        return arrays


def _directory_size(f: IO[bytes], size: int) -> int:
    """Return the bytes of an archive's directory, which zipfile keeps in memory as a whole; 0 if none is found."""
    tail = min(size, (1 << 16) + _END + _END64)
    f.seek(size - tail)
    content = f.read(tail)
    at = content.rfind(b"PK\5\6")
    if at < 0 or len(content) < at + _END:
        return 0
    directory: int = struct.unpack_from("<I", content, at + 12)[0]
    if at >= _END64 and content[at - 20 : at - 16] == b"PK\6\7":  # Sizes of 64 bits have a record of their own.
        directory = max(directory, struct.unpack_from("<Q", content, at - _END64 + 40)[0])
    return directory


def _array(f: IO[bytes], size: int) -> NDArray[Any]:
    """Return the array that a stream of `size` bytes holds in NumPy's format."""
    start = f.read(12)
    if start[:6] != _MAGIC or len(start) < 12 or start[6] not in (1, 2):
        raise ValueError("it holds something else than arrays of numbers")
    length = struct.unpack_from("<H" if start[6] == 1 else "<I", start, 8)[0]
    if length > _MOST_HEADER:
        raise ValueError("an array's header is too long")
    f.seek(0)
    np.lib.format.read_magic(f)
    read_header = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(f)
    if dtype.kind not in "biufcUS" or not dtype.itemsize or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"it holds {dtype}, not numbers" if dtype.kind not in "biufcUS" else "its shape is none")
    announced, has = math.prod(shape) * dtype.itemsize, size - f.tell()
    if announced > has:
        raise ValueError(f"an array of shape {shape} needs {announced:,} bytes, it has {has:,}")
    f.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(f, allow_pickle=False)
    return array


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz file, whole or not at all (see `write_atomic`)."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_atomic(path, content.getvalue())
