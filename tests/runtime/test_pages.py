"""What a process holds of a mapped file is what it has read, until it hands it back."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from legodnn.runtime.pages import drop, held, mapped

PAGE = mmap.PAGESIZE


def test_pages_are_held_once_they_are_read_and_until_they_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a file (with a name)"
    path.write_bytes(os.urandom(1024 * PAGE))
    fd = os.open(path, os.O_RDONLY)
    assert mapped(fd) == set()
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as memory:
        ((start, end),) = mapped(fd)
        assert end - start == 1024 * PAGE
        drop((start, end))
        assert held((start, end)) is None
        content = memory[500 * PAGE : 501 * PAGE]
        found = held((start, end))
        assert found
        first, last = found
        assert start <= first <= start + 500 * PAGE < last <= end
        drop(found)
        assert held((start, end)) is None
        assert memory[500 * PAGE : 501 * PAGE] == content
        path.unlink()
        assert mapped(fd) == {(start, end)}
    os.close(fd)
