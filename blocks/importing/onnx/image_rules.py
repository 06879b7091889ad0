"""Rules for ONNX operators over pixels of images or over channels: padding, resizing, softmax, reductions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.call import OnnxCall, channels_first, channels_last
from legodnn.blocks.importing.onnx.weight_rules import OnnxRule
from legodnn.blocks.importing.onnx.windows import (
    in_shape,
)
from legodnn.blocks.importing.tflite.call import NoRule
from legodnn.blocks.importing.tflite.values import GraphValue

_REFLECT, _SYMMETRIC = 0, 1  # numbers of modes of MIRROR_PAD


def _reduction(kind: str, first: int | None = None) -> Callable[[OnnxCall], GraphValue]:
    """Make the rule for a reduction; over the dimensions from `first` on where it always is over these."""

    def rule(op: OnnxCall) -> GraphValue:
        value = op.value(0)
        rank = len(value.order)
        if first is not None:
            over, keep = list(range(first, rank)), True
        else:
            given, keep = op.setting(1, "axes"), bool(op.attributes.get("keepdims", 1))
            if not given and op.attributes.get("noop_with_empty_axes", 0):
                return value
            over = [op.axis(int(a), rank) for a in np.ravel(given)] if given else list(range(rank))
        found: GraphValue = op.run(kind, value, np.array(over, np.int32), keep_dims=keep)
        return found

    return rule


def _length(op: OnnxCall) -> GraphValue:
    """The square root of a sum of squares."""
    squares = op.run("SQUARE", op.value(0), ending=".squares")
    summed = _reduction("SUM")(replace(op, name=f"{op.name}.sum", inputs=[squares, *op.inputs[1:]]))
    found: GraphValue = op.run("SQRT", summed)
    return found


def _over_axis(kind: str, default: int) -> Callable[[OnnxCall], GraphValue]:
    """Make the rule for an operator over one dimension. Before version 13 softmaxes were over all that follow, too."""

    def rule(op: OnnxCall) -> GraphValue:
        value = op.value(0)
        old = kind != "L2_NORMALIZATION" and op.opset < 13
        axis = op.axis(int(op.attributes.get("axis", 1 if old else default)), len(value.order))
        if old and axis < len(value.order) - 1 and any(d != 1 for d in value.shape[axis + 1 :]):
            raise NoRule(f"it is over dimensions {axis} to the last of {value.shape} together")
        return op.over_last(value, axis, lambda last: op.run(kind, last))

    return rule


def _unit_length(op: OnnxCall) -> GraphValue:
    if op.attributes.get("p", 2) != 2:
        raise NoRule(f"it norms by p = {op.attributes['p']}")
    return _over_axis("L2_NORMALIZATION", -1)(op)


def _pad(op: OnnxCall) -> GraphValue:
    value, mode = op.value(0), op.attributes.get("mode", "constant")
    rank, given = len(value.order), [int(n) for n in op.setting(1, "pads")]
    axes = [op.axis(int(a), rank) for a in (op.constant(3) if op.has(3) else range(rank))]
    added = np.zeros((rank, 2), np.int32)
    for axis, first, last in zip(axes, given, given[len(axes) :], strict=False):
        added[axis] = first, last
    number = float(np.ravel(op.setting(2, "value", 0.0))[0])
    if mode == "constant":
        extra = [] if number == 0 else [np.array(number, np.float32)]
        found: GraphValue = op.run("PADV2" if extra else "PAD", value, added, *extra)
    elif mode == "reflect" or (mode == "edge" and added.max() <= 1):
        found = op.run("MIRROR_PAD", value, added, mode=_REFLECT if mode == "reflect" else _SYMMETRIC)
    else:
        raise NoRule(f"it pads in mode {mode!r}")
    return found


def _resize(op: OnnxCall) -> GraphValue:
    value = op.value(0)
    shape = value.shape
    scales_at = 1 if op.kind == "Upsample" or op.opset < 11 else 2
    if op.has(3) and len(sizes := op.constant(3)):
        wanted = [int(n) for n in sizes]
        scales = [w / d for w, d in zip(wanted, shape, strict=False)]
    else:
        scales = [float(s) for s in op.setting(scales_at, "scales", ())]
        wanted = [floor(d * s) for d, s in zip(shape, scales, strict=False)]
    if len(shape) != 4 or len(wanted) != 4 or tuple(wanted[:2]) != shape[:2] or op.attributes.get("axes"):
        raise NoRule(f"it makes {wanted} of {shape}")
    if op.attributes.get("antialias", 0):
        raise NoRule("it smooths before it makes images smaller")
    old = op.kind == "Upsample" or op.opset < 11
    how = "asymmetric" if old else op.attributes.get("coordinate_transformation_mode", "half_pixel")
    mode = op.attributes.get("mode", "nearest")
    rounding = "floor" if old else op.attributes.get("nearest_mode", "round_prefer_floor")
    places = [_places(how, *each) for each in zip(shape[2:], wanted[2:], scales[2:], strict=True)]
    size = np.array(wanted[2:], np.int32)
    for corners, centres in ((False, True), (True, False), (False, False)):
        found = [_in_tensorflow(*each, corners, centres) for each in zip(shape[2:], wanted[2:], strict=True)]
        if mode == "linear" and all(np.allclose(a, b, atol=1e-5) for (a, _), b in zip(found, places, strict=True)):
            kind = "RESIZE_BILINEAR"
        elif mode == "nearest" and all(
            np.array_equal(n, _nearest(rounding, b, d)) for (_, n), b, d in zip(found, places, shape[2:], strict=True)
        ):
            kind = "RESIZE_NEAREST_NEIGHBOR"
        else:
            continue
        image = op.run(kind, channels_last(value), size, align_corners=corners, half_pixel_centers=centres)
        return channels_first(image)
    raise NoRule(f"it resizes {shape[2:]} to {wanted[2:]} by {mode}, {how}, {rounding}, as TensorFlow cannot")


def _places(how: str, size: int, wanted: int, scale: float) -> NDArray[np.float64]:
    """Return where the pixels of a resized row lie in the row that they are made of."""
    i = np.arange(wanted, dtype=np.float64)
    if how == "align_corners":
        found = i * (size - 1) / (wanted - 1) if wanted > 1 else 0 * i
    elif how == "asymmetric":
        found = i / scale
    elif how == "half_pixel" or (how == "pytorch_half_pixel" and wanted > 1):
        found = (i + 0.5) / scale - 0.5
    elif how == "pytorch_half_pixel":
        found = 0 * i
    else:
        raise NoRule(f"its pixels lie as by {how!r}")
    return np.clip(found, 0, size - 1)


def _nearest(rounding: str, places: NDArray[np.float64], size: int) -> NDArray[Any]:
    functions: dict[str, Callable[[Any], Any]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if rounding not in functions:
        raise NoRule(f"it rounds by {rounding!r}")
    found: NDArray[Any] = np.clip(functions[rounding](places), 0, size - 1)
    return found


def _in_tensorflow(size: int, wanted: int, corners: bool, centres: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return where pixels of a row lie in TensorFlow's resizing, and which pixel is nearest to each there."""
    scale = (size - 1) / (wanted - 1) if corners and wanted > 1 else size / wanted
    i = np.arange(wanted, dtype=np.float64)
    if centres:
        exact = (i + 0.5) * scale
        return np.clip(exact - 0.5, 0, size - 1), np.clip(np.floor(exact), 0, size - 1)
    exact = i * scale
    return np.clip(exact, 0, size - 1), np.clip(np.floor(exact + 0.5) if corners else np.floor(exact), 0, size - 1)


def _depth_to_space(op: OnnxCall) -> GraphValue:
    value, block = op.value(0), int(op.attributes["blocksize"])
    channels = value.shape[1] // (block * block) if len(value.shape) == 4 and block > 0 else 0
    if not channels:
        raise NoRule(f"its input has shape {value.shape} for blocks of {block}")
    if op.attributes.get("mode", "DCR") == "CRD":  # channels in the order that TensorFlow has
        order = np.arange(value.shape[1]).reshape(channels, block, block).transpose(1, 2, 0).ravel()
        value = channels_first(
            op.run("GATHER", channels_last(value), order.astype(np.int32), ending=".ordered", axis=3)
        )
    return channels_first(op.run("DEPTH_TO_SPACE", channels_last(value), block=block))


def _space_to_depth(op: OnnxCall) -> GraphValue:
    block = int(op.attributes["blocksize"])
    return channels_first(op.run("SPACE_TO_DEPTH", channels_last(op.value(0)), block=block))


def _flatten(op: OnnxCall) -> GraphValue:
    value = op.value(0)
    axis = int(op.attributes.get("axis", 1))
    axis = axis % len(value.shape) if axis < 0 else axis
    first, rest = (int(np.prod(part)) for part in (value.shape[:axis], value.shape[axis:]))
    return in_shape(op, value, (first, rest))


ONNX_IMAGE_RULES: dict[str, OnnxRule] = {
    "GlobalAveragePool": _reduction("MEAN", 2),
    "GlobalMaxPool": _reduction("REDUCE_MAX", 2),
    "ReduceMean": _reduction("MEAN"),
    "ReduceSum": _reduction("SUM"),
    "ReduceMax": _reduction("REDUCE_MAX"),
    "ReduceMin": _reduction("REDUCE_MIN"),
    "ReduceProd": _reduction("REDUCE_PROD"),
    "ReduceL2": _length,
    "Softmax": _over_axis("SOFTMAX", -1),
    "LogSoftmax": _over_axis("LOG_SOFTMAX", -1),
    "LpNormalization": _unit_length,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Flatten": _flatten,
}
