"""Files are mapped where it is asked for, twice if wanted, and their pages count as held until they are handed back."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from pathlib import Path

import pytest

from legodnn.errors import ExecutionError
from legodnn.runtime.executors.address_space import (
    check_room,
    drop_pages,
    expect_reads,
    map_again,
    map_file,
    mapping_of,
    next_place,
    reserve,
    unmap,
    whole_pages,
)

SIZE = 4096 * mmap.PAGESIZE


def held(path: Path) -> int:
    """Bytes of a file's pages that this process holds."""
    pattern = rf"{re.escape(str(path))}\n(?:\w+:.*\n)*?Pss: +(\d+) kB"
    return sum(int(kilobytes) * 1024 for kilobytes in re.findall(pattern, Path("/proc/self/smaps").read_text()))


def test_pages_are_held_once_they_are_read_and_until_they_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a file (with a name)"
    content = os.urandom(SIZE)
    path.write_bytes(content)
    address = reserve(2 * SIZE)
    fd = os.open(path, os.O_RDONLY)
    map_file(address, SIZE, fd)
    os.close(fd)
    map_again(address, SIZE, address + SIZE)  # without the file
    assert held(path) == 0
    for place in (address + SIZE, address):
        assert ctypes.string_at(place, SIZE) == content
        assert SIZE * 0.9 < held(path) < SIZE * 1.1
        drop_pages(place, SIZE)
        assert held(path) == 0
    unmap(address, 2 * SIZE)
    assert str(path) not in Path("/proc/self/maps").read_text()


def test_around_a_page_that_is_read_those_that_are_expected_are_held_and_no_others(tmp_path: Path) -> None:
    path, page = tmp_path / "file", mmap.PAGESIZE
    path.write_bytes(os.urandom(64 * page))
    address = reserve(64 * page)
    with path.open("rb") as file:
        map_file(address, 64 * page, file.fileno())
    expect_reads(address, 64 * page, [(3 * page, 4 * page), (20 * page, 22 * page)])
    for place, expected in ((3, 1), (20, 3), (21, 3)):
        assert ctypes.string_at(address + place * page, page) == path.read_bytes()[place * page :][:page]
        assert held(path) == expected * page
    assert ctypes.string_at(address, 64 * page) == path.read_bytes()  # the others can be read as well
    unmap(address, 64 * page)


def test_a_file_that_was_mapped_is_found_where_it_was_expected_and_elsewhere(tmp_path: Path) -> None:
    path, size = tmp_path / "file", 1000 * mmap.PAGESIZE - 1
    path.write_bytes(bytes(size))
    with path.open("rb") as file:
        fd = file.fileno()
        assert mapping_of(fd, next_place(fd)) is None
        for _ in range(20):  # until no other thread maps something between the two
            place = next_place(fd)
            first = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
            found = mapping_of(fd, place)
            if found == (place, 1000 * mmap.PAGESIZE):
                break
            first.close()
        assert found == (place, 1000 * mmap.PAGESIZE)
        second = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        assert mapping_of(fd, 0, others=[place]) not in (found, None)
        second.close()
        assert mapping_of(fd, 0, others=[place]) is None
        assert mapping_of(fd, 0) == found
        first.close()
        assert mapping_of(fd, place) is None


def test_what_is_written_stays_out_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    address = reserve(mmap.PAGESIZE)
    with path.open("rb") as file:
        map_file(address, 3, file.fileno(), writable=True)
    ctypes.memmove(address, b"x", 1)
    assert ctypes.string_at(address, 3) == b"xbc"
    assert path.read_bytes() == b"abc"
    unmap(address, mmap.PAGESIZE)


def test_whole_pages() -> None:
    assert [whole_pages(n) for n in (0, 1, mmap.PAGESIZE, mmap.PAGESIZE + 1)] == [
        *(0, mmap.PAGESIZE, mmap.PAGESIZE, 2 * mmap.PAGESIZE)
    ]


def test_more_address_space_than_there_is_is_an_error() -> None:
    with pytest.raises(OSError, match="files cannot be mapped"):
        reserve(1 << 60)
    with pytest.raises(ExecutionError, match="of address space are needed for a model"):
        check_room(1 << 60, 1)
