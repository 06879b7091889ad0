"""How far tensors are from what is wanted, relative to what varies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

_LEAST_VARIANCE = 1e-6  # of a target that is (almost) constant


def relative_error(outputs: Sequence[Any], targets: Sequence[Any], chunks: int | None = None) -> Any:
    """Return the mean squared error over the variance of the target: 0 is perfect, 1 is what a constant has.

    Args:
        outputs: tensors of shape (n, ...); of several, the mean of their errors is returned.
        targets: what they should be, shape by shape.
        chunks: number of equal parts that the n items are divided into. The error of each is returned, shape
            (chunks,), over the variance of the whole target; without `chunks` one error for all, a scalar.
    """
    parts = []
    for output, target in zip(outputs, targets, strict=True):
        output, target = ops.cast(output, "float32"), ops.cast(target, "float32")
        squares = ops.square(output - target)
        mean = ops.mean(squares) if chunks is None else ops.mean(ops.reshape(squares, (chunks, -1)), axis=1)
        parts.append(mean / ops.maximum(ops.var(target), _LEAST_VARIANCE))
    return sum(parts) / len(parts)
