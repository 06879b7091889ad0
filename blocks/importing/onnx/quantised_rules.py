"""Rules for ONNX operators over integers: they become those over the real numbers that the integers stand for.

ONNX Runtime quantises files in three ways. Between `QuantizeLinear` and `DequantizeLinear` operators stay as they were
(`element_rules`); or operators take integers with a scale and a zero point each; or integers are made of what comes
while the model runs, and multiplied back afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.call import OnnxCall
from legodnn.blocks.importing.onnx.constants import computed
from legodnn.blocks.importing.onnx.element_rules import ONNX_ELEMENT_RULES, dequantised
from legodnn.blocks.importing.onnx.file import OnnxNode
from legodnn.blocks.importing.onnx.image_rules import ONNX_IMAGE_RULES
from legodnn.blocks.importing.onnx.pool_rules import POOL_RULES
from legodnn.blocks.importing.onnx.weight_rules import ONNX_WEIGHT_RULES, OnnxRule
from legodnn.blocks.importing.tflite.call import FileInput, NoRule
from legodnn.blocks.importing.tflite.values import GraphValue

REAL_RULES: dict[str, OnnxRule] = {**ONNX_WEIGHT_RULES, **POOL_RULES, **ONNX_IMAGE_RULES, **ONNX_ELEMENT_RULES}


def _real(op: OnnxCall, at: int, axis: int = -1) -> FileInput:
    """Return input `at` as real numbers; the next two inputs are its scales, along `axis`, and zero points."""
    found = op.inputs[at]
    if not isinstance(found, np.ndarray):
        return dequantised(op, at)
    shape = [1] * found.ndim
    scales, zeros = op.constant(at + 1), op.constant(at + 2) if op.has(at + 2) else np.zeros((), np.uint8)
    if scales.size > 1:
        shape[axis] = scales.size
    zero = zeros.reshape(shape if zeros.size > 1 else ()).astype(np.float64)
    return np.asarray((found - zero) * scales.astype(np.float64).reshape(shape), np.float32)


def _bias(op: OnnxCall, at: int) -> FileInput:
    """Return a bias of integers as real numbers; it has the scale of a product of both matrices."""
    if not op.has(at):
        return None
    return np.asarray(op.constant(at) * op.constant(1).astype(np.float64) * op.constant(4).ravel(), np.float32)


def _by_real(op: OnnxCall, kind: str, inputs: list[FileInput], rounded_at: int | None) -> FileInput:
    """Return what the operator over real numbers gives, without what rounding it to integers would cut off.

    Args:
        op: the node.
        kind: the operator over real numbers.
        inputs: what that reads.
        rounded_at: the number of the input that is the output's scale, its zero point behind it; None if it has none.
    """
    if op.attributes.get("channels_last", 0):
        raise NoRule("its images have their channels last")
    if not any(isinstance(x, GraphValue) for x in inputs):
        return _of_constants(op, kind, [x for x in inputs if isinstance(x, np.ndarray)], rounded_at)
    if rounded_at is None or not op.has(rounded_at):
        return REAL_RULES[kind](replace(op, kind=kind, inputs=inputs))  # type: ignore[return-value]
    real = replace(op, kind=kind, name=f"{op.name}.real", key=(op.key, "real"), inputs=inputs)
    scales = [op.inputs[i] if op.has(i) else None for i in (rounded_at, rounded_at + 1)]
    rounded = replace(op, inputs=[REAL_RULES[kind](real), *scales], positive=False)  # type: ignore[list-item]
    return ONNX_ELEMENT_RULES["QuantizeLinear"](rounded)  # type: ignore[return-value]


def _of_constants(op: OnnxCall, kind: str, inputs: list[NDArray[Any]], rounded_at: int | None) -> FileInput:
    """Return the integers that an operator of constants gives, since what reads them takes them for those."""
    from onnx import helper

    named = {f"x{i}": x for i, x in enumerate(inputs)}
    proto = helper.make_node(kind, [*named], ["y"], **op.attributes)
    found = computed(OnnxNode(0, kind, tuple(named), ("y",), op.attributes, proto), named, op.opset)[0]
    if rounded_at is None or not op.has(rounded_at):
        return found
    zero = op.constant(rounded_at + 1)
    limits = np.iinfo(zero.dtype)
    return np.asarray(np.clip(np.round(found / op.constant(rounded_at)) + zero, limits.min, limits.max), zero.dtype)


def _of_two(kind: str, axis: int = -1, bias_at: int | None = None) -> OnnxRule:
    """Make the rule for an operator of two inputs, whose second may have scales along an axis."""

    def rule(op: OnnxCall) -> FileInput:
        along = 0 if op.attributes.get("transB", 0) else axis
        bias = [] if bias_at is None else [_bias(op, bias_at)]
        rounded_at = 7 if bias_at == 6 else 6
        return _by_real(op, kind, [_real(op, 0), _real(op, 3, along), *bias], rounded_at)

    return rule


def _of_one(kind: str) -> OnnxRule:
    """Make the rule for an operator of one input."""
    return lambda op: _by_real(op, kind, [_real(op, 0)], 3)


def _joined(op: OnnxCall) -> FileInput:
    return _by_real(op, "Concat", [_real(op, i) for i in range(2, len(op.inputs), 3)], 0)


def _made_while_running(op: OnnxCall) -> list[FileInput]:
    """Values stay real numbers, so their scale is 1, and their zero point 0."""
    return [op.value(0), np.ones((), np.float32), np.zeros((), np.uint8)]


def _of_integers(kind: str, axis: int) -> OnnxRule:
    """Make the rule for a product with weights of integers, which have zero points along an axis, and no scale yet."""

    def rule(op: OnnxCall) -> FileInput:
        zeros = op.constant(3) if op.has(3) else np.zeros((), np.uint8)
        weights: list[Any] = [op.constant(1), np.ones(zeros.size, np.float32), zeros]
        return _by_real(op, kind, [dequantised(op), _real(replace(op, inputs=weights), 0, axis)], None)

    return rule


QUANTISED_RULES: dict[str, OnnxRule] = {
    "QLinearConv": _of_two("Conv", 0, bias_at=8),
    "QLinearMatMul": _of_two("MatMul"),
    "DynamicQuantizeLinear": _made_while_running,
    "ConvInteger": _of_integers("Conv", 0),
    "MatMulInteger": _of_integers("MatMul", -1),
    "com.microsoft.QGemm": _of_two("Gemm", bias_at=6),
    "com.microsoft.QLinearAdd": _of_two("Add"),
    "com.microsoft.QLinearMul": _of_two("Mul"),
    "com.microsoft.QLinearAveragePool": _of_one("AveragePool"),
    "com.microsoft.QLinearConcat": _joined,
    "com.microsoft.QLinearGlobalAveragePool": _of_one("GlobalAveragePool"),
    "com.microsoft.QLinearLeakyRelu": _of_one("LeakyRelu"),
    "com.microsoft.QLinearReduceMean": _of_one("ReduceMean"),
    "com.microsoft.QLinearSigmoid": _of_one("Sigmoid"),
    "com.microsoft.QLinearSoftmax": _of_one("Softmax"),
}
