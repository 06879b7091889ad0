"""The address space of this process: reserving it, mapping files there, and whether room is left for a model. Linux."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from collections.abc import Collection, Sequence
from pathlib import Path

from legodnn.errors import ExecutionError
from legodnn.units import size

_SPARE_BYTES = 16_000_000  # LiteRT allocates less than this besides weights and threads
_STACK_BYTES = 8_000_000  # of a thread, where the size of stacks is not limited
_FIXED = 0x10  # MAP_FIXED
_MOVE_TO = 3  # MREMAP_MAYMOVE | MREMAP_FIXED

_C = ctypes.CDLL(None, use_errno=True)
_C.mmap.restype = ctypes.c_void_p
_C.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
_C.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_C.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def whole_pages(size: int) -> int:
    """Round a size in bytes up to whole pages."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def reserve(size: int) -> int:
    """Reserve address space that nothing may read yet; return where it begins. OSError if too little is left."""
    return _found(_C.mmap(None, size, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0))


def map_file(address: int, size: int, fd: int, writable: bool = False) -> None:
    """Map the first bytes of an open file into reserved space; what is written there stays out of the file.

    Raises:
        OSError: the file cannot be mapped.
    """
    access, flags = mmap.PROT_READ, mmap.MAP_SHARED  # `map_again` needs shared mappings
    if writable:
        access, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE
    _found(_C.mmap(address, size, access, flags | _FIXED, fd, 0))


def map_again(address: int, size: int, place: int) -> None:
    """Map what `map_file` mapped to one address (not writable) at a place in reserved space as well.

    Raises:
        OSError: the system cannot do that.
    """
    move = _C.mremap  # only Linux has it
    move.restype = ctypes.c_void_p
    move.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p)
    _found(move(address, 0, size, _MOVE_TO, place))  # an old size of 0 leaves the old mapping where it is


def drop_pages(address: int, size: int) -> None:
    """Give back the pages of files that have been read. Reading them again takes them from the page cache."""
    _C.madvise(address, size, mmap.MADV_DONTNEED)


def expect_reads(address: int, size: int, spans: Sequence[tuple[int, int]]) -> None:
    """Have the kernel map no pages of a mapped file but those in some spans when a page there is read.

    It maps pages around one that is read, as far as the same advice holds for them. So all others are advised
    differently; they can be read as before.

    Args:
        address, size: where the file is mapped, in whole pages.
        spans: where in the mapping those pages begin and end, in bytes, in order.
    """
    place = 0
    for start, end in (*spans, (size, size)):
        if place < start:
            _C.madvise(address + place, start - place, mmap.MADV_RANDOM)
        place = end


def next_place(fd: int) -> int:
    """Return where the kernel would map a whole open file now. OSError if too little address space is left."""
    size = os.fstat(fd).st_size
    address = _found(_C.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0))
    unmap(address, size)
    return address


def mapping_of(fd: int, expected: int, others: Collection[int] = ()) -> tuple[int, int] | None:
    """Return where a whole open file is mapped: address and size in bytes; None if that is not known.

    Args:
        fd: of the file.
        expected: the address that `next_place` gave before it was mapped. Listing all mappings of a process, where it
            is not there, takes half a millisecond.
        others: addresses of other mappings of the file, which are not meant.
    """
    status = os.fstat(fd)
    size = whole_pages(status.st_size)
    if os.path.lexists(f"/proc/self/map_files/{expected:x}-{expected + size:x}"):
        return expected, size
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:  # there is no /proc
        return None
    for line in lines:
        addresses, _, _, of_device, inode = line.split(maxsplit=5)[:5]
        start, end = (int(address, 16) for address in addresses.split("-"))
        same = int(inode) == status.st_ino and of_device == device
        if same and end - start == size and start not in others:
            return start, size
    return None


def unmap(address: int, size: int) -> None:
    """Give a part of the address space back."""
    _C.munmap(address, size)


def _found(address: int | None) -> int:
    if address is None or address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "files cannot be mapped")
    return address


def check_room(weights: int, threads: int) -> None:
    """Check that a model can still be opened under this process's limit of address space (`ulimit -v`).

    This is checked beforehand because LiteRT ends the process when it cannot map weights or start a thread.

    Args:
        weights: bytes of weights that will be mapped.
        threads: the number of threads that the model will run with; all but one are started for it.

    Raises:
        ExecutionError: too little address space is left.
    """
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stack = _STACK_BYTES if stack == resource.RLIM_INFINITY else stack
    needed = weights + _SPARE_BYTES + (threads - 1) * (stack + mmap.PAGESIZE)
    try:
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()
    except (OSError, OverflowError, ValueError):
        raise ExecutionError(
            f"{size(needed)} of address space are needed for a model and its threads, and are not left; "
            "raise the limit (ulimit -v), or open fewer models"
        ) from None
