"""What ONNX operators make of constants alone, such as the shapes that files compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.file import OnnxNode, real
from legodnn.blocks.importing.tflite.call import NoRule
from legodnn.runtime.tflite.constant_folding import MOST_CONSTANT_ELEMENTS

# What is not computed: what is random, what the standard does not define, and what a few numbers could make endless.
_NOT_COMPUTED = re.compile(r"Random|Bernoulli|Multinomial|OneHot|EyeLike|Einsum|.*\.")


def computed(node: OnnxNode, inputs: Mapping[str, NDArray[Any]], opset: int) -> list[NDArray[Any]]:
    """Return what a node makes of constants, by the reference of the standard.

    Args:
        node: the node.
        inputs: what it reads, by name.
        opset: the version of the standard.

    Raises:
        NoRule: it is not computed, or would be too large.
    """
    from onnx.reference import ReferenceEvaluator

    if _NOT_COMPUTED.match(node.kind):
        raise NoRule("there is no rule for it")
    if _elements(node.kind, [*inputs.values()]) > MOST_CONSTANT_ELEMENTS:
        raise NoRule("it makes too large a constant")
    try:
        made = ReferenceEvaluator(_graph_of(node, inputs), {"": opset})
    except RuntimeError:  # it has some operators only as newer versions define them
        made = ReferenceEvaluator(node.proto)
    return [real(y) for y in made.run(None, dict(inputs))]


def _graph_of(node: OnnxNode, inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Return a graph of one node; the reference takes a node by itself for one of the newest version."""
    from onnx import helper

    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in inputs.items()
    ]
    wanted = [helper.make_empty_tensor_value_info(y) for y in node.outputs]
    return helper.make_graph([node.proto], "constants", given, wanted)


def _elements(kind: str, inputs: Sequence[NDArray[Any]]) -> float:
    """Return about how many elements an operator makes of constants, at most; it is told so before it makes them."""
    sizes = [float(x.size) for x in inputs]
    if kind == "Range":
        start, limit, delta = (float(x.ravel()[0]) for x in inputs)
        return (limit - start) / delta if delta else np.inf
    if kind in ("ConstantOfShape", "Expand", "Tile"):
        return float(np.prod(np.abs(inputs[-1].astype(np.float64)))) * (sizes[0] if len(inputs) > 1 else 1)
    if kind == "Pad":
        added = np.abs(inputs[1].astype(np.float64)).reshape(2, -1).sum(axis=0)
        return float(np.prod(added + max(inputs[0].shape, default=1)))
    if kind in ("MatMul", "Gemm"):
        summed = max(1, min(inputs[0].shape, default=1) if kind == "Gemm" else inputs[0].shape[-1])
        return float(np.prod([size / summed for size in sizes[:2]]))
    try:
        return float(np.prod(np.broadcast_shapes(*(x.shape for x in inputs)), dtype=np.float64))
    except ValueError:
        return sum(sizes)  # of what joins or moves its inputs
