"""A mapped file is found in the process, and its pages count as held until they are handed back."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

from legodnn.runtime.executors.mapped_pages import drop_pages, mapped_spans

SIZE = 4096 * mmap.PAGESIZE


def held(path: Path) -> int:
    """Bytes of a file's pages that this process holds."""
    pattern = rf"{re.escape(str(path))}\n(?:\w+:.*\n)*?Pss: +(\d+) kB"
    return sum(int(kilobytes) * 1024 for kilobytes in re.findall(pattern, Path("/proc/self/smaps").read_text()))


def test_pages_are_held_once_they_are_read_and_until_they_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a file (with a name)"
    path.write_bytes(os.urandom(SIZE))
    fd = os.open(path, os.O_RDONLY)
    assert mapped_spans(fd) == set()
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as memory:
        (span,) = mapped_spans(fd)
        assert span[1] - span[0] == SIZE
        assert held(path) == 0
        content = bytes(memory[:: mmap.PAGESIZE])
        assert held(path) > SIZE * 0.9
        drop_pages(span)
        assert held(path) == 0
        path.unlink()
        assert mapped_spans(fd) == {span}
        assert bytes(memory[:: mmap.PAGESIZE]) == content
    os.close(fd)
