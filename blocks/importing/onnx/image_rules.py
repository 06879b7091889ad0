"""Rules for ONNX operators over pixels of images or over channels: padding, resizing, softmax, reductions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.call import OnnxCall, channels_first, channels_last
from legodnn.blocks.importing.onnx.resizing import resized, resizing_of
from legodnn.blocks.importing.onnx.weight_rules import OnnxRule
from legodnn.blocks.importing.onnx.windows import REFLECT, SYMMETRIC, in_shape
from legodnn.blocks.importing.tflite.call import FileInput, NoRule
from legodnn.blocks.importing.tflite.values import GraphValue, settled

_MOST_EDGES = 8  # pixels that are added by repeating the edge, one after another


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
    if added.min() < 0:
        value = _without_edges(op, value, np.minimum(added, 0))
        added = np.maximum(added, 0)
    number = float(np.ravel(op.setting(2, "value", 0.0))[0])
    if mode == "constant":
        extra = [] if number == 0 else [np.array(number, np.float32)]
        found: GraphValue = op.run("PADV2" if extra else "PAD", value, added, *extra)
    elif mode == "reflect":
        found = op.run("MIRROR_PAD", value, added, mode=REFLECT)
    elif mode == "edge" and added.max() <= _MOST_EDGES:  # a mirror that adds one pixel repeats the edge
        found = value
        for done in range(int(added.max())):
            found = op.run("MIRROR_PAD", found, added > done, ending=f".{done}" if done else "", mode=SYMMETRIC)
    else:
        raise NoRule(f"it pads in mode {mode!r}")
    return found


def _without_edges(op: OnnxCall, value: GraphValue, added: NDArray[np.int32]) -> GraphValue:
    """Return a value without what negative paddings cut off."""
    sizes = np.array(value.shape) + added.sum(axis=1)
    if sizes.min() < 1:
        raise NoRule(f"it takes nothing of {value.shape}")
    found: GraphValue = op.run("SLICE", value, -added[:, 0], sizes.astype(np.int32), ending=".cut")
    return found


def _resize(op: OnnxCall) -> FileInput:
    """By an operator of TensorFlow Lite where that has the same pixels; else each dimension is a dense layer."""
    if isinstance(op.inputs[0], np.ndarray):
        return resized(resizing_of(op, op.constant(0).shape), op.constant(0))
    value = op.value(0)
    shape = value.shape
    told = resizing_of(op, shape)
    if len(shape) != 4 or told.wanted[:2] != shape[:2] or not value.batched:
        raise NoRule(f"it makes {list(told.wanted)} of {shape}")
    size = np.array(told.wanted[2:], np.int32)
    for corners, centres in ((False, True), (True, False), (False, False)):
        found = [_in_tensorflow(shape[axis], told.wanted[axis], corners, centres) for axis in (2, 3)]
        if told.mode == "linear" and all(
            np.allclose(a, np.clip(told.places(shape[axis], axis), 0, shape[axis] - 1), atol=1e-5)
            for axis, (a, _) in zip((2, 3), found, strict=True)
        ):
            kind = "RESIZE_BILINEAR"
        elif told.mode == "nearest" and all(
            np.array_equal(n, told.nearest(shape[axis], axis)) for axis, (_, n) in zip((2, 3), found, strict=True)
        ):
            kind = "RESIZE_NEAREST_NEIGHBOR"
        else:
            continue
        image = op.run(kind, channels_last(value), size, align_corners=corners, half_pixel_centers=centres)
        return channels_first(image)
    for axis, name in ((2, f"{op.name}.high"), (3, op.name)):
        each = replace(op, name=name, key=(op.key, shape, axis))
        value = each.over_last(value, axis, partial(_dense, each, told.shares(shape[axis], axis)))
    return channels_first(settled(channels_last(value), f"{op.name}.image"))


def _dense(op: OnnxCall, kernel: NDArray[Any], value: GraphValue) -> GraphValue:
    found: GraphValue = op.run("FULLY_CONNECTED", value, kernel, None, keep_dims=True)
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
