"""Rules for ONNX operators over pixels of images or over channels: pools, padding, resizing, softmax, reductions."""

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
    VALID,
    Window,
    as_before,
    as_image,
    in_shape,
    paddings,
    window_of,
)
from legodnn.blocks.importing.tflite.call import NoRule
from legodnn.blocks.importing.tflite.values import GraphValue

_REFLECT, _SYMMETRIC = 0, 1  # numbers of modes of MIRROR_PAD


def _pool(kind: str) -> OnnxRule:
    def rule(op: OnnxCall) -> GraphValue:
        before = op.value(0)
        if len(before.order) not in (3, 4) or not before.batched:
            raise NoRule(f"its input has shape {before.shape}, which is no image")
        if not op.alone:
            raise NoRule("it tells where the greatest values are")
        image = channels_last(as_image(op, before))
        window = _with_ceiling(op, window_of(op, before.shape[2:], tuple(op.attributes["kernel_shape"])))
        if set(window.dilations) != {1}:
            raise NoRule("its window is dilated")
        found = (_max_pool if kind == "MAX_POOL_2D" else _average_pool)(op, image, window)
        return as_before(op, channels_first(found), before)

    return rule


def _with_ceiling(op: OnnxCall, window: Window) -> Window:
    """Return a window with as much more after its images as the last, incomplete step takes where that counts."""
    if not op.attributes.get("ceil_mode", 0):
        return window
    pads = []
    for size, span, stride, (first, last) in zip(window.sizes, window.spans, window.strides, window.pads, strict=True):
        steps = -(-(size + first + last - span) // stride)
        if steps * stride >= size + first:  # it would begin behind the image
            steps -= 1
        pads.append((first, max(last, steps * stride + span - size - first)))
    return replace(window, pads=tuple(pads))


def _run_pool(op: OnnxCall, kind: str, image: GraphValue, window: Window, padding: int, ending: str = "") -> GraphValue:
    options: dict[str, Any] = {
        "padding": padding,
        "filter_h": window.kernel[0],
        "filter_w": window.kernel[1],
        **window.options(),
    }
    found: GraphValue = op.run(kind, image, ending=ending, **options)
    return found


def _max_pool(op: OnnxCall, image: GraphValue, window: Window) -> GraphValue:
    if any(map(any, window.pads)) and window.pads == window.same:
        return _run_pool(op, "MAX_POOL_2D", image, window, padding=0)
    if any(map(any, window.pads)):
        if op.positive:
            image = op.run("PAD", image, paddings(window.pads), ending=".padded")
        elif all(2 * max(pad) <= k for pad, k in zip(window.pads, window.kernel, strict=True)):
            # A window that reaches over the edge holds the pixels that are mirrored there: its maximum is the same.
            image = op.run("MIRROR_PAD", image, paddings(window.pads), ending=".padded", mode=_SYMMETRIC)
        else:
            lowest = np.float32(np.finfo(np.float32).min)
            image = op.run("PADV2", image, paddings(window.pads), np.array(lowest), ending=".padded")
    return _run_pool(op, "MAX_POOL_2D", image, window, VALID)


def _average_pool(op: OnnxCall, image: GraphValue, window: Window) -> GraphValue:
    included = bool(op.attributes.get("count_include_pad", 0))
    plain = not any(map(any, window.pads))
    if plain or (window.pads == window.same and not included):
        return _run_pool(op, "AVERAGE_POOL_2D", image, window, VALID if plain else 0)
    image = op.run("PAD", image, paddings(window.pads), ending=".padded")
    counts = _counts(window, _pads_given(op, window) if included else ((0, 0), (0, 0)))
    whole = int(np.prod(window.kernel))
    if (counts == whole).all():
        return _run_pool(op, "AVERAGE_POOL_2D", image, window, VALID)
    found = _run_pool(op, "AVERAGE_POOL_2D", image, window, VALID, ending=".whole")
    factors = (whole / counts).astype(np.float32)[np.newaxis, :, :, np.newaxis]
    scaled: GraphValue = op.run("MUL", found, factors)
    return scaled


def _pads_given(op: OnnxCall, window: Window) -> tuple[tuple[int, int], ...]:
    """Return the padding that counts in averages: what the file says, without what an incomplete step adds."""
    pads = [int(n) for n in op.attributes.get("pads") or ()]
    if not pads:
        return window.pads if op.attributes.get("auto_pad", "NOTSET").startswith("SAME") else ((0, 0), (0, 0))
    pairs = list(zip(pads, pads[len(pads) // 2 :], strict=False))
    return tuple([(0, 0), *pairs][-2:])


def _counts(window: Window, counted: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """Return how many pixels that count each step of a window holds, shape (height, width)."""
    rows = []
    for axis in (0, 1):
        first, last = window.pads[axis]
        row = np.zeros(first + window.sizes[axis] + last, np.int64)
        row[first - counted[axis][0] : first + window.sizes[axis] + counted[axis][1]] = 1
        k, s = window.kernel[axis], window.strides[axis]
        rows.append(np.array([row[i : i + k].sum() for i in range(0, len(row) - k + 1, s)]))
    return np.outer(*rows)


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
    "MaxPool": _pool("MAX_POOL_2D"),
    "AveragePool": _pool("AVERAGE_POOL_2D"),
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
