"""The program of a process that does jobs on this machine: `local_processes` starts it.

    python -m legodnn.blocks.jobs.local_worker FD BYTES FUNCTION

maps what jobs have in common from the open file FD, and does a job whenever it reads its arguments and its state from
standard input, each with its length before it. What jobs tell goes to standard output: a kind, a length and so many
bytes. What libraries print goes to standard error.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from typing import IO, Any, get_args

from legodnn.blocks.jobs.job import Kind, Prepared, Send, failure

_LENGTH = struct.Struct("<Q")
_HEAD = struct.Struct("<BQ")
_KINDS: tuple[Kind, ...] = get_args(Kind)


def write_frame(stream: IO[bytes], parts: list[Any]) -> None:
    """Write bytes, in parts, with their length before them."""
    stream.write(_LENGTH.pack(sum(len(part) for part in parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


def _read_frame(stream: IO[bytes]) -> bytes | None:
    head = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else None


def read_told(stream: IO[bytes]) -> tuple[Kind, bytes] | None:
    """Return what a job tells next: its kind and its content; None when the process has ended."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    number, length = _HEAD.unpack(head)
    content = stream.read(length)
    return (_KINDS[number], content) if len(content) == length else None


def _sender(stream: IO[bytes]) -> Send:
    def send(kind: Kind, content: Any) -> None:
        parts = content if isinstance(content, list) else [content]
        stream.write(_HEAD.pack(_KINDS.index(kind), sum(len(part) for part in parts)))
        for part in parts:
            stream.write(part)
        stream.flush()

    return send


def _serve(shared: Any, function: str) -> None:
    # What jobs tell goes to a copy of standard output, which itself becomes standard error.
    send = _sender(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    prepared = None
    while (arguments := _read_frame(sys.stdin.buffer)) is not None:
        state = _read_frame(sys.stdin.buffer) or b""
        try:
            prepared = prepared or Prepared(function, shared)
            prepared.attempt(arguments, state, send)
        except Exception as e:  # whatever a job raises is told to the process that waits for it
            send("failed", failure(e))


if __name__ == "__main__":
    _, fd, size, name = sys.argv
    _serve(mmap.mmap(int(fd), int(size), access=mmap.ACCESS_READ), name)
    os._exit(0)  # Python's normal exit has been seen to wait for TensorFlow's threads for ever
