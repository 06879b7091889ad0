"""Damage a `.tflite` file: change its bytes, or change its content so that it stays a well-formed FlatBuffer."""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_NUMBERS = (0, -1, 1, 2, 3, 4, 5, 7, 8, 16, 64, 127, 128, 255, 256, 32767, 65536, 1 << 20, (1 << 31) - 1, -(1 << 31))
_FLOATS = (0.0, -1.0, 1e-38, 1e-20, 1e-5, 0.5, 1.0, 3.0, 1e5, 1e20, 3e38, float("inf"), float("nan"))
_SCALES = ("scale", "zero_point", "axis", "none", "detail", "wild")


def damaged(content: bytes, drawn: np.random.Generator) -> tuple[bytes, str]:
    """Return a damaged copy, and what was done to it."""
    for _ in range(20):
        if drawn.random() < 0.15:
            return _raw(content, drawn), "raw"
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        done = []
        try:
            for _ in range(int(drawn.choice((1, 1, 1, 2, 4)))):
                name = str(drawn.choice(list(DAMAGES)))
                done.append(f"{name}({DAMAGES[name](model, drawn)})")
            return packed(model), " ".join(done)
        except (struct.error, ValueError, TypeError, AttributeError, OverflowError, IndexError, AssertionError):
            continue  # such content cannot be written as a file
    return _raw(content, drawn), "raw"


def packed(model: Any) -> bytes:
    """Return the bytes of a model's file."""
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _raw(content: bytes, drawn: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(drawn.choice((1, 1, 2, 8, 64)))):
        kind, place = int(drawn.integers(5)), int(drawn.integers(len(changed)))
        if kind == 0:
            changed[place] ^= 1 << int(drawn.integers(8))
        elif kind == 1:
            changed[place] = int(drawn.integers(256))
        elif kind == 2 and len(changed) > 64:
            del changed[-int(drawn.integers(1, 32)) :]
        elif kind == 3 and len(changed) > 8:
            place -= place % 4
            changed[place : place + 4] = struct.pack("<q", int(drawn.choice(_NUMBERS)))[:4]
        else:
            changed[place:place] = drawn.bytes(4)
    return bytes(changed)


def _one(items: Any, drawn: np.random.Generator) -> Any:
    return items[int(drawn.integers(len(items)))]


def _number(drawn: np.random.Generator) -> int:
    return int(drawn.choice(_NUMBERS))


def _tensor(model: Any, drawn: np.random.Generator) -> tuple[int, Any]:
    tensors = model.subgraphs[0].tensors
    i = int(drawn.integers(len(tensors)))
    return i, tensors[i]


def _shape(model: Any, drawn: np.random.Generator) -> str:
    i, tensor = _tensor(model, drawn)
    shape = [int(d) for d in (tensor.shape if tensor.shape is not None else [])]
    kind = int(drawn.integers(5))
    if kind == 0 and shape:
        shape[int(drawn.integers(len(shape)))] = _number(drawn)
    elif kind == 1 and shape:
        shape[int(drawn.integers(len(shape)))] += int(drawn.choice((-1, 1)))
    elif kind == 2:
        shape.insert(int(drawn.integers(len(shape) + 1)), int(drawn.choice((0, 1, 1, 2))))
    elif kind == 3 and shape:
        del shape[int(drawn.integers(len(shape)))]
    else:
        drawn.shuffle(shape)
    tensor.shape = np.array(shape, np.int32)
    return f"{i} {shape}"


def _type(model: Any, drawn: np.random.Generator) -> str:
    i, tensor = _tensor(model, drawn)
    tensor.type = int(drawn.integers(20))
    return f"{i} {tensor.type}"


def _buffer(model: Any, drawn: np.random.Generator) -> str:
    i, tensor = _tensor(model, drawn)
    tensor.buffer = int(drawn.choice((0, int(drawn.integers(len(model.buffers))), len(model.buffers), 1 << 31)))
    return f"{i} {tensor.buffer}"


def _quantisation(model: Any, drawn: np.random.Generator) -> str:
    quantised = [
        t for t in model.subgraphs[0].tensors if t.quantization is not None and t.quantization.scale is not None
    ]
    tensor = _one(quantised, drawn) if quantised and drawn.random() < 0.8 else _tensor(model, drawn)[1]
    if tensor.quantization is None:
        tensor.quantization = schema.QuantizationParametersT()
    q, kind = tensor.quantization, str(drawn.choice(_SCALES))
    count = 1 if q.scale is None else len(q.scale)
    if kind == "scale":
        q.scale = np.full(count, drawn.choice(_FLOATS), np.float32)
    elif kind == "zero_point":
        q.zeroPoint = np.full(count, _number(drawn), np.int64)
    elif kind == "axis":
        q.quantizedDimension = _number(drawn)
    elif kind == "none":
        tensor.quantization = None
    elif kind == "detail":
        q.scale = np.ones(int(drawn.integers(9)), np.float32)
    else:
        q.scale = np.float32(10.0) ** drawn.uniform(-30, 30, count).astype(np.float32)
        q.zeroPoint = drawn.integers(-128, 128, count)
    return kind


def _flags(model: Any, drawn: np.random.Generator) -> str:
    i, tensor = _tensor(model, drawn)
    kind = int(drawn.integers(4))
    if kind == 0:
        tensor.isVariable = True
    elif kind == 1:
        tensor.shapeSignature = np.array([-1 for _ in (tensor.shape if tensor.shape is not None else [])], np.int32)
    elif kind == 2:
        tensor.sparsity = schema.SparsityParametersT()
        tensor.sparsity.traversalOrder = [0, 1]
    else:
        tensor.hasRank = not tensor.hasRank
    return f"{i} {kind}"


def _indices(model: Any, drawn: np.random.Generator) -> str:
    graph = model.subgraphs[0]
    holder = graph if drawn.random() < 0.2 else _one(graph.operators, drawn)
    name = str(drawn.choice(("inputs", "outputs")))
    found = [int(i) for i in getattr(holder, name)]
    kind = int(drawn.integers(5))
    index = int(drawn.choice((-1, int(drawn.integers(len(graph.tensors))), len(graph.tensors), (1 << 31) - 1)))
    if kind < 2 and found:
        found[int(drawn.integers(len(found)))] = index
    elif kind == 2:
        found.append(index)
    elif kind == 3 and found:
        found.pop(int(drawn.integers(len(found))))
    else:
        drawn.shuffle(found)
    setattr(holder, name, np.array(found, np.int32))
    return f"{name} {found}"


def _code(model: Any, drawn: np.random.Generator) -> str:
    code, kind = _one(model.operatorCodes, drawn), int(drawn.integers(4))
    if kind == 0:
        code.builtinCode = int(drawn.integers(210))
        code.deprecatedBuiltinCode = min(127, code.builtinCode)
    elif kind == 1:
        code.version = _number(drawn)
    elif kind == 2:
        code.customCode = "custom"
    else:
        operator = _one(model.subgraphs[0].operators, drawn)
        operator.opcodeIndex = int(drawn.choice((int(drawn.integers(len(model.operatorCodes))), 1 << 31)))
    return str(kind)


def _options(model: Any, drawn: np.random.Generator) -> str:
    operators = [o for o in model.subgraphs[0].operators if o.builtinOptions is not None and vars(o.builtinOptions)]
    if not operators or drawn.random() < 0.05:
        operator = _one(model.subgraphs[0].operators, drawn)
        operator.builtinOptionsType, operator.builtinOptions = 0, None
        return "none"
    options = _one(operators, drawn).builtinOptions
    name = str(drawn.choice(list(vars(options))))
    old = getattr(options, name)
    if isinstance(old, bool):
        setattr(options, name, not old)
    elif isinstance(old, float):
        setattr(options, name, float(drawn.choice(_FLOATS)))
    elif isinstance(old, int):
        new = old + int(drawn.choice((-1, 1))) if drawn.random() < 0.5 else _number(drawn)
        setattr(options, name, int(drawn.integers(-2, 7)) if name in ("padding", "fusedActivationFunction") else new)
    return name


def _data(model: Any, drawn: np.random.Generator) -> str:
    buffers = [b for b in model.buffers if b.data is not None and len(b.data)]
    small = [b for b in buffers if len(b.data) <= 32]
    buffer = _one(small if small and drawn.random() < 0.7 else buffers, drawn)
    data, kind = np.array(buffer.data, np.uint8), int(drawn.integers(5))
    if kind == 0 and len(data) >= 4:
        place = int(drawn.integers(len(data) // 4)) * 4
        data[place : place + 4] = np.frombuffer(struct.pack("<q", _number(drawn))[:4], np.uint8)
    elif kind == 1 and len(data) >= 4:
        place = int(drawn.integers(len(data) // 4)) * 4
        data[place : place + 4] = np.array([drawn.choice(_FLOATS)], np.float32).view(np.uint8)
    elif kind == 2:
        data = data[: int(drawn.integers(len(data)))]
    elif kind == 3:
        data = np.concatenate([data, data])
    else:
        data = np.frombuffer(drawn.bytes(len(data)), np.uint8)
    buffer.data = data
    return str(kind)


def _order(model: Any, drawn: np.random.Generator) -> str:
    graph, kind = model.subgraphs[0], int(drawn.integers(4))
    if kind == 0:
        drawn.shuffle(graph.operators)
    elif kind == 1:
        graph.operators.append(copy.copy(_one(graph.operators, drawn)))
    elif kind == 2:
        graph.operators.pop(int(drawn.integers(len(graph.operators))))
    else:
        model.subgraphs.append(copy.copy(graph))
    return str(kind)


def _loop(model: Any, drawn: np.random.Generator) -> str:
    """Add an endless loop, whose condition is a constant."""
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
    code.version = 1
    loop, options = schema.OperatorT(), schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
    loop.opcodeIndex, loop.builtinOptionsType, loop.builtinOptions = len(model.operatorCodes), 93, options
    model.operatorCodes.append(code)
    yes = schema.TensorT()
    yes.shape, yes.type, yes.buffer, yes.name = np.zeros(0, np.int32), 6, len(model.buffers), "yes"
    data = schema.BufferT()
    data.data = np.ones(1, np.uint8)
    model.buffers.append(data)
    carried = copy.copy(graph.tensors[int(graph.outputs[0])])
    carried.buffer = 0
    for tensors, output in (([carried, yes], 1), ([carried], 0)):
        part = schema.SubGraphT()
        part.tensors, part.inputs, part.outputs, part.operators = tensors, [0], [output], []
        model.subgraphs.append(part)
    loop.inputs, loop.outputs = [int(graph.outputs[0])], [len(graph.tensors)]
    graph.tensors.append(copy.copy(carried))
    graph.operators.append(loop)
    graph.outputs = [len(graph.tensors) - 1]
    return ""


def _values(model: Any, drawn: np.random.Generator) -> str:
    """Set numbers that are allowed but rare: scales of any size, and large weights."""
    for tensor in model.subgraphs[0].tensors:
        q = tensor.quantization
        if q is not None and q.scale is not None and drawn.random() < 0.5:
            q.scale = (q.scale * np.float32(10.0) ** drawn.integers(-12, 12)).astype(np.float32)
            if tensor.type == 9 and len(q.scale) == 1:
                q.zeroPoint = drawn.integers(-128, 128, 1)
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) > 64 and drawn.random() < 0.3:
            buffer.data = np.frombuffer(drawn.bytes(len(buffer.data)), np.uint8)
    return ""


DAMAGES: dict[str, Callable[[Any, np.random.Generator], str]] = {
    "shape": _shape,
    "type": _type,
    "buffer": _buffer,
    "quantisation": _quantisation,
    "flags": _flags,
    "indices": _indices,
    "code": _code,
    "options": _options,
    "data": _data,
    "order": _order,
    "loop": _loop,
    "values": _values,
}
