"""Operators of a `.tflite` file whose inputs are all constant: they are computed once, by numpy.

Such are the dequantisation of weights, and the arithmetic by which converters compute shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.runtime.tflite.model_file import Refused

MOST_CONSTANT_ELEMENTS = 1 << 28  # of a constant

Constant = NDArray[Any]
Fold = Callable[[Sequence[Constant], Mapping[str, Any]], Constant]


def fold(kind: str, inputs: Sequence[Constant], options: Mapping[str, Any], dtype: str) -> Constant:
    """Return the output of an operator whose inputs are all constant.

    Args:
        kind: the operator's name in the format.
        inputs: its inputs.
        options: its options by name.
        dtype: the type of its output in the file.

    Raises:
        Refused: there is no rule for such an operator, or the result would be too large.
    """
    if kind not in FOLDS:
        raise Refused("all its inputs are constant")
    result = np.asarray(FOLDS[kind](inputs, options))
    if result.size > MOST_CONSTANT_ELEMENTS:
        raise Refused(f"it makes a constant of shape {result.shape}")
    if dtype in ("int32", "int64") and result.dtype.kind in "iufb":
        return result.astype(dtype)
    return result.astype(np.float32) if result.dtype.kind == "f" else result


def _limited(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape, unless an array of it would be too large."""
    found = tuple(int(d) for d in shape)
    if prod(found) > MOST_CONSTANT_ELEMENTS or min(found, default=0) < 0:
        raise Refused(f"it makes a constant of shape {found}")
    return found


def _row(values: Constant) -> list[int]:
    return [int(v) for v in np.ravel(values)]


def _strided(xs: Sequence[Constant], o: Mapping[str, Any]) -> Constant:
    x, begin, end, steps = xs[0], *(_row(v) for v in xs[1:4])
    if any(o.get(mask) for mask in ("ellipsis_mask", "new_axis_mask", "offset")):
        raise Refused("it slices with an ellipsis, a new axis or offsets")
    key: list[Any] = []
    for i in range(len(begin)):
        if o.get("shrink_mask", 0) >> i & 1:
            key.append(begin[i])
        else:
            first = None if o.get("begin_mask", 0) >> i & 1 else begin[i]
            key.append(slice(first, None if o.get("end_mask", 0) >> i & 1 else end[i], steps[i]))
    return np.asarray(x[tuple(key)])


def _slice_of(xs: Sequence[Constant], o: Mapping[str, Any]) -> Constant:
    begin, size = _row(xs[1]), _row(xs[2])
    return np.asarray(xs[0][tuple(slice(b, b + s if s >= 0 else None) for b, s in zip(begin, size, strict=True))])


def _range(xs: Sequence[Constant], o: Mapping[str, Any]) -> Constant:
    start, stop, step = (float(np.ravel(x)[0]) for x in xs)
    _limited([max(0, int((stop - start) / step))])
    return np.arange(start, stop, step)


FOLDS: dict[str, Fold] = {
    **dict.fromkeys(("DEQUANTIZE", "QUANTIZE", "DENSIFY", "CAST"), lambda xs, o: xs[0]),
    "RESHAPE": lambda xs, o: xs[0].reshape(_row(xs[1] if len(xs) > 1 else o["shape"])),
    "TRANSPOSE": lambda xs, o: xs[0].transpose(_row(xs[1])),
    "EXPAND_DIMS": lambda xs, o: np.expand_dims(xs[0], int(np.ravel(xs[1])[0])),
    "SQUEEZE": lambda xs, o: np.squeeze(xs[0], None if o.get("dims") is None else tuple(_row(o["dims"])) or None),
    "CONCATENATION": lambda xs, o: np.concatenate(xs, o["axis"]),
    "PACK": lambda xs, o: np.stack(xs, o["axis"]),
    "GATHER": lambda xs, o: np.take(xs[0], xs[1], o["axis"]),
    "SLICE": _slice_of,
    "STRIDED_SLICE": _strided,
    "FILL": lambda xs, o: np.full(_limited(_row(xs[0])), np.ravel(xs[1])[0]),
    "BROADCAST_TO": lambda xs, o: np.broadcast_to(xs[0], _limited(_row(xs[1]))),
    "RANGE": _range,
    "ADD": lambda xs, o: xs[0] + xs[1],
    "SUB": lambda xs, o: xs[0] - xs[1],
    "MUL": lambda xs, o: xs[0] * xs[1],
    "DIV": lambda xs, o: xs[0] / xs[1],
    "FLOOR_DIV": lambda xs, o: xs[0] // xs[1],
    "MAXIMUM": lambda xs, o: np.maximum(xs[0], xs[1]),
    "MINIMUM": lambda xs, o: np.minimum(xs[0], xs[1]),
    "NEG": lambda xs, o: -xs[0],
    "SQRT": lambda xs, o: np.sqrt(xs[0]),
    "RSQRT": lambda xs, o: 1 / np.sqrt(xs[0]),
    "REDUCE_PROD": lambda xs, o: np.prod(xs[0], tuple(_row(xs[1])), keepdims=bool(o.get("keep_dims"))),
}  # fmt: skip
