"""What the inputs of an ONNX file hold: images with channels first or last; integers that stand for real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.file import OnnxGraph, OnnxNode
from legodnn.blocks.importing.onnx.quantised_rules import QUANTISED_RULES
from legodnn.blocks.importing.tflite.values import CHANNELS_FIRST
from legodnn.errors import ModelError

# What treats the values of an image alike, or does not mind in which order its dimensions are.
_KEEPING = ("Add", "Cast", "Clip", "DequantizeLinear", "Div", "Identity", "Mul", "Pad", "QuantizeLinear", "Sub")
_MOVING = ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_ENDING = ("Cast", "DynamicQuantizeLinear", "QuantizeLinear", "Shape")  # what they give are other integers, or none
_WITHOUT_SCALE = ("ConvInteger", "MatMulInteger")  # they read a zero point as their third input


def has_channels_last(graph: OnnxGraph, name: str) -> bool:
    """Whether a file takes an image with channels last: it turns it before anything tells its dimensions apart."""
    computed = {each.name for each in graph.inputs}
    for node in graph.nodes:
        if computed & node.reads:
            computed.update(node.outputs)
    waiting, seen = [name], set[str]()
    while waiting:
        value = waiting.pop()
        readers = [node for node in graph.nodes if value in node.reads]
        if not readers or value in graph.outputs or value in seen:
            return False
        seen.add(value)
        others = [node for node in readers if not _turns(node)]
        if any(node.kind not in _KEEPING or sum(x in computed for x in node.inputs) > 1 for node in others):
            return False
        waiting += [node.outputs[0] for node in others]
    return True


def _turns(node: OnnxNode) -> bool:
    return node.kind == "Transpose" and tuple(node.attributes.get("perm", ())) == CHANNELS_FIRST


def real_numbers(graph: OnnxGraph, name: str) -> tuple[float, float] | None:
    """Return by what an input's integers are multiplied, and what is then added, to become the numbers they stand for.

    Returns:
        None where nothing says that they stand for others.

    Raises:
        ModelError: those who read them take them for different numbers, or have a scale for each channel.
    """
    several = ModelError(f"input {name!r} holds integers that stand for numbers in more than one way")
    found = set[tuple[float, float] | None]()  # None: of who takes them as they are, or reads what became of them
    waiting, seen = [name], set[str]()
    while waiting:
        value = waiting.pop()
        seen.add(value)
        for node in graph.nodes:
            for at in (i for i, read in enumerate(node.inputs) if read == value):
                if (read_as := _scale_and_zero(graph, node, at)) is not None:
                    single = [float(each.item()) for each in read_as if each is not None and each.size == 1]
                    if len(single) < len(read_as):
                        raise several
                    scale, zero = single
                    found.add((scale, -scale * zero))
                    continue
                if node.kind not in _MOVING or at > 0:
                    found.add(None)
                if node.kind not in _ENDING:
                    waiting += [y for y in node.outputs if y not in seen]
    if len(found) > 1:
        raise several
    return found.pop() if found else None


def _scale_and_zero(graph: OnnxGraph, node: OnnxNode, at: int) -> tuple[NDArray[Any] | None, ...] | None:
    """Return the scale and the zero point by which a node reads its input `at`; None if it reads no such integers.

    Either is None in turn where the graph computes it.
    """
    if node.kind in _WITHOUT_SCALE:
        return np.ones(1), _constant(graph, node, at + 2, np.zeros(1))
    if node.kind == "DequantizeLinear" or (node.kind in QUANTISED_RULES and node.kind != "DynamicQuantizeLinear"):
        return _constant(graph, node, at + 1), _constant(graph, node, at + 2, np.zeros(1))
    return None


def _constant(graph: OnnxGraph, node: OnnxNode, at: int, absent: NDArray[Any] | None = None) -> NDArray[Any] | None:
    """Return a node's input `at` if the file has it as a constant, and `absent` if the node has no such input."""
    if at >= len(node.inputs) or not (name := node.inputs[at]):
        return absent
    made = (each for each in graph.nodes if each.kind == "Constant" and each.outputs == (name,))
    return graph.constants.get(name, next((each.attributes.get("value") for each in made), None))
