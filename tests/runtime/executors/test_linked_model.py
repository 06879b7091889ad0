"""Of a mapped head, what was written stays, and what is read comes a page or two at a time."""

from __future__ import annotations

import ctypes
import mmap
import re
from contextlib import closing
from pathlib import Path

import pytest

from legodnn.runtime.executors.linked_front import separate_front
from legodnn.runtime.executors.linked_graphs import LinkedGraphs
from legodnn.runtime.executors.linked_model import MappedFiles, MappedModel, link, quantised_ends_of
from tests.runtime.probe_store import probe_store

pytestmark = pytest.mark.capi


def held_pages(path: Path) -> int:
    """The pages of a file that this process holds, in all places where it is mapped."""
    pattern = rf"{re.escape(str(path))}\n(?:\w+:.*\n)*?Rss: +(\d+) kB"
    kilobytes = map(int, re.findall(pattern, Path("/proc/self/smaps").read_text()))
    return sum(kilobytes) * 1024 // mmap.PAGESIZE


def test_a_head_that_was_read_is_given_back_and_comes_again_two_pages_at_a_time(tmp_path: Path) -> None:
    store = probe_store(tmp_path / "store", 4, 4, range(6, 0, -1), 16)
    content, path, page = link(store), tmp_path / "head", mmap.PAGESIZE
    path.write_bytes(content)
    front = separate_front(LinkedGraphs.found(content, quantised_ends_of(store)), [0])
    with (
        path.open("rb") as file,
        closing(MappedFiles(store)) as files,
        closing(MappedModel(files, file.fileno(), front)) as model,
    ):
        written = len(front.written_pages())
        ctypes.string_at(model.address, len(content))
        assert held_pages(path) == len(content) // page
        model.drop_read()
        assert held_pages(path) == written
        middle = len(content) // page // 2
        assert middle > 16, "or the kernel would not map pages around one that is read"
        for read in (middle, middle + 8):
            assert ctypes.string_at(model.address + read * page, page) == content[read * page :][:page]
        assert written + 2 <= held_pages(path) <= written + 4
