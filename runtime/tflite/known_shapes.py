"""Computing once, with a batch of 1, the shapes that a file made for any batch computes in every inference.

Where a converter leaves the batch open, it writes operators that read a tensor's shape, take its first size, and put it
beside the sizes that are known. Their outputs become constants. Tensors of unknown sizes get those that operators give.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from legodnn.runtime.tflite.check import check_tensors
from legodnn.runtime.tflite.constant_folding import Constant, fold
from legodnn.runtime.tflite.model_file import FileGraph, FileOperator, FileTensor, Refused
from legodnn.runtime.tflite.operator_kinds import KINDS
from legodnn.runtime.tflite.operators import COUNTS, outputs

_SHAPE = 77  # the operator's number in the format
# What converters compute shapes by. What these give is no larger than what they read.
_OF_SHAPES = ("ADD", "CAST", "CONCATENATION", "DIV", "EXPAND_DIMS", "FLOOR_DIV", "GATHER", "MAXIMUM", "MINIMUM", "MUL",
              "NEG", "PACK", "REDUCE_PROD", "RESHAPE", "SLICE", "SQUEEZE", "STRIDED_SLICE", "SUB")  # fmt: skip


def with_known_shapes(graph: FileGraph, open_tensors: Collection[int]) -> FileGraph:
    """Return a graph whose shapes are constants; the graph itself if they are already.

    Args:
        graph: a graph.
        open_tensors: indices of tensors with sizes that the file does not fix. Those that operators write get the
            shapes that the operators give; other tensors have the shapes that the file says.

    Raises:
        Refused: an operator is not allowed, or its inputs or options are not what its kind requires.
    """
    if not open_tensors and all(operator.code != _SHAPE for operator in graph.operators):
        return graph
    check_tensors(graph)
    tensors, operators = list(graph.tensors), []
    for number, operator in enumerate(graph.operators):
        constant = _constant(operator, tensors, number)
        if constant is not None:
            i = operator.outputs[0]
            data = constant.astype(np.dtype(tensors[i].dtype).newbyteorder("<")).reshape(-1).view(np.uint8)
            tensors[i] = replace(tensors[i], shape=constant.shape, data=data)
            continue
        operators.append(operator)
        results = outputs(replace(graph, tensors=tuple(tensors)), operator, KINDS, number)
        for i, (shape, _) in zip(operator.outputs, results, strict=False):
            if i in open_tensors and tensors[i].shape != shape:
                tensors[i] = replace(tensors[i], shape=shape)
    if len(operators) == len(graph.operators) and all(map(lambda a, b: a is b, tensors, graph.tensors)):
        return graph
    return _without_unread(replace(graph, tensors=tuple(tensors), operators=tuple(operators)))


def _constant(operator: FileOperator, tensors: list[FileTensor], number: int) -> Constant | None:
    """Return what an operator gives if it computes shapes, and all that it reads is known."""
    if len(operator.outputs) != 1 or tensors[operator.outputs[0]].dtype not in COUNTS:
        return None
    inputs = [tensors[i] for i in operator.inputs if i >= 0]
    if operator.code == _SHAPE and len(inputs) == 1:
        return np.array(inputs[0].shape)
    kind = KINDS[operator.code].name if operator.code in KINDS else ""
    if kind not in _OF_SHAPES or not inputs or any(t.data is None or t.dtype not in COUNTS for t in inputs):
        return None
    try:
        dtype = tensors[operator.outputs[0]].dtype
        return fold(kind, [t.values() for t in inputs], operator.options or {}, dtype)
    except Refused:
        raise
    except Exception as e:  # numpy has no error type of its own for arguments that a file makes up
        raise Refused(f"operator {number} ({kind}): {e}") from None


def _without_unread(graph: FileGraph) -> FileGraph:
    """Return a graph without the tensors that nothing in it has to do with."""
    ends = [*graph.inputs, *graph.outputs]
    used = sorted({i for o in graph.operators for i in (*o.inputs, *o.outputs) if i >= 0}.union(ends))
    places = {i: place for place, i in enumerate(used)} | {-1: -1}

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(places[i] for i in indices)

    operators = (replace(o, inputs=moved(o.inputs), outputs=moved(o.outputs)) for o in graph.operators)
    tensors = tuple(graph.tensors[i] for i in used)
    return FileGraph(tensors, moved(graph.inputs), moved(graph.outputs), tuple(operators))
