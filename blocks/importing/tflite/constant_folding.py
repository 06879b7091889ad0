"""Constants of a `.tflite` file as the numbers that they stand for."""

from __future__ import annotations

import numpy as np

from legodnn.blocks.importing.tflite.file import ForeignTensor
from legodnn.errors import ModelError
from legodnn.runtime.tflite.constant_folding import Constant


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
