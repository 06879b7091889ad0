"""The ranges of values that a file is quantised by, where they are to be others than those that it was calibrated with.

Whole numbers of int8 stand for the numbers of a range. Where two blocks meet, and what one writes has the range of what
the other reads, both have the same whole numbers there, and a runtime need not make floats of them
(`legodnn.runtime.executors.linked_front`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tensorflow.lite.python import schema_py_generated as flat
from tensorflow.lite.tools import flatbuffer_utils

Range = tuple[float, float]  # the least and the greatest value of a tensor

# Operators that give values which they read, wherever these are: limiting what they read limits what they give alike.
_COMMUTING = {
    getattr(flat.BuiltinOperator, name)
    for name in (
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "MAX_POOL_2D",
        "PAD",
        "RESHAPE",
        "RESIZE_NEAREST_NEIGHBOR",
        "SPACE_TO_DEPTH",
        "SQUEEZE",
        "TRANSPOSE",
    )
}


def with_ranges(content: bytes, inputs: Sequence[Range], outputs: Sequence[Range | None] = ()) -> bytes:
    """Return a calibrated file in which inputs and outputs have these ranges.

    What only moves values or takes the greatest has the scale of what it reads. So where it writes an output, what it
    reads gets the range too: limiting values before it is the same as limiting them behind it.

    Args:
        content: the file, as TensorFlow's converter makes it before it quantises.
        inputs: the range of each input.
        outputs: the range of each output; None, or nothing at all, where the file's own is kept.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    graph = model.subgraphs[0]  # others belong to control flow, which no device runs
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    readers = Counter([*graph.outputs, *(int(i) for operator in graph.operators for i in set(operator.inputs))])
    ranges = dict(zip(graph.inputs, inputs, strict=True))
    ranges |= {index: of for index, of in zip(graph.outputs, outputs, strict=bool(outputs)) if of}
    for operator in reversed(graph.operators):
        if codes[operator.opcodeIndex] in _COMMUTING and operator.outputs[0] in ranges:
            alone_read = [i for i in operator.inputs if readers[i] == 1 and _is_computed(model, graph.tensors[i])]
            ranges |= {i: ranges[operator.outputs[0]] for i in alone_read if i not in ranges}
    for index, limits in ranges.items():
        quantisation = graph.tensors[index].quantization
        quantisation.min, quantisation.max = [limits[0]], [limits[1]]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _is_computed(model: flat.ModelT, tensor: flat.TensorT) -> bool:
    """Whether a tensor is no constant."""
    return model.buffers[tensor.buffer].data is None
