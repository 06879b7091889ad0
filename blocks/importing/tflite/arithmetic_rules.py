"""Rules for operators that treat every value alike: arithmetic with broadcasting, comparisons, activations, casts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from legodnn.blocks.importing.file_layers import BINARY_OPERATIONS, ConstantOperand, with_constant
from legodnn.blocks.importing.graph import Tensor
from legodnn.blocks.importing.tflite.call import NoRule, Rule, RuleCall
from legodnn.blocks.importing.tflite.values import (
    GraphValue,
    aligned,
    alike,
    canonical,
    constant_beside,
    reshaped_value,
    settled,
    unbatched,
)

SingleRule = Callable[[RuleCall], GraphValue]


def _by_layer(make: Callable[..., Any], *args: Any, **kwargs: Any) -> SingleRule:
    """Make the rule for an operator that treats every value alike, by a layer."""

    def rule(op: RuleCall) -> GraphValue:
        value = op.value(0)
        return value.now(make(*args, **kwargs, name=op.name)(value.tensor))

    return rule


def _by_function(function: Callable[..., Any], *args: Any, **kwargs: Any) -> SingleRule:
    """Make the rule for an operator that treats every value alike, by a function of `keras.ops`."""

    def rule(op: RuleCall) -> GraphValue:
        value = op.value(0)
        return value.now(op.named(function(value.tensor, *args, **kwargs)))

    return rule


def _leaky_relu(op: RuleCall) -> GraphValue:
    return _by_layer(layers.LeakyReLU, negative_slope=float(op.option("alpha", 0.0)))(op)


def _gelu(op: RuleCall) -> GraphValue:
    if op.option("approximate"):
        return _by_function(ops.gelu, approximate=True)(op)
    return _by_layer(layers.Activation, "gelu")(op)


def _prelu(op: RuleCall) -> GraphValue:
    value, alpha = constant_beside(op.value(0), op.constant(1), op.name)
    sizes = value.tensor.shape[1:]
    if any(a not in (1, d) for a, d in zip(alpha.shape, sizes, strict=True)):
        raise NoRule(f"its slopes have shape {alpha.shape} for {sizes}")
    shared = [i for i, (a, d) in enumerate(zip(alpha.shape, sizes, strict=True), 1) if a == 1 != d]
    layer = layers.PReLU(shared_axes=shared or None, name=op.name)
    result = layer(value.tensor)
    layer.set_weights([alpha])
    return value.now(result)


_MERGES = {
    "add": layers.Add, "subtract": layers.Subtract, "multiply": layers.Multiply,
    "maximum": layers.Maximum, "minimum": layers.Minimum,
}  # fmt: skip
_COMPARISONS = {
    "equal": ops.equal, "not_equal": ops.not_equal, "greater": ops.greater, "greater_equal": ops.greater_equal,
    "less": ops.less, "less_equal": ops.less_equal, "logical_and": ops.logical_and, "logical_or": ops.logical_or,
}  # fmt: skip
_OPERATIONS = {**BINARY_OPERATIONS, **_COMPARISONS}


def _arithmetic(operation: str) -> SingleRule:
    """Make the rule for an operator of two inputs that are broadcast; either may be constant."""

    def rule(op: RuleCall) -> GraphValue:
        constant_at = next((i for i in (0, 1) if isinstance(op.inputs[i], np.ndarray)), None)
        if constant_at is None:
            a, b = aligned(op.value(0), op.value(1), op.name)
            result = _of_two(op, operation, a.tensor, b.tensor)
            larger = a if len(a.order) >= len(b.order) else b
            return larger.now(op.activated(result))
        value, constant = constant_beside(op.value(1 - constant_at), op.constant(constant_at), op.name)
        return value.now(op.activated(_with_constant(op, operation, value, constant, constant_at == 0)))

    return rule


def _of_two(op: RuleCall, operation: str, x: Tensor, y: Tensor) -> Tensor:
    """Return what an operation makes of two tensors that are broadcast."""
    if operation == "add" and x.shape != y.shape:
        # Keras takes a second term with one dimension above 1 for a bias of channels, whatever dimension that is.
        whole = np.broadcast_shapes(x.shape[1:], y.shape[1:])
        if whole not in (x.shape[1:], y.shape[1:]):
            return op.named(ops.subtract(x, op.named(ops.negative(y), ".negative")))
        x, y = (y, x) if x.shape[1:] == whole else (x, y)
    if operation in _MERGES and x is not y:
        return _MERGES[operation](name=op.name)([x, y])
    return op.named(_OPERATIONS[operation](x, y))


def _with_constant(op: RuleCall, operation: str, value: GraphValue, constant: NDArray[Any], first: bool) -> Any:
    """Return what an operation makes of a tensor and a constant that is broadcast with it, without a batch."""
    sizes = value.tensor.shape[1:]
    if constant.size == 1:
        number = float(constant.ravel()[0])
        if operation == "multiply":
            return layers.Rescaling(number, name=op.name)(value.tensor)
        pair = (number, value.tensor) if first else (value.tensor, number)
        return op.named(_OPERATIONS[operation](*pair))
    if operation not in _COMPARISONS and all(c in (1, d) for c, d in zip(constant.shape, sizes, strict=True)):
        follows = [c == d for c, d in zip(constant.shape, sizes, strict=True)]
        return with_constant(value.tensor, ConstantOperand(operation, follows, first, name=op.name), constant)
    beside = op.given(constant[np.newaxis]).tensor
    return _of_two(op, operation, *((beside, value.tensor) if first else (value.tensor, beside)))


def _brought_together(op: RuleCall, values: list[GraphValue]) -> list[GraphValue]:
    """Return values whose Keras tensors can be broadcast together, and whose dimensions are in one order."""
    rank = max(len(v.order) for v in values)
    for i, v in enumerate(values):
        if len(v.order) < rank:
            v = settled(v, f"{op.name}.turned{i}")
            values[i] = reshaped_value(v, (1,) * (rank - len(v.order)) + v.shape, f"{op.name}.rank{i}")
    values = alike(values, op.name)
    if len({v.batched for v in values}) > 1:
        values = [unbatched(v, f"{op.name}.whole{i}") for i, v in enumerate(values)]
    return values


def _or_given(op: RuleCall, i: int) -> GraphValue:
    """Return an input as a value of the graph, also if it is constant."""
    return replace(op, name=f"{op.name}.{i}").value(i)


def _select(op: RuleCall) -> GraphValue:
    shapes = {np.shape(x) if isinstance(x, np.ndarray) else x.shape for x in op.inputs if x is not None}
    if op.kind == "SELECT" and len(shapes) > 1:
        raise NoRule(f"it chooses whole rows: its inputs have shapes {', '.join(map(str, sorted(shapes)))}")
    numbers = {i: x.item() for i, x in enumerate(op.inputs) if isinstance(x, np.ndarray) and x.size == 1}
    places = [i for i in range(3) if i not in numbers]
    values = _brought_together(op, [_or_given(op, i) for i in places])
    tensors = {**numbers, **{i: v.tensor for i, v in zip(places, values, strict=True)}}
    condition = tensors[0]
    if 0 in places and condition.dtype != "bool":  # a constant of the file, which layers keep as numbers
        condition = op.named(ops.cast(condition, "bool"), ".condition")
    return canonical(values[0].now(op.named(ops.where(condition, tensors[1], tensors[2]))), f"{op.name}.batch")


def _sum_of_all(op: RuleCall) -> GraphValue:
    first, *others = _brought_together(op, [_or_given(op, i) for i in range(len(op.inputs))])
    total = first.tensor
    for i, value in enumerate(others, 1):
        total = op.named(ops.add(total, value.tensor), "" if i == len(others) else f".{i}")
    return first.now(total)


def _cast(op: RuleCall) -> GraphValue:
    value = op.value(0)
    if op.dtype.startswith("float") and value.tensor.dtype.startswith("float"):
        return value
    return value.now(op.named(ops.cast(value.tensor, "float32" if op.dtype.startswith("float") else op.dtype)))


def _squared_difference(op: RuleCall) -> GraphValue:
    value = _arithmetic("subtract")(op)
    return value.now(op.named(ops.square(value.tensor), ".square"))


ARITHMETIC_RULES: dict[str, Rule] = {
    "ADD": _arithmetic("add"),
    "SUB": _arithmetic("subtract"),
    "MUL": _arithmetic("multiply"),
    "DIV": _arithmetic("divide"),
    "MAXIMUM": _arithmetic("maximum"),
    "MINIMUM": _arithmetic("minimum"),
    "POW": _arithmetic("power"),
    "SQUARED_DIFFERENCE": _squared_difference,
    "ADD_N": _sum_of_all,
    "EQUAL": _arithmetic("equal"),
    "NOT_EQUAL": _arithmetic("not_equal"),
    "GREATER": _arithmetic("greater"),
    "GREATER_EQUAL": _arithmetic("greater_equal"),
    "LESS": _arithmetic("less"),
    "LESS_EQUAL": _arithmetic("less_equal"),
    "LOGICAL_AND": _arithmetic("logical_and"),
    "LOGICAL_OR": _arithmetic("logical_or"),
    "LOGICAL_NOT": _by_function(ops.logical_not),
    "SELECT": _select,
    "SELECT_V2": _select,
    "RELU": _by_layer(layers.ReLU),
    "RELU6": _by_layer(layers.ReLU, 6.0),
    "RELU_N1_TO_1": _by_function(ops.clip, -1.0, 1.0),
    "RELU_0_TO_1": _by_function(ops.clip, 0.0, 1.0),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _prelu,
    "ELU": _by_layer(layers.ELU),
    "GELU": _gelu,
    "HARD_SWISH": _by_layer(layers.Activation, "hard_silu"),
    "LOGISTIC": _by_layer(layers.Activation, "sigmoid"),
    "TANH": _by_layer(layers.Activation, "tanh"),
    "ABS": _by_function(ops.abs),
    "NEG": _by_function(ops.negative),
    "EXP": _by_function(ops.exp),
    "LOG": _by_function(ops.log),
    "SQRT": _by_function(ops.sqrt),
    "RSQRT": _by_function(ops.rsqrt),
    "SQUARE": _by_function(ops.square),
    "FLOOR": _by_function(ops.floor),
    "CEIL": _by_function(ops.ceil),
    "ROUND": _by_function(ops.round),
    "SIN": _by_function(ops.sin),
    "COS": _by_function(ops.cos),
    "SIGN": _by_function(ops.sign),
    "CAST": _cast,
}
