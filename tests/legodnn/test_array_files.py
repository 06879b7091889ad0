"""Files of arrays are read whole or refused, whatever they announce."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from legodnn.array_files import read_arrays, write_arrays
from legodnn.errors import DataError


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    """A file in NumPy's format with a header of one's own."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + data


def npz(member: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as archive:
        archive.writestr("x.npy", member)
    return content.getvalue()


def array(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"


GOOD = npy(array("(2,)"), b"\0" * 8)
BOMB = npz(npy(array("(100000000,)", "'|u1'"), b"\0" * 100_000_000))
FALSE = npz(GOOD)
DIRECTORY = bytearray(FALSE)
struct.pack_into("<I", DIRECTORY, len(FALSE) - 10, 1 << 31)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no .npz file"),
        (b"PK\5\6" + b"\0" * 18, None),
        (b"PK\3\4 and no more", "no .npz file"),
        (npz(b""), "something else"),
        (npz(b"text" * 10), "something else"),
        (npz(GOOD)[:-30], "no .npz file"),
        (npz(GOOD, zipfile.ZIP_LZMA), "packed in a way"),
        (npz(npy(array("(1000000000000,)"))), "needs 4,000,000,000,000 bytes, it has 0"),
        (npz(npy(array("(2**62, 2**62)"))), "damaged|malformed|literal"),
        (npz(npy(array("(4611686018427387904, 4611686018427387904)"))), "needs"),
        (npz(npy(array("(-1,)"), b"\0" * 8)), "its shape is none"),
        (npz(npy(array("(True,)"), b"\0" * 8)), "its shape is none"),
        (npz(npy(array("2"), b"\0" * 8)), "shape"),
        (npz(npy(array("(1000000000000,)", "'<U0'"))), "shape is none"),
        (npz(npy(array("(2,)", "'|O'"), b"\0" * 16)), "it holds object"),
        (npz(npy(array("(2,)", "[('a', '<f4')]"), b"\0" * 8)), "not numbers"),
        (npz(npy("(" * 5000)), "cannot read"),
        (npz(npy("-" * 9000 + "1")), "cannot read"),
        (npz(npy("{'descr': '<f4'")), "cannot read"),
        (npz(npy(array("(2,)") + " " * 20_000, b"\0" * 8)), "header is too long"),
        (npz(npy(array("(2,)"), b"\0" * 8, version=2)[:8] + b"\xff\xff\xff\xff" + b" " * 99), "header is too long"),
        (BOMB, "announce 100,000,"),
        (bytes(DIRECTORY), "no .npz file|directory"),
        (GOOD, "no .npz file"),
    ],
)
def test_what_is_no_archive_of_arrays_is_refused(tmp_path: Path, content: bytes, problem: str | None) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    if problem is None:
        assert read_arrays(path, DataError, "make it again") == {}
        return
    with pytest.raises(DataError, match=problem) as caught:
        read_arrays(path, DataError, "make it again")
    assert str(caught.value).endswith("; make it again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"cannot read .*x\.npz: it is a"):
        read_arrays(tmp_path / "x.npz", DataError, "make it again")


def test_a_large_directory_is_not_read(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for i in range(20_000):
            archive.writestr(f"{i:0200}", b"")
    (tmp_path / "x.npz").write_bytes(content.getvalue())
    with pytest.raises(DataError, match=r"its directory has .* bytes, at most 4,194,304 are read"):
        read_arrays(tmp_path / "x.npz", DataError, "make it again")


def test_arrays_of_all_kinds_come_back(tmp_path: Path) -> None:
    arrays = {
        "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 5)),
        "one": np.array(3),
        "texts": np.array(["a", "bcd"]),
        "flags": np.array([True, False]),
    }
    write_arrays(tmp_path / "x.npz", arrays)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)  # type: ignore[arg-type]
    for name in ("x.npz", "packed.npz"):
        found = read_arrays(tmp_path / name, DataError, "make it again")
        assert found.keys() == arrays.keys()
        for key, value in arrays.items():
            np.testing.assert_array_equal(found[key], value)
            assert found[key].dtype == value.dtype
    assert read_arrays(tmp_path / "x.npz", DataError, "", names=("one", "two")).keys() == {"one"}


def test_a_lone_array_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    found = read_arrays(tmp_path / "x.npy", DataError, "", lone="x")
    np.testing.assert_array_equal(found["x"], np.arange(3))


def test_zeros_of_any_ratio_are_read_while_they_are_few(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(10_000_000, np.uint8))
    assert read_arrays(tmp_path / "x.npz", DataError, "")["x"].shape == (10_000_000,)
