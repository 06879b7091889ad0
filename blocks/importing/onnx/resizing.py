"""How ONNX resizes images: where each new pixel lies among the old ones, and how much of each of them it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Shape
from legodnn.blocks.importing.onnx.call import OnnxCall
from legodnn.blocks.importing.tflite.call import NoRule
from legodnn.runtime.tflite.constant_folding import MOST_CONSTANT_ELEMENTS


@dataclass(frozen=True)
class Resizing:
    """What a node `Resize` or `Upsample` is told.

    Attributes:
        mode: `nearest`, `linear` or `cubic`.
        how: where pixels lie: its coordinate transformation mode.
        rounding: which pixel is nearest.
        wanted: the new shape.
        scales: the new size over the old one in each dimension.
        curve: the coefficient a of cubic curves.
        inside: whether pixels outside the image count nothing; otherwise they repeat the edge.
    """

    mode: str
    how: str
    rounding: str
    wanted: Shape
    scales: tuple[float, ...]
    curve: float
    inside: bool

    def places(self, size: int, axis: int) -> NDArray[np.float64]:
        """Return where the new pixels along a dimension of `size` lie among the old ones."""
        wanted, scale = self.wanted[axis], self.scales[axis]
        i = np.arange(wanted, dtype=np.float64)
        if self.how == "align_corners":
            return i * (size - 1) / (wanted - 1) if wanted > 1 else 0 * i
        if self.how == "asymmetric":
            return i / scale
        if self.how == "half_pixel" or (self.how == "pytorch_half_pixel" and wanted > 1):
            return (i + 0.5) / scale - 0.5
        if self.how == "pytorch_half_pixel":
            return 0 * i
        raise NoRule(f"its pixels lie as by {self.how!r}")

    def nearest(self, size: int, axis: int) -> NDArray[np.int64]:
        """Return which of `size` old pixels is nearest to each new one along a dimension."""
        functions: dict[str, Callable[[Any], Any]] = {
            "round_prefer_floor": lambda x: np.ceil(x - 0.5),
            "round_prefer_ceil": lambda x: np.floor(x + 0.5),
            "floor": np.floor,
            "ceil": np.ceil,
        }
        if self.rounding not in functions:
            raise NoRule(f"it rounds by {self.rounding!r}")
        found: NDArray[np.int64] = np.clip(functions[self.rounding](self.places(size, axis)), 0, size - 1).astype(int)
        return found

    def shares(self, size: int, axis: int) -> NDArray[np.float32]:
        """Return how much of each old pixel each new one takes along a dimension, shape (new, old)."""
        if float(size) * self.wanted[axis] > MOST_CONSTANT_ELEMENTS:
            raise NoRule("it makes too large a constant")
        if self.mode == "nearest":
            return np.equal.outer(self.nearest(size, axis), np.arange(size)).astype(np.float32)
        if self.mode not in ("linear", "cubic"):
            raise NoRule(f"it resizes by {self.mode!r}")
        places = self.places(size, axis)
        if self.mode == "linear":
            places = np.clip(places, 0, size - 1)
        found = np.zeros((len(places), size))
        for step in (0, 1) if self.mode == "linear" else (-1, 0, 1, 2):
            at = np.floor(places).astype(int) + step
            share = _share(np.abs(places - at), self.curve) if self.mode == "cubic" else 1 - np.abs(places - at)
            share = np.where((at < 0) | (at >= size), 0, share) if self.inside else share
            np.add.at(found, (np.arange(len(places)), np.clip(at, 0, size - 1)), share)
        shares: NDArray[np.float32] = (found / found.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares


def resizing_of(op: OnnxCall, shape: Shape) -> Resizing:
    """Return what a node is told to make of a shape, whatever the version of the standard.

    Raises:
        NoRule: there is no rule for one of its settings.
    """
    old = op.kind == "Upsample" or op.opset < 11
    axes = [op.axis(int(a), len(shape)) for a in op.attributes.get("axes") or range(len(shape))]
    wanted, scales = list(shape), [1.0] * len(shape)
    if op.has(3) and len(sizes := op.constant(3)):
        if op.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise NoRule(f"it resizes by the policy {op.attributes['keep_aspect_ratio_policy']!r}")
        for axis, size in zip(axes, sizes, strict=True):
            wanted[axis], scales[axis] = int(size), int(size) / shape[axis]
    else:
        for axis, scale in zip(axes, op.setting(1 if old else 2, "scales", ()), strict=True):
            wanted[axis], scales[axis] = floor(shape[axis] * float(scale)), float(scale)
    if op.attributes.get("antialias", 0) and min(scales) < 1:
        raise NoRule("it smooths before it makes images smaller")
    return Resizing(
        mode=op.attributes.get("mode", "nearest"),
        how="asymmetric" if old else op.attributes.get("coordinate_transformation_mode", "half_pixel"),
        rounding="floor" if old else op.attributes.get("nearest_mode", "round_prefer_floor"),
        wanted=tuple(wanted),
        scales=tuple(scales),
        curve=float(op.attributes.get("cubic_coeff_a", -0.75)),
        inside=op.attributes.get("mode") == "cubic" and bool(op.attributes.get("exclude_outside", 0)),
    )


def resized(told: Resizing, constant: NDArray[Any]) -> NDArray[Any]:
    """Return a constant, such as the positions that a transformer adds, in its new shape.

    Raises:
        NoRule: there is no rule for one of the settings, or it would be too large.
    """
    if np.prod(told.wanted, dtype=np.float64) > MOST_CONSTANT_ELEMENTS:
        raise NoRule("it makes too large a constant")
    found = constant.astype(np.float32)
    for axis, size in enumerate(constant.shape):
        if told.wanted[axis] != size:
            found = np.moveaxis(np.tensordot(told.shares(size, axis), found, (1, axis)), 0, axis)
    return found


def _share(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Return how much a cubic curve takes of a pixel at some distance."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
