"""Options of a store as one TensorFlow Lite model, so that they share one delegate, its threads and its workspace, and
one file of packed weights.

No weights are copied. A linked model is a *head*, which describes all graphs and holds everything small, followed in
memory by the options' files as they are; offsets in the head point into the files. `link` makes the head of all
options, once for each store and device (see `weight_cache`), and needs ai-edge-litert's schema. It begins with room for
a *front* (`linked_front`), which says which of the graphs a model has, one by one or joined to one graph. So a
`MappedModel` describes those options alone that are to run.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from legodnn.lifetime import release_with
from legodnn.manifest import Option, Segment
from legodnn.runtime.executors import address_space
from legodnn.runtime.executors.address_space import whole_pages
from legodnn.runtime.executors.linked_front import Front, room_for_fronts, with_room
from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.runtime.tflite.quantised_ends import QuantisedEnds, quantised_ends
from legodnn.store import Store

# Operators whose second input XNNPACK packs. Those weights are not read again and may stay in the options' files.
_PACKING_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_INLINE_BYTES = 1024  # smaller buffers are copied into the head


def linked_options(store: Store) -> Iterator[tuple[Segment, Option]]:
    """Every option with its segment, in the order of the head's graphs."""
    return ((segment, option) for segment in store.manifest.segments for option in segment.options)


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
    negation: Any = schema.OperatorCodeT()  # see `linked_front.NEGATION`
    negation.deprecatedBuiltinCode = negation.builtinCode = schema.BuiltinOperator.NEG
    linked.operatorCodes, linked.subgraphs = [negation], []
    codes: dict[Any, int] = {}
    outside: list[tuple[Any, int]] = []  # buffers that stay in the files, and their places counted from the head's end
    start = 0
    for _, option in linked_options(store):
        with os.fdopen(store.open_file(option), "rb") as file:
            content = np.fromfile(file, np.uint8)
        table = schema.Model.GetRootAs(content, 0)
        model = schema.ModelT.InitFromObj(table)
        (graph,) = model.subgraphs
        numbers = []
        for code in model.operatorCodes:
            key = (max(code.deprecatedBuiltinCode, code.builtinCode), code.version, code.customCode)
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
        linked.subgraphs.append(graph)
        start += whole_pages(len(content))

    def serialised() -> bytes:
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(linked.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    room = whole_pages(room_for_fronts(store.manifest, linked.subgraphs, len(linked.buffers)))
    head = whole_pages(room + len(serialised()))
    for buffer, place in outside:
        buffer.offset = head + place
    return with_room(serialised(), room).ljust(head, b"\0")


def quantised_ends_of(store: Store) -> list[QuantisedEnds]:
    """Return where each option turns inputs into whole numbers, and whole numbers into outputs.

    Raises:
        StoreError: a file was altered since the store was opened.
    """
    found = []
    for _, option in linked_options(store):
        with os.fdopen(store.open_file(option), "rb") as file:
            found.append(quantised_ends(parse_model_file(file.read())))
    return found


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


class MappedFiles:
    """The files of a store's options in this process's address space, each in whole pages. They are opened once, and
    unmapped when this is closed or dropped.

    Attributes:
        spans: the address and the size in bytes of each, in the order of `linked_options`, one right after another.
    """

    def __init__(self, store: Store) -> None:
        """Map the files of a store.

        Raises:
            StoreError: a file was altered since the store was opened.
            OSError: no address space or no file descriptors are left.
        """
        sizes = [whole_pages(option.bytes) for _, option in linked_options(store)]
        address = address_space.reserve(sum(sizes))
        self.close = release_with(self, address_space.unmap, address, sum(sizes))
        self.spans: list[tuple[int, int]] = []
        try:
            for (_, option), size in zip(linked_options(store), sizes, strict=True):
                fd = store.open_file(option)
                try:
                    address_space.map_file(address, option.bytes, fd)
                finally:
                    os.close(fd)
                self.spans.append((address, size))
                address += size
        except BaseException:
            self.close()
            raise


class MappedModel:
    """A linked model in this process's address space: the head, and the options' files mapped behind it. It is unmapped
    when it is closed or dropped.

    Attributes:
        address: where the head begins.
        size: bytes of the head and of all files of the store, each in whole pages.
        packed: address and size in bytes of where its packed weights are mapped; None until it is compiled.
    """

    packed: tuple[int, int] | None = None

    def __init__(self, files: MappedFiles, head: int, front: Front) -> None:
        """Map a head and files behind it.

        Args:
            files: the files of the store.
            head: the descriptor of a file with the head that `link` makes of the store; it is not changed.
            front: which options the model has, and how.

        Raises:
            OSError: no address space is left.
        """
        length = os.fstat(head).st_size
        self.size = length + sum(size for _, size in files.spans)
        self.address = address_space.reserve(self.size)
        self.close = release_with(self, address_space.unmap, self.address, self.size)
        try:
            address_space.map_file(self.address, length, head, writable=True)
            front.write((ctypes.c_char * length).from_address(self.address))
            self._files, self._unwritten = self.address + length, _gaps(front.written_pages(), length)
            for number in front.numbers:
                address, size = files.spans[number]
                address_space.map_again(address, size, self._files + address - files.spans[0][0])
        except BaseException:
            self.close()
            raise

    def drop_read(self) -> None:
        """Give back the pages that compiling has read, but for those that were written. Reading them again takes them
        from the page cache: of the head, a model that runs reads few here and there, so two at a time."""
        for start, end in self._unwritten:
            address_space.drop_pages(self.address + start, end - start)
        two, length = 2 * mmap.PAGESIZE, self._files - self.address
        address_space.expect_reads(self.address, length, [(at, at + two) for at in range(0, length, 2 * two)])
        self.drop_weights()

    def drop_weights(self) -> None:
        """Give back the pages of weights that have been read, packed and not packed."""
        address_space.drop_pages(self._files, self.address + self.size - self._files)
        if self.packed:
            address_space.drop_pages(*self.packed)


def _gaps(pages: Collection[int], size: int) -> list[tuple[int, int]]:
    """Return where runs of other pages than these begin and end, in bytes, in so many bytes of whole pages."""
    ends = [whole_pages(1) * page for page in sorted({-1, *pages})]
    return [(a, b) for a, b in zip([end + whole_pages(1) for end in ends], [*ends[1:], size], strict=True) if a < b]
