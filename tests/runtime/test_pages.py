"""A mapped file is found in the process, and its pages count as held until they are handed back."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from legodnn.runtime.device import process_memory_bytes
from legodnn.runtime.pages import drop, mapped

SIZE = 4096 * mmap.PAGESIZE


def test_pages_are_held_once_they_are_read_and_until_they_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a file (with a name)"
    path.write_bytes(os.urandom(SIZE))
    fd = os.open(path, os.O_RDONLY)
    assert mapped(fd) == set()
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as memory:
        (span,) = mapped(fd)
        assert span[1] - span[0] == SIZE
        before = process_memory_bytes()
        content = bytes(memory[:: mmap.PAGESIZE])
        assert process_memory_bytes() - before > SIZE * 0.9
        drop(span)
        assert process_memory_bytes() - before < SIZE * 0.1
        path.unlink()
        assert mapped(fd) == {span}
        assert bytes(memory[:: mmap.PAGESIZE]) == content
    os.close(fd)
