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
    """A tensor: its shape, type (0 is float32, 2 int32, 9 int8), constant data, scales and zero points."""

    shape: tuple[int, ...]
    type: int = 0
    data: Any = None
    scales: Sequence[float] = ()
    zero: int = 0


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
    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, [schema.BufferT()], [graph], [code]
    graph.tensors, graph.operators = [], [operator]
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(127, code.builtinCode), version

    def index(tensor: T | None) -> int:
        if tensor is None:
            return -1
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
        graph.tensors.append(t)
        return len(graph.tensors) - 1

    operator.inputs, operator.outputs = [index(t) for t in inputs], [index(t) for t in outputs]
    graph.inputs = [i for i in operator.inputs if i >= 0 and not graph.tensors[i].buffer]
    graph.outputs = operator.outputs
    if options is not None:
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    return packed(model)


def options(kind: str, **values: Any) -> Any:
    """Options of an operator, such as `Conv2DOptions`."""
    found = getattr(schema, f"{kind}T")()
    for name, value in values.items():
        if not hasattr(found, name):
            raise AttributeError(name)
        setattr(found, name, value)
    return found


def whole(*values: int) -> T:
    """A constant vector."""
    return T((len(values),), 2, np.array(values, np.int32))


BASE = changed(lambda model: None)
