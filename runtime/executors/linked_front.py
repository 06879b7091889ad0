"""The front of a linked model: the part of the head that says which graphs a model has (see `linked_model`).

Either each chosen option is a graph of its own, with a signature, so that it can be run and timed by itself. Or the
chosen options, one for each segment, are joined to one graph: their tensors and operators one after another, where what
a segment reads *is* the tensor that another one writes. TensorFlow Lite then runs the whole composition at once. It
computes the same numbers, since the same operators run with the same weights; and it takes less time, without a call
for each segment, and less memory, with one description of a graph instead of many and all tensors in one plan.

A front is written into room at the beginning of the head. What it says leads to tables in the head behind it; only the
indices of tensors, by which joined operators name what they read and write, are changed there.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.manifest import Manifest, Segment
from legodnn.runtime.executors.linked_graphs import LinkedGraph, LinkedGraphs
from legodnn.runtime.tflite.flatbuffer import fields
from legodnn.runtime.tflite.flatbuffer_writer import Place, write_flatbuffer
from legodnn.runtime.tflite.model_file import IDENTIFIER
from legodnn.runtime.tflite.quantised_ends import Form

_VERSION = 3  # of the format
# What a front takes beyond the offsets to tables: for a model, and for each graph and each of its inputs and outputs.
_MODEL_BYTES, _GRAPH_BYTES, _NAMED_TENSOR_BYTES = 512, 256, 64

_NAMED_TENSOR = fields("name:string tensor:uint32")
_SIGNATURE = fields(
    "inputs:[table] outputs:[table] key:string tag:none graph:uint32", inputs=_NAMED_TENSOR, outputs=_NAMED_TENSOR
)
_OPERATOR = fields("code:uint32 inputs:[int32] outputs:[int32]")
_SCHEMA = fields(
    "version:uint32 codes:[table] graphs:[table] description:none buffers:[table] metadata_buffer:none metadata:none "
    "signatures:[table]",
    graphs=fields("tensors:[table] inputs:[int32] outputs:[int32] operators:[table]", operators=_OPERATOR),
    signatures=_SIGNATURE,
)
NEGATION = 0  # which of a head's codes is that of the operator NEG; XNNPACK fuses it with no other


def room_for_fronts(manifest: Manifest, graphs: Sequence[Any], buffers: int) -> int:
    """Return a number of bytes that any front of a store fits in.

    Args:
        manifest: of the store.
        graphs: the graphs of all options, as ai-edge-litert's schema has them.
        buffers: the number of buffers of the head.
    """
    ends = len(manifest.inputs) + len(manifest.outputs)
    named = 2 * sum(len(g.inputs) + len(g.outputs) for g in graphs) + ends
    tables = sum(len(g.tensors) + len(g.operators) + 2 for g in graphs)
    return _MODEL_BYTES + 2 * _GRAPH_BYTES * (1 + len(graphs)) + _NAMED_TENSOR_BYTES * named + 4 * (tables + buffers)


def with_room(content: bytes, room: int) -> bytes:
    """Return a head with room for a front before it: so many bytes, which a model's alignment must divide."""
    root = room + int(struct.unpack_from("<I", content)[0])
    return struct.pack("<I4sI", root, IDENTIFIER, room).ljust(room, b"\0") + content


@dataclass(frozen=True, eq=False)
class Front:
    """Which options a linked model has.

    Attributes:
        numbers: the options, in the order of `linked_model.linked_options`.
        content: the bytes that the head begins with.
        buffers: the numbers of the buffers of the options' constants.
        changed: places of numbers of 32 bits in the head, and what they become.
    """

    numbers: tuple[int, ...]
    content: bytes
    buffers: NDArray[np.int64]
    changed: Sequence[tuple[NDArray[np.int64], NDArray[np.int32]]] = ()

    @property
    def joined(self) -> bool:
        """Whether the options are joined to one graph."""
        return bool(self.changed)

    def write(self, head: Any) -> None:
        """Write this into a writable buffer with the head."""
        memory = np.frombuffer(head, np.uint8)
        if len(self.content) > memory[8:12].view("<u4")[0]:
            raise ValueError("a front is larger than the room for it")
        memory[: len(self.content)] = np.frombuffer(self.content, np.uint8)
        numbers = memory[: len(memory) // 4 * 4].view("<i4")
        for places, values in self.changed:
            numbers[places // 4] = values

    def written_pages(self) -> set[int]:
        """Return the numbers of the pages of a head that `write` writes to."""
        changed = {page for places, _ in self.changed for page in (places // mmap.PAGESIZE).tolist()}
        return changed.union(range(-(-len(self.content) // mmap.PAGESIZE)))


def separate_front(graphs: LinkedGraphs, numbers: Sequence[int]) -> Front:
    """Make the front of a model with a signature for each of some options, in the order in which they are given.

    A signature's inputs are called x0, x1 and so on, its outputs y0, y1 and so on.
    """
    chosen = [graphs.graph(number) for number in numbers]
    signatures = [_signature(i, g.inputs, g.outputs) for i, g in enumerate(chosen)]
    return _front(graphs, numbers, chosen, np.concatenate([g.place for g in chosen]), signatures)


def packing_front(graphs: LinkedGraphs, numbers: Sequence[int], inner: Collection[int]) -> Front:
    """Make the front of a model whose weights are packed for any composition, and for options one by one.

    XNNPACK tells the packed weights of the last operator of all from those of others, though they are the same. So the
    options that other segments may follow are there twice: as they are, and with an operator more at the end.

    Args:
        graphs: those of all options.
        numbers: all options, in the order in which their packed weights are to lie in the file.
        inner: those that other segments may follow.
    """
    chosen = [graphs.graph(number) for number in numbers]
    tables: list[Any] = [Place(int(g.place[0])) for g in chosen]
    signatures = [_signature(i, g.inputs, g.outputs) for i, g in enumerate(chosen)]
    for graph in (g for number, g in zip(numbers, chosen, strict=True) if number in inner):
        last, new = int(graph.outputs[0]), len(graph.tensors)
        longer = {
            "tensors": np.append(graph.tensors, graph.tensors[last]),
            "inputs": graph.inputs,
            "outputs": [new],
            "operators": [
                *(Place(int(place)) for place in graph.operators),
                {"code": NEGATION, "inputs": [last], "outputs": [new]},
            ],
        }
        signatures.append(_signature(len(tables), graph.inputs, np.array([new], np.int64)))
        tables.append(longer)
    return _front(graphs, numbers, chosen, tables, signatures)


def joined_front(graphs: LinkedGraphs, numbers: Sequence[int], manifest: Manifest) -> Front:
    """Make the front of a model with one signature: a composition, whose inputs are those of the manifest that segments
    read, and whose outputs are the manifest's.

    Args:
        graphs: those of all options.
        numbers: an option for each segment, in topological order.
        manifest: of the store.
    """
    chosen = [graphs.graph(number) for number in numbers]
    tensor_of: dict[str, int] = {}  # the index, in the joined graph, of every tensor between segments
    meetings = _Meetings(manifest)
    changed, start = [], 0
    for graph, segment in zip(chosen, manifest.segments, strict=True):
        new = _indices_when_joined(graph, segment, tensor_of, start)
        meetings.join(graph, segment, new)
        changed.append((graph.places, new[graph.indices]))
        start += len(graph.tensors)
    inputs, outputs = (
        np.array([tensor_of[name] for name in names], np.int64) for names in (manifest.read_inputs, manifest.outputs)
    )
    whole = {
        "tensors": np.concatenate([g.tensors for g in chosen]),
        "inputs": inputs,
        "outputs": outputs,
        "operators": np.concatenate([g.operators for g in chosen])[meetings.kept()],
    }
    return _front(graphs, numbers, chosen, [whole], [_signature(0, inputs, outputs)], changed)


def _front(
    graphs: LinkedGraphs,
    numbers: Sequence[int],
    chosen: Sequence[LinkedGraph],
    tables: Any,
    signatures: Sequence[Any],
    changed: Sequence[tuple[NDArray[np.int64], NDArray[np.int32]]] = (),
) -> Front:
    """Make the front of a model with tables of graphs, which hold what the chosen options' graphs do, and signatures.

    Buffers keep their numbers, by which packed weights are found. Those of other options are empty, like the first.
    """
    all_buffers = graphs.buffers()
    buffers = np.full(len(all_buffers), all_buffers[0])
    used = np.concatenate([graph.buffers for graph in chosen])
    buffers[used] = all_buffers[used]
    model = {
        "version": _VERSION,
        "codes": Place(graphs.codes()),
        "graphs": tables,
        "buffers": buffers,
        "signatures": signatures,
    }
    return Front(tuple(numbers), write_flatbuffer(model, IDENTIFIER, _SCHEMA), used, changed)


def _indices_when_joined(
    graph: LinkedGraph, segment: Segment, tensor_of: dict[str, int], start: int
) -> NDArray[np.int32]:
    """Return what each index of a graph's tensors becomes in a joined graph, and for -1, which is none, -1.

    What another segment writes is read there. The tensors that this segment writes, and those inputs of the model that
    it reads first, are entered in `tensor_of`. Its own tensors begin at `start`.
    """
    new = np.arange(start, start + len(graph.tensors) + 1, dtype=np.int32)
    new[-1] = -1
    for name, index in zip(segment.inputs, graph.inputs, strict=True):
        new[index] = tensor_of.setdefault(name, int(new[index]))
    for name, index in zip(segment.outputs, graph.outputs, strict=True):
        tensor_of[name] = int(new[index])
    return new


class _Meetings:
    """Where segments meet in whole numbers: one turns them into floats, and a later one turns these into the same whole
    numbers again. There the later one reads the whole numbers, and operators without readers are left out. The result
    is the same to the bit, since a whole number q stands for the float s (q - z), which is turned into q again.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._as_floats = set(manifest.outputs)  # tensors between segments that are read as they are
        self._whole: dict[str, tuple[int, Form]] = {}  # for each of them: the index of its whole numbers, their form
        self._makers: dict[int, str] = {}  # numbers of operators, over all segments, that make floats of whole numbers
        self._left_out: list[int] = []
        self._count = 0

    def join(self, graph: LinkedGraph, segment: Segment, new: NDArray[np.int32]) -> None:
        """Enter the next segment's graph.

        Args:
            graph: the graph.
            segment: the segment.
            new: what each index of its tensors becomes; this changes those of whole numbers that are there already.
        """
        ends = graph.quantised_ends()
        read = dict(zip(graph.inputs.tolist(), segment.inputs, strict=True))
        written = dict(zip(graph.outputs.tolist(), segment.outputs, strict=True))
        self._as_floats |= {(read | written)[index] for index in ends.as_they_are}
        for operator, outer, inner, form in ends.inputs:
            index, known = self._whole.get(read[outer], (-1, None))
            if form == known:
                new[inner] = index
                self._left_out.append(self._count + operator)
            else:
                self._as_floats.add(read[outer])
        for operator, outer, inner, form in ends.outputs:
            self._whole[written[outer]] = int(new[inner]), form
            self._makers[self._count + operator] = written[outer]
        self._count += len(graph.operators)

    def kept(self) -> NDArray[np.bool_]:
        """Return of each operator of all segments whether the joined graph has it."""
        kept = np.ones(self._count, np.bool_)
        kept[self._left_out] = False
        kept[[operator for operator, name in self._makers.items() if name not in self._as_floats]] = False
        return kept


def _signature(graph: int, inputs: NDArray[np.int64], outputs: NDArray[np.int64]) -> dict[str, Any]:
    """Return the signature of a graph of the given number, whose inputs and outputs are indices of tensors."""
    named = [
        [{"name": f"{letter}{i}".encode(), "tensor": int(index)} for i, index in enumerate(indices)]
        for letter, indices in (("x", inputs), ("y", outputs))
    ]
    return {"inputs": named[0], "outputs": named[1], "key": f"{graph}".encode(), "graph": graph}
