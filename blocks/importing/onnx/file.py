"""Reading an ONNX file that is to become a Keras graph: its nodes, constants, inputs and outputs as plain values.

What a node means is left to its rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.errors import DependencyError, ModelError

_LEAST_OPSET = 7
_MOST_NODES = 1_000_000  # a few functions that call one another could make endless ones
_DOMAINS = ("", "ai.onnx")  # of the operators that the standard defines


@dataclass(frozen=True, eq=False)
class OnnxInput:
    """An input of a file.

    Attributes:
        name: as in the file.
        dtype: the type of its elements, as numpy calls it.
        shape: its dimensions; None where the file does not fix a size.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """An operator of a file.

    Attributes:
        number: its place in the file.
        kind: its name, such as `Conv`; with its domain before it if the standard does not define it.
        inputs: names of values; empty for an optional input that is absent.
        outputs: names of values; empty for an optional output that is not wanted.
        attributes: its settings by name: numbers, lists of numbers, texts, arrays; graphs as they are.
        proto: the node itself.
    """

    number: int
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: Any

    @property
    def reads(self) -> set[str]:
        """Names of the values that it reads, those that its branches read included."""
        graphs = [each.g for each in self.proto.attribute if each.HasField("g")]
        return {*self.inputs, *(name for graph in graphs for name in _read_by(graph))}


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """The graph of a file, with its nodes in the order in which they run.

    Attributes:
        inputs: what is computed from.
        outputs: names of values.
        nodes: its operators.
        constants: the weights by name; floats as float32.
        opset: the version of the standard that it was written for.
    """

    inputs: tuple[OnnxInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, NDArray[Any]]
    opset: int

    def part_for(self, outputs: tuple[str, ...]) -> OnnxGraph:
        """Return the graph that ends at other values, with the nodes and inputs that these need."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.reads)
                kept.append(node)
        inputs = tuple(i for i in self.inputs if i.name in needed)
        return replace(self, inputs=inputs, outputs=outputs, nodes=tuple(reversed(kept)))


def read_onnx(path: Path) -> OnnxGraph:
    """Read a file, and those beside it that hold its weights.

    Raises:
        ModelError: it cannot be read, is no valid ONNX file, or has weights of a kind without a rule.
        DependencyError: the package `onnx` is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise DependencyError(f"{path} is read by the package onnx; pip install 'legodnn[onnx]'") from None
    try:
        return _graph_of(onnx, _without_functions(onnx.load(path)))
    except ModelError as e:
        raise ModelError(f"{path} {e}") from None
    except OSError as e:
        raise ModelError(f"cannot read {path}: {e.strerror or e}") from None
    except Exception as e:  # protobuf and numpy have no error type of their own for what a file makes up
        reason = re.sub(r"\s+", " ", str(e)).strip() or type(e).__name__
        raise ModelError(f"{path} is no valid ONNX file: {reason:.200}") from None


def branch_of(graph: Any) -> tuple[list[OnnxNode], dict[str, NDArray[Any]], list[str]]:
    """Return the nodes, the constants and the names of the outputs of a branch of an `If`."""
    import onnx

    constants = {tensor.name: real(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    nodes = [_node(onnx, number, node) for number, node in enumerate(graph.node)]
    return nodes, constants, [value.name for value in graph.output]


def _read_by(graph: Any) -> set[str]:
    inner = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    found = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    return found.union(*(_read_by(each) for each in inner))


def real(array: Any) -> NDArray[Any]:
    """Return an array with floats of every kind as float32."""
    found: NDArray[Any] = np.asarray(array)
    return found if found.dtype.kind in "biuUSO" else found.astype(np.float32)


def _graph_of(onnx: Any, model: Any) -> OnnxGraph:
    graph = model.graph
    if not graph.output or not graph.node:
        raise ModelError("is no valid ONNX file: it has no graph that gives something")
    if len(graph.sparse_initializer):
        raise ModelError("has sparse weights, for which there is no rule")
    constants = {tensor.name: real(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    inputs = tuple(_input(onnx, value) for value in graph.input if value.name not in constants)
    nodes = tuple(_node(onnx, number, node) for number, node in enumerate(graph.node))
    opset = max((entry.version for entry in model.opset_import if entry.domain in _DOMAINS), default=1)
    if opset < _LEAST_OPSET:
        raise ModelError(
            f"is of opset {opset}, in which operators broadcast otherwise; export it for {_LEAST_OPSET} at least"
        )
    return OnnxGraph(inputs, tuple(value.name for value in graph.output), nodes, constants, opset)


def _without_functions(model: Any) -> Any:
    """Return a model with the nodes of its own functions, which exporters make of modules, in place of their calls."""
    if not model.functions:
        return model
    from onnx import inliner

    sizes: dict[tuple[str, str], float] = {}
    waiting = {(each.domain, each.name): each for each in model.functions}
    while ready := [
        key for key, each in waiting.items() if not any((n.domain, n.op_type) in waiting for n in each.node)
    ]:
        for key in ready:
            sizes[key] = sum(sizes.get((n.domain, n.op_type), 1) for n in waiting.pop(key).node)
    if waiting or sum(sizes.get((n.domain, n.op_type), 1) for n in model.graph.node) > _MOST_NODES:
        raise ModelError("has functions that call one another without end, or too often")
    return inliner.inline_local_functions(model)


def _input(onnx: Any, value: Any) -> OnnxInput:
    if not value.type.HasField("tensor_type"):
        raise ModelError(f"has an input {value.name!r} that is no tensor: a store's inputs are arrays")
    kind = value.type.tensor_type
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    sizes = (d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim)
    return OnnxInput(value.name, dtype, tuple(sizes))


def _node(onnx: Any, number: int, node: Any) -> OnnxNode:
    attributes = {}
    for attribute in node.attribute:
        found = onnx.helper.get_attribute_value(attribute)
        if isinstance(found, onnx.TensorProto):
            found = real(onnx.numpy_helper.to_array(found))
        attributes[attribute.name] = found.decode(errors="replace") if isinstance(found, bytes) else found
    kind = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
    return OnnxNode(number, kind, tuple(node.input), tuple(node.output), attributes, node)
