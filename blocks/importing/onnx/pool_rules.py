"""Rules for ONNX pools: windows that reach over the edges of images, or end in an incomplete step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.call import OnnxCall, channels_first, channels_last
from legodnn.blocks.importing.onnx.weight_rules import OnnxRule
from legodnn.blocks.importing.onnx.windows import (
    SAME,
    SYMMETRIC,
    VALID,
    Window,
    as_before,
    as_image,
    paddings,
    window_of,
)
from legodnn.blocks.importing.tflite.call import NoRule
from legodnn.blocks.importing.tflite.values import GraphValue


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
        return _run_pool(op, "MAX_POOL_2D", image, window, padding=SAME)
    if any(map(any, window.pads)):
        if op.positive:
            image = op.run("PAD", image, paddings(window.pads), ending=".padded")
        elif all(2 * max(pad) <= k for pad, k in zip(window.pads, window.kernel, strict=True)):
            # A window that reaches over the edge holds the pixels that are mirrored there: its maximum is the same.
            image = op.run("MIRROR_PAD", image, paddings(window.pads), ending=".padded", mode=SYMMETRIC)
        else:
            lowest = np.float32(np.finfo(np.float32).min)
            image = op.run("PADV2", image, paddings(window.pads), np.array(lowest), ending=".padded")
    return _run_pool(op, "MAX_POOL_2D", image, window, VALID)


def _average_pool(op: OnnxCall, image: GraphValue, window: Window) -> GraphValue:
    included = bool(op.attributes.get("count_include_pad", 0))
    plain = not any(map(any, window.pads))
    if plain or (window.pads == window.same and not included):
        return _run_pool(op, "AVERAGE_POOL_2D", image, window, VALID if plain else SAME)
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


POOL_RULES: dict[str, OnnxRule] = {
    "MaxPool": _pool("MAX_POOL_2D"),
    "AveragePool": _pool("AVERAGE_POOL_2D"),
}
