"""All options of a store as one TensorFlow Lite model with one signature for each option, so that they share one
delegate: its threads, its workspace, and one file of packed weights. Switching is then calling another signature.

No weights are copied. A linked model is a *head*, which describes all graphs and holds everything small, followed in
memory by the options' files as they are (`MappedModel`); offsets in the head point into the files. `link` makes the
head, once for each store and device (see `weight_cache`), and needs ai-edge-litert's schema; `MappedModel` does not.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from legodnn.lifetime import release_with
from legodnn.manifest import Option, Segment
from legodnn.store import Store

# Operators whose second input XNNPACK packs. Those weights are not read again and may stay in the options' files.
_PACKING_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_INLINE_BYTES = 1024  # smaller buffers are copied into the head
_RESERVE = 0x4000 if os.name == "posix" else 0  # MAP_NORESERVE
_FIXED = 0x10  # MAP_FIXED


def linked_options(store: Store) -> Iterator[tuple[Segment, Option]]:
    """Every option with its segment, in the order of the linked model's signatures."""
    return ((segment, option) for segment in store.manifest.segments for option in segment.options)


def _whole_pages(size: int) -> int:
    """Round a size in bytes up to whole pages."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def link(store: Store) -> bytes:
    """Make the head of a store's linked model; its size is a multiple of the page size.

    The options' files must have been checked (`tflite.check`).

    Raises:
        StoreError: a file was altered since the store was opened.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    linked: Any = schema.ModelT()
    linked.version, linked.buffers, linked.metadata = 3, [schema.BufferT()], []
    linked.operatorCodes, linked.subgraphs, linked.signatureDefs = [], [], []
    codes: dict[Any, int] = {}
    outside: list[tuple[Any, int]] = []  # buffers that stay in the files, and their places counted from the head's end
    start = 0
    for segment, option in linked_options(store):
        with os.fdopen(store.open_file(option), "rb") as file:
            content = np.fromfile(file, np.uint8)
        table = schema.Model.GetRootAs(content, 0)
        model = schema.ModelT.InitFromObj(table)
        (graph,) = model.subgraphs
        numbers = []
        for code in model.operatorCodes:
            key = (max(code.deprecatedBuiltinCode, code.builtinCode), code.version)
            if key not in codes:
                codes[key] = len(linked.operatorCodes)
                linked.operatorCodes.append(code)
            numbers.append(codes[key])
        for operator in graph.operators:
            operator.opcodeIndex = numbers[operator.opcodeIndex]
        weights = _weights_to_pack(graph, linked.operatorCodes, schema)
        moved: dict[int, int] = {0: 0}
        for i, tensor in enumerate(graph.tensors):
            old = tensor.buffer
            if old not in moved:
                place, data = _data(table.Buffers(old), content)
                moved[old] = len(linked.buffers) if len(data) else 0
                if len(data):
                    buffer: Any = schema.BufferT()
                    linked.buffers.append(buffer)
                    if i in weights and len(data) > _INLINE_BYTES:
                        buffer.offset, buffer.size = 1, len(data)
                        outside.append((buffer, start + place))
                    else:
                        buffer.data = data.copy()
            tensor.buffer = moved[old]
        linked.signatureDefs.append(_signature(schema, len(linked.subgraphs), segment, option, graph))
        linked.subgraphs.append(graph)
        start += _whole_pages(len(content))

    def serialised() -> bytes:
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(linked.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    head = _whole_pages(len(serialised()))
    for buffer, place in outside:
        buffer.offset = head + place
    return serialised().ljust(head, b"\0")


def _weights_to_pack(graph: Any, codes: list[Any], schema: Any) -> set[int]:
    """Return the tensors of a graph that operators read only as weights that XNNPACK packs."""
    kinds = {getattr(schema.BuiltinOperator, name) for name in _PACKING_OPERATORS}
    weights: set[int] = set()
    others: set[int] = set()
    for operator in graph.operators:
        code = codes[operator.opcodeIndex]
        for place, tensor in enumerate(operator.inputs):
            packs = place == 1 and max(code.deprecatedBuiltinCode, code.builtinCode) in kinds
            (weights if packs else others).add(int(tensor))
    return weights - others


def _data(buffer: Any, content: Any) -> tuple[int, Any]:
    """Return where a buffer's bytes begin in the content of a file, and the bytes."""
    data = buffer.DataAsNumpy() if buffer.DataLength() else content[:0]
    return int(data.ctypes.data - content.ctypes.data), data


def _signature(schema: Any, number: int, segment: Segment, option: Option, graph: Any) -> Any:
    """Make the signature of an option, whose graph has the given number; inputs are x0, x1..., outputs y0, y1..."""
    signature: Any = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = f"{segment.name}/{option.name}", number
    for letter, indices in (("x", graph.inputs), ("y", graph.outputs)):
        tensors = []
        for i, index in enumerate(indices):
            tensor: Any = schema.TensorMapT()
            tensor.name, tensor.tensorIndex = f"{letter}{i}", int(index)
            tensors.append(tensor)
        if letter == "x":
            signature.inputs = tensors
        else:
            signature.outputs = tensors
    return signature


class MappedModel:
    """A linked model in this process's address space: the head, and the options' files mapped behind it.

    It is unmapped when it is closed or dropped.

    Attributes:
        address: where the head begins.
        size: bytes of the head and all files, each in whole pages.
    """

    def __init__(self, store: Store, head: bytes) -> None:
        """Map a store's files behind a head.

        Args:
            store: the store.
            head: as `link` makes it, in whole pages.

        Raises:
            StoreError: a file was altered since the store was opened.
            OSError: no address space or no file descriptors are left.
        """
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
        library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        self.size = len(head) + sum(_whole_pages(option.bytes) for _, option in linked_options(store))

        def mapped(address: int | None, size: int, access: int, flags: int, fd: int) -> int:
            found = library.mmap(address, size, access, flags | mmap.MAP_PRIVATE, fd, 0)
            if found == ctypes.c_void_p(-1).value:
                raise OSError(ctypes.get_errno(), "the options' files cannot be mapped")
            return int(found)

        write = mmap.PROT_READ | mmap.PROT_WRITE
        self.address = mapped(None, self.size, write, mmap.MAP_ANONYMOUS | _RESERVE, -1)
        self._unmap = release_with(self, library.munmap, self.address, self.size)
        try:
            ctypes.memmove(self.address, head, len(head))
            place = self.address + len(head)
            for _, option in linked_options(store):
                fd = store.open_file(option)
                try:
                    mapped(place, option.bytes, mmap.PROT_READ, _FIXED, fd)
                finally:
                    os.close(fd)
                place += _whole_pages(option.bytes)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Unmap it, unless that has been done. Models compiled of it must have been closed."""
        self._unmap()
