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
    found = set[tuple[float, float] | None]()
    waiting, seen = [(name, False)], set[str]()  # with each value whether it has changed on the way
    while waiting:
        value, changed = waiting.pop()
        seen.add(value)
        for node in graph.nodes:
            for at in (i for i, read in enumerate(node.inputs) if read == value):
                moves = node.kind in _MOVING and at == 0
                if (taken := _taken_for(graph, node, at)) is not None:
                    found.add((0.0, 0.0) if changed else taken)
                    continue
                if not moves:
                    found.add(None)
                if node.kind not in _ENDING:
                    waiting += [(y, changed or not moves) for y in node.outputs if y not in seen]
    if len(found) > 1 or (0.0, 0.0) in found:
        raise ModelError(f"input {name!r} holds integers that stand for numbers in more than one way")
    return found.pop() if found else None


def _taken_for(graph: OnnxGraph, node: OnnxNode, at: int) -> tuple[float, float] | None:
    """Return what a node takes the integers of its input `at` for, zeros where they have several scales."""
    scale: NDArray[Any] | None
    if node.kind in _WITHOUT_SCALE:
        scale, zero = np.ones(1), _constant(graph, node, 2 + at)
    elif node.kind == "DequantizeLinear" or (node.kind in QUANTISED_RULES and node.kind != "DynamicQuantizeLinear"):
        scale, zero = _constant(graph, node, at + 1), _constant(graph, node, at + 2)
        if scale is None:
            return 0.0, 0.0
    else:
        return None
    if scale.size > 1 or (zero is not None and zero.size > 1):
        return 0.0, 0.0
    factor = float(scale.ravel()[0])
    return factor, -factor * float(zero.ravel()[0] if zero is not None else 0)


def _constant(graph: OnnxGraph, node: OnnxNode, at: int) -> NDArray[Any] | None:
    """Return a node's input `at` if the file has it as a constant."""
    name = node.inputs[at] if at < len(node.inputs) else ""
    made = next((each.attributes.get("value") for each in graph.nodes if each.outputs == (name,)), None)
    return graph.constants.get(name, made)
