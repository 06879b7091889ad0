"""Constants of a `.tflite` file as the numbers that they stand for, and what operators make of constants alone."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.tflite.call import FileInput, NoRule, Rule, RuleCall
from legodnn.blocks.importing.tflite.file import ForeignTensor
from legodnn.blocks.importing.tflite.values import as_value
from legodnn.errors import ModelError
from legodnn.runtime.tflite.constant_folding import FOLDS, MOST_CONSTANT_ELEMENTS, Constant, fold
from legodnn.runtime.tflite.model_file import Refused


def real_values(tensor: ForeignTensor) -> Constant:
    """Return a constant as the numbers that it stands for: dequantised, and floats as float32.

    Raises:
        ModelError: the constant is damaged.
    """
    values = tensor.values()
    if not len(tensor.scales):
        return values.astype(np.float32) if values.dtype.kind == "f" else values
    scales, zeros, count = tensor.scales.astype(np.float64), tensor.zero_points.astype(np.float64), len(tensor.scales)
    if len(zeros) not in (0, 1, count) or values.dtype.kind not in "iu" or not np.isfinite(scales).all():
        raise ModelError(f"constant {tensor.name!r} of {tensor.dtype} has {count} scales and {len(zeros)} zero points")
    shape = [1] * values.ndim
    if count > 1:
        if not 0 <= tensor.axis < values.ndim or values.shape[tensor.axis] != count:
            raise ModelError(f"constant {tensor.name!r} of {values.shape} has {count} scales along axis {tensor.axis}")
        shape[tensor.axis] = count
    zero = zeros.reshape(shape) if len(zeros) == count else (zeros[0] if len(zeros) else 0.0)
    return ((values.astype(np.float64) - zero) * scales.reshape(shape)).astype(np.float32)


def of_constants(call: RuleCall, rule: Rule | None) -> list[Constant]:
    """Return what an operator gives whose inputs are all constant, such as a recurrent layer's first step.

    Numpy computes it where it is arithmetic of shapes or a conversion; otherwise the layers do that its rule makes.

    Raises:
        NoRule: there is no rule for such an operator, or the result would be too large.
    """
    if call.kind in FOLDS:
        try:
            return [fold(call.kind, [x for x in call.inputs if isinstance(x, np.ndarray)], call.options, call.dtype)]
        except Refused as e:
            raise NoRule(str(e)) from None
    inputs: list[FileInput] = list(call.inputs)
    place = next((i for i, x in enumerate(inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"), None)
    if place is None or rule is None:
        raise NoRule("all its inputs are constant")
    constant = np.asarray(inputs[place])
    batched = constant.shape[:1] == (1,)
    entry = keras.Input(constant.shape[1:] if batched else constant.shape)
    inputs[place] = as_value(entry, batched)
    results = rule(replace(call, inputs=inputs))
    values = results if isinstance(results, list) else [results]
    if any(np.prod(v.stored, dtype=object) > MOST_CONSTANT_ELEMENTS for v in values):
        raise NoRule(f"it makes a constant of shape {values[0].shape}")
    found = as_list(keras.Model(entry, [v.tensor for v in values])(constant if batched else constant[np.newaxis]))
    arrays = (np.asarray(y) if v.batched else np.asarray(y)[0] for y, v in zip(found, values, strict=True))
    return [y.transpose(v.order) for y, v in zip(arrays, values, strict=True)]
