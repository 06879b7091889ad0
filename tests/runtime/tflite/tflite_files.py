"""Small `.tflite` files written by hand, right or wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SELF_TEST = (
    Path(__file__).parents[3] / "runtime/executors/selftest.tflite"
)  # a convolution 1x1 of 2 to 3 channels, and a ReLU


@dataclass(frozen=True)
class T:
    """A tensor: its shape, type (0 is float32, 2 int32, 9 int8), constant data, scales along an axis, zero points."""

    shape: tuple[int, ...]
    type: int = 0
    data: Any = None
    scales: Sequence[float] = ()
    zero: int = 0
    axis: int = 0


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 10)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def changed(change: Callable[[Any], object]) -> bytes:
    """A convolution 1x1 of 2 to 3 channels, and a ReLU, after `change` was done to its model."""
    content = (Path(__file__).parents[3] / "runtime/executors/selftest.tflite").read_bytes()  # has the convolution
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    model.metadata, model.metadataBuffer, model.signatureDefs = [], None, []  # as files of stores have none
    graph, operator, code = model.subgraphs[0], schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    operator.opcodeIndex, operator.inputs, operator.outputs = (
        len(model.operatorCodes),
        graph.outputs,
        [len(graph.tensors)],
    )
    model.operatorCodes.append(code)
    graph.tensors.append(copy.copy(graph.tensors[int(graph.outputs[0])]))
    graph.operators.append(operator)
    graph.outputs = operator.outputs
    change(model)
    return packed(model)


def one(name: str, inputs: Sequence[T | None], outputs: Sequence[T], options: Any = None, version: int = 1) -> bytes:
    """A graph of one operator; tensors without data are its inputs."""
    tensors = [t for t in (*inputs, *outputs) if t is not None]
    places = iter(range(len(tensors)))
    reads, writes = [-1 if t is None else next(places) for t in inputs], [next(places) for _ in outputs]
    ends = [i for i in reads if i >= 0 and tensors[i].data is None], writes
    return several(tensors, [(name, reads, writes, options, version)], *ends)


def several(
    tensors: Sequence[T],
    operators: Sequence[tuple[str, Sequence[int], Sequence[int], Any, int]],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> bytes:
    """A graph of several operators, each with its name, what it reads and writes, its options and its version."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, [schema.BufferT()], [graph], []
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], list(inputs), list(outputs)
    for tensor in tensors:
        t = schema.TensorT()
        t.shape, t.type, t.buffer, t.name = list(tensor.shape), tensor.type, 0, f"t{len(graph.tensors)}"
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.ascontiguousarray(tensor.data).view(np.uint8).ravel()
            t.buffer = len(model.buffers)
            model.buffers.append(buffer)
        if tensor.scales:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = list(tensor.scales), [tensor.zero] * len(tensor.scales)
            t.quantization.quantizedDimension = tensor.axis
        graph.tensors.append(t)
    for name, reads, writes, options, version in operators:
        operator, code = schema.OperatorT(), schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(127, code.builtinCode), version
        operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes), list(reads), list(writes)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        model.operatorCodes.append(code)
        graph.operators.append(operator)
    return packed(model)


def options(kind: str, **values: Any) -> Any:
    """Options of an operator, such as `Conv2DOptions`."""
    found = getattr(schema, f"{kind}T")()
    for name, value in values.items():
        if not hasattr(found, name):
            raise AttributeError(name)
        setattr(found, name, value)
    return found


def int8_block(read: float, written: float, floats_too: bool = False) -> bytes:
    """A file that doubles 16 numbers in int8, with one scale for what it reads and one for what it writes.

    It may add what it reads once more, in floats.
    """
    floats = T((1, 16))
    tensors = [floats, T((1, 16), 9, None, (read,), -5), T((1, 16), 9, None, (written,), -5), floats, floats]
    add = options("AddOptions")
    operators = [("QUANTIZE", [0], [1], None, 1), ("ADD", [1, 1], [2], add, 2), ("DEQUANTIZE", [2], [3], None, 2)]
    more = [("ADD", [3, 0], [4], add, 1)]
    return several(tensors, [*operators, *more] if floats_too else operators, [0], [4 if floats_too else 3])


def whole(*values: int) -> T:
    """A constant vector."""
    return T((len(values),), 2, np.array(values, np.int32))


BASE = changed(lambda model: None)
