"""How far tensors are from what is wanted, relative to what varies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops


def relative_error(outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
    """Mean squared error over the variance of the target: 0 is perfect, 1 is what a constant has.

    Where a block has several outputs, their mean.
    """
    parts = []
    for output, target in zip(outputs, targets, strict=True):
        output, target = ops.cast(output, "float32"), ops.cast(target, "float32")
        parts.append(ops.mean(ops.square(output - target)) / ops.maximum(ops.var(target), 1e-6))
    return sum(parts) / len(parts)
