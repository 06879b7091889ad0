"""Rules for ONNX operators that treat every value alike, and for those that move, join or divide tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from keras import layers, ops

from legodnn.blocks.importing.graph import named
from legodnn.blocks.importing.onnx.call import OnnxCall
from legodnn.blocks.importing.onnx.weight_rules import OnnxRule
from legodnn.blocks.importing.onnx.windows import in_shape
from legodnn.blocks.importing.tflite.call import FileInput, NoRule
from legodnn.blocks.importing.tflite.values import GraphValue, transposed_value

OneResult = Callable[[OnnxCall], GraphValue]


def _as(kind: str, **options: Any) -> OnnxRule:
    """Make the rule for an operator that TensorFlow Lite has too, of the same inputs."""

    def rule(op: OnnxCall) -> GraphValue:
        found: GraphValue = op.run(kind, *op.inputs, **options)
        return found

    return rule


def _of_many(kind: str) -> OneResult:
    """Make the rule for an operator of any number of inputs by one of two."""

    def rule(op: OnnxCall) -> GraphValue:
        first: FileInput
        first, *others = op.inputs
        for i, other in enumerate(others, 1):
            first = op.run(kind, first, other, ending="" if i == len(others) else f".{i}")
        return first if isinstance(first, GraphValue) else op.value(0)

    return rule


def _activation(name: str, **defaults: float) -> OneResult:
    """Make the rule for an activation of Keras; with the settings that it stands for, where it has some."""

    def rule(op: OnnxCall) -> GraphValue:
        for key, default in defaults.items():
            if abs(float(op.attributes.get(key, default)) - default) > 1e-6:
                raise NoRule(f"its {key} is {op.attributes[key]}")
        value = op.value(0)
        return value.now(layers.Activation(name, name=op.name)(value.tensor))

    return rule


def _leaky_relu(op: OnnxCall) -> GraphValue:
    found: GraphValue = op.run("LEAKY_RELU", op.value(0), alpha=float(op.attributes.get("alpha", 0.01)))
    return found


def _gelu(op: OnnxCall) -> GraphValue:
    found: GraphValue = op.run("GELU", op.value(0), approximate=op.attributes.get("approximate", "none") == "tanh")
    return found


def _clip(op: OnnxCall) -> GraphValue:
    low, high = op.setting(1, "min"), op.setting(2, "max")
    low, high = (None if x is None else float(np.ravel(x)[0]) for x in (low, high))
    value = op.value(0)
    if low == 0 and high == 6:
        return op.run("RELU6", value)  # type: ignore[no-any-return]
    if low == 0 and (high is None or high >= np.finfo(np.float32).max):
        return op.run("RELU", value)  # type: ignore[no-any-return]
    bounds = (-np.inf if low is None else low, np.inf if high is None else high)
    return value.now(named(ops.clip(value.tensor, *bounds), op.name))


def _hard_sigmoid(op: OnnxCall) -> GraphValue:
    alpha, beta = float(op.attributes.get("alpha", 0.2)), float(op.attributes.get("beta", 0.5))
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return _activation("hard_sigmoid")(op)
    scaled = op.run("MUL", op.value(0), np.array(alpha, np.float32), ending=".scaled")
    moved = op.run("ADD", scaled, np.array(beta, np.float32), ending=".moved")
    clipped: GraphValue = op.run("RELU_0_TO_1", moved)
    return clipped


def _mish(op: OnnxCall) -> GraphValue:
    value = op.value(0)
    return value.now(named(ops.multiply(value.tensor, ops.tanh(ops.softplus(value.tensor))), op.name))


def _reciprocal(op: OnnxCall) -> GraphValue:
    found: GraphValue = op.run("DIV", np.array(1.0, np.float32), op.value(0))
    return found


def _cast(op: OnnxCall) -> GraphValue:
    import onnx

    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(op.attributes["to"]))
    name = dtype.name if dtype.kind in "biu" else "float32"
    found: GraphValue = op.run("CAST", op.value(0), dtype="int32" if name in ("int64", "uint64") else name)
    return found


def _same(op: OnnxCall) -> GraphValue | list[GraphValue]:
    if not op.alone:
        raise NoRule("it tells what it dropped")
    return op.value(0)


def dequantised(op: OnnxCall, at: int = 0) -> GraphValue:
    """Return the numbers that the integers of a computed input stand for, which are what is computed everywhere.

    Those of the file's inputs become numbers where the graph begins (`inputs`).
    """
    found = op.value(at)
    if "int" in found.tensor.dtype:
        raise NoRule("it reads integers that the graph computes")
    return found


def _quantised(op: OnnxCall) -> GraphValue:
    """Values stay real numbers: a quantised file becomes the float model that it stands for.

    Quantisers leave out a ReLU where the integers begin at 0 anyhow, so it is put in again.
    """
    zero = op.constant(2) if op.has(2) else np.zeros((), np.uint8)
    least = np.iinfo(zero.dtype).min
    if zero.size > 1 or zero.ravel()[0] != least or op.positive:
        return op.value(0)
    most = float(np.ravel(op.constant(1))[0]) * (np.iinfo(zero.dtype).max - least)
    found: GraphValue = op.run("RELU6" if abs(most - 6) < 0.05 else "RELU", op.value(0))
    return found


def _reshape(op: OnnxCall) -> GraphValue:
    value, shape = op.value(0), [int(n) for n in op.setting(1, "shape")]
    if not op.attributes.get("allowzero", 0):
        if any(n == 0 and i >= len(value.shape) for i, n in enumerate(shape)):
            raise NoRule(f"it makes {shape} of {value.shape}")
        shape = [value.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return in_shape(op, value, tuple(shape))


def _squeeze(op: OnnxCall) -> GraphValue:
    value, axes = op.value(0), op.setting(1, "axes")
    rank = len(value.shape)
    gone = [i for i, d in enumerate(value.shape) if d == 1] if axes is None else [op.axis(int(a), rank) for a in axes]
    return in_shape(op, value, tuple(d for i, d in enumerate(value.shape) if i not in gone))


def _unsqueeze(op: OnnxCall) -> GraphValue:
    value, axes = op.value(0), [int(a) for a in np.ravel(op.setting(1, "axes"))]
    rank = len(value.shape) + len(axes)
    new, old = {op.axis(a, rank) for a in axes}, iter(value.shape)
    if len(new) < len(axes):
        raise NoRule(f"it makes dimensions {axes}, one of them twice")
    return in_shape(op, value, tuple(1 if i in new else next(old) for i in range(rank)))


def _transpose(op: OnnxCall) -> GraphValue:
    value = op.value(0)
    order = op.attributes.get("perm") or range(len(value.order))[::-1]
    return transposed_value(value, tuple(op.axis(int(a), len(value.order)) for a in order))


def _concatenate(op: OnnxCall) -> GraphValue:
    values = [op.value(i) for i in range(len(op.inputs))]
    found: GraphValue = op.run("CONCATENATION", *values, axis=int(op.attributes["axis"]))
    return found


def _split(op: OnnxCall) -> list[GraphValue]:
    value = op.value(0)
    axis = op.axis(int(op.attributes.get("axis", 0)), len(value.shape))
    sizes = op.setting(1, "split")
    if not sizes:
        each = -(-value.shape[axis] // op.count)
        sizes = [each] * (op.count - 1) + [value.shape[axis] - each * (op.count - 1)]
    parts: list[GraphValue] = op.run(
        "SPLIT_V", value, np.array(sizes, np.int32), np.array(axis, np.int32), count=op.count
    )
    return parts


def _slice(op: OnnxCall) -> GraphValue:
    value = op.value(0)
    rank = len(value.shape)
    starts, ends = (list(np.ravel(op.setting(i, name))) for i, name in ((1, "starts"), (2, "ends")))
    axes, steps = op.setting(3, "axes") or range(len(starts)), op.setting(4, "steps") or [1] * len(starts)
    begin, end, stride = [0] * rank, [0] * rank, [1] * rank
    free = (1 << rank) - 1  # of dimensions that stay whole
    for start, stop, axis, step in zip(starts, ends, axes, steps, strict=True):
        i = op.axis(int(axis), rank)
        bounds = range(value.shape[i])[slice(int(start), int(stop), int(step))]
        if not len(bounds):
            raise NoRule(f"it takes nothing of {value.shape}")
        begin[i], end[i], stride[i] = bounds.start, bounds.stop, bounds.step
        free &= ~(1 << i)
    back = sum(1 << i for i in range(rank) if stride[i] < 0 and end[i] < 0)  # to the first element, this included
    numbers = (np.array(each, np.int32) for each in (begin, end, stride))
    found: GraphValue = op.run("STRIDED_SLICE", value, *numbers, begin_mask=free, end_mask=free | back)
    return found


def _gather(op: OnnxCall) -> GraphValue:
    value, indices = op.value(0), op.constant(1)
    axis = op.axis(int(op.attributes.get("axis", 0)), len(value.shape))
    places = np.where(indices < 0, indices + value.shape[axis], indices)
    if places.ndim == 0:
        at = int(places)
        if not 0 <= at < value.shape[axis]:
            raise NoRule(f"it takes element {at} of {value.shape[axis]}")
        begin, size = np.zeros(len(value.shape), np.int32), np.array(value.shape, np.int32)
        begin[axis], size[axis] = at, 1
        one = op.run("SLICE", value, begin, size, ending=".one")
        return in_shape(op, one, tuple(d for i, d in enumerate(value.shape) if i != axis))
    found: GraphValue = op.run("GATHER", value, places.astype(np.int32), axis=axis)
    return found


def _expand(op: OnnxCall) -> GraphValue:
    value, shape = op.value(0), [int(n) for n in op.constant(1)]
    old = (*(1 for _ in range(len(shape) - len(value.shape))), *value.shape)
    shape = [1] * (len(old) - len(shape)) + shape
    if any(n not in (1, d) and d != 1 for n, d in zip(shape, old, strict=True)):
        raise NoRule(f"it makes {shape} of {value.shape}")
    times = [n if d == 1 else 1 for n, d in zip(shape, old, strict=True)]
    ranked = value if old == value.shape else in_shape(op, value, old, ".rank")
    if all(n == 1 for n in times):
        return ranked
    found: GraphValue = op.run("TILE", ranked, np.array(times, np.int32))
    return found


def _mean(op: OnnxCall) -> GraphValue:
    total = _of_many("ADD")(replace(op, name=f"{op.name}.sum"))
    found: GraphValue = op.run("MUL", total, np.array(1 / len(op.inputs), np.float32))
    return found


ONNX_ELEMENT_RULES: dict[str, OnnxRule] = {
    "Relu": _as("RELU"),
    "LeakyRelu": _leaky_relu,
    "PRelu": _as("PRELU"),
    "Elu": _activation("elu", alpha=1.0),
    "Selu": _activation("selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Gelu": _gelu,
    "Sigmoid": _as("LOGISTIC"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _as("HARD_SWISH"),
    "Swish": _activation("silu", alpha=1.0),
    "Mish": _mish,
    "Softplus": _activation("softplus"),
    "Softsign": _activation("softsign"),
    "Tanh": _as("TANH"),
    "Clip": _clip,
    "Add": _as("ADD"),
    "Sub": _as("SUB"),
    "Mul": _as("MUL"),
    "Div": _as("DIV"),
    "Pow": _as("POW"),
    "Max": _of_many("MAXIMUM"),
    "Min": _of_many("MINIMUM"),
    "Sum": _of_many("ADD"),
    "Mean": _mean,
    "Abs": _as("ABS"),
    "Neg": _as("NEG"),
    "Exp": _as("EXP"),
    "Log": _as("LOG"),
    "Sqrt": _as("SQRT"),
    "Reciprocal": _reciprocal,
    "Floor": _as("FLOOR"),
    "Ceil": _as("CEIL"),
    "Round": _as("ROUND"),
    "Sin": _as("SIN"),
    "Cos": _as("COS"),
    "Sign": _as("SIGN"),
    "Equal": _as("EQUAL"),
    "Greater": _as("GREATER"),
    "GreaterOrEqual": _as("GREATER_EQUAL"),
    "Less": _as("LESS"),
    "LessOrEqual": _as("LESS_EQUAL"),
    "And": _as("LOGICAL_AND"),
    "Or": _as("LOGICAL_OR"),
    "Not": _as("LOGICAL_NOT"),
    "Where": _as("SELECT_V2"),
    "Cast": _cast,
    "Identity": _same,
    "Dropout": _same,
    "QuantizeLinear": _quantised,
    "DequantizeLinear": dequantised,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concatenate,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _as("TILE"),
}
