"""What a graph costs: its parameters, and the multiply-accumulates, traffic and workspace of one inference."""

from __future__ import annotations

from collections.abc import Collection
from itertools import accumulate
from math import prod

from legodnn.manifest import Precision
from legodnn.runtime.tflite.model_file import FileGraph, FileOperator, FileTensor

# Kinds of operators by their number in the format, with the place of their weights among the inputs.
_CONV_2D, _DEPTHWISE, _DENSE, _TRANSPOSED, _MATMUL, _CONV_3D, _TRANSPOSED_3D = 3, 4, 9, 67, 126, 132, 141
_STORED = {"float32": "float32", "float16": "float16", "int8": "int8", "uint8": "int8"}


def parameter_count(graph: FileGraph) -> int:
    """Return how many numbers the constants of a graph hold, without those that only say shapes and axes."""
    return sum(tensor.size for tensor in _constants(graph))


def weight_precision(graph: FileGraph) -> Precision:
    """Return the number format that most parameters of a graph are stored in; uint8 counts as int8."""
    stored: dict[Precision, int] = {"float32": 0, "float16": 0, "int8": 0}
    for tensor in _constants(graph):
        stored[_STORED[tensor.dtype]] += tensor.size  # type: ignore[index]
    return max(stored, key=stored.__getitem__)


def _constants(graph: FileGraph) -> list[FileTensor]:
    return [t for t in graph.tensors if t.data is not None and t.dtype in _STORED]


def multiply_accumulates(graph: FileGraph) -> int:
    """Return the multiply-accumulates of one inference: of convolutions, dense layers and products of matrices."""
    return sum(_macs(graph, operator) for operator in graph.operators)


def _macs(graph: FileGraph, operator: FileOperator) -> int:
    def shape(i: int) -> tuple[int, ...]:
        return graph.tensors[operator.inputs[i]].shape

    made = prod(graph.tensors[operator.outputs[0]].shape)
    if operator.code == _CONV_2D:
        return made * prod(shape(1)[1:])
    if operator.code == _DEPTHWISE:
        return made * prod(shape(1)[1:3])
    if operator.code == _DENSE:
        return made * shape(1)[1]
    if operator.code == _TRANSPOSED:
        return prod(shape(2)) * prod(shape(1)[:3])
    if operator.code == _MATMUL:
        transposed = operator.options is not None and operator.options["adjoint_x"]
        return made * shape(0)[-2 if transposed else -1]
    if operator.code == _CONV_3D:
        return made * prod(shape(1)[:4])
    if operator.code == _TRANSPOSED_3D:
        return prod(shape(2)) * prod(shape(1)[:4])
    return 0


def bytes_moved(graph: FileGraph) -> int:
    """Return the bytes that one inference reads and writes: inputs of all operators, weights included, and outputs.

    It is what the file says. Caches save some of it, and kernels that lay out data anew add some.
    """
    return sum(graph.tensors[i].bytes for o in graph.operators for i in (*o.inputs, *o.outputs) if i >= 0)


def workspace_bytes(graph: FileGraph, kept: Collection[int] = ()) -> int:
    """Return the most bytes that tensors take at a time in one inference, in the order of the graph's operators.

    A tensor takes them from the operator that writes it to the last that reads it. Constants are left out.

    Args:
        graph: the graph.
        kept: indices of tensors that lie elsewhere, and are left out as well.
    """
    written = dict.fromkeys(graph.inputs, 0)
    read: dict[int, int] = {}
    for number, operator in enumerate(graph.operators):
        written.update((i, number) for i in operator.outputs if i not in written)
        read.update((i, number) for i in (*operator.inputs, *operator.outputs))
    read.update((i, len(graph.operators)) for i in graph.outputs)
    change = [0] * (len(graph.operators) + 2)
    for i, first in written.items():
        if i not in kept and i in read and graph.tensors[i].data is None:
            change[first] += graph.tensors[i].bytes
            change[read[i] + 1] -= graph.tensors[i].bytes
    return max(accumulate(change))
