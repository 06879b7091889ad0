"""Windows that slide over images in ONNX: where they begin and end, and the same in terms of TensorFlow Lite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.call import OnnxCall
from legodnn.blocks.importing.tflite.call import NoRule
from legodnn.blocks.importing.tflite.values import GraphValue

SAME, VALID = 0, 1  # the numbers of paddings in TensorFlow Lite
REFLECT, SYMMETRIC = 0, 1  # the numbers of modes of MIRROR_PAD
Pads = tuple[tuple[int, int], ...]  # what is added before and after height and width


@dataclass(frozen=True)
class Window:
    """The window of a convolution or pool over images of one size.

    Attributes:
        sizes: height and width of the images.
        kernel: of the window.
        strides, dilations: down and to the right.
        pads: what is added before and after height and width.
    """

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads

    @property
    def spans(self) -> list[int]:
        """How far the window reaches, down and to the right."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]

    @property
    def same(self) -> Pads:
        """What TensorFlow adds for its padding `SAME`."""
        return tuple(_same(*each) for each in zip(self.sizes, self.spans, self.strides, strict=True))

    def options(self) -> dict[str, int]:
        """Return strides and dilations as options of an operator of TensorFlow Lite."""
        names = ("stride_h", "stride_w", "dilation_h", "dilation_w")
        return dict(zip(names, (*self.strides, *self.dilations), strict=True))


def window_of(op: OnnxCall, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> Window:
    """Return the window of a node; windows over rows are windows of height 1 over images."""
    strides, dilations = (_numbers(op, name, [1] * len(kernel)) for name in ("strides", "dilations"))
    pads = _numbers(op, "pads", [0] * 2 * len(kernel))
    if not len(kernel) == len(strides) == len(dilations) == len(pads) // 2 == len(sizes):
        raise NoRule(f"its window is {list(kernel)}, its strides {strides}, dilations {dilations} and pads {pads}")
    if min([*kernel, *strides, *dilations]) < 1 or min(pads) < 0:
        raise NoRule(f"its window is {list(kernel)}, its strides {strides}, dilations {dilations} and pads {pads}")
    found = Window(sizes, kernel, tuple(strides), tuple(dilations), tuple(zip(pads, pads[len(kernel) :], strict=False)))
    auto = op.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        turn = 1 if auto == "SAME_UPPER" else -1
        pads_of = tuple((a, b)[::turn] for a, b in found.same)
        found = Window(sizes, kernel, found.strides, found.dilations, pads_of)  # type: ignore[arg-type]
    if len(kernel) == 1:
        found = Window((1, *sizes), (1, *kernel), (1, *found.strides), (1, *found.dilations), ((0, 0), *found.pads))
    if len(found.kernel) != 2:
        raise NoRule(f"its window has {len(kernel)} dimensions")
    return found


def zero_padded(op: OnnxCall, image: GraphValue, window: Window) -> tuple[GraphValue, int]:
    """Return an image (1, height, width, channels) with zeros around it, and the padding left to the operator."""
    if not any(map(any, window.pads)):
        return image, VALID
    if window.pads == window.same:
        return image, SAME
    return op.run("PAD", image, paddings(window.pads), ending=".padded"), VALID


def paddings(pads: Pads) -> NDArray[np.int32]:
    """Return what is added to an image (1, height, width, channels) as the operand of `PAD`."""
    return np.array([(0, 0), *pads, (0, 0)], np.int32)


def as_image(op: OnnxCall, value: GraphValue) -> GraphValue:
    """Return a row (1, channels, length) as an image (1, channels, 1, length); an image as it is."""
    if len(value.order) != 3:
        return value
    return in_shape(op, value, (*value.shape[:2], 1, value.shape[2]), ".image")


def as_before(op: OnnxCall, image: GraphValue, before: GraphValue) -> GraphValue:
    """Return an image as a row again where the value was a row before."""
    if len(before.order) != 3:
        return image
    return in_shape(op, image, (*image.shape[:2], image.shape[3]), ".row")


def in_shape(op: OnnxCall, value: GraphValue, shape: tuple[int, ...], ending: str = "") -> GraphValue:
    """Return a value in another shape."""
    found: GraphValue = op.run("RESHAPE", value, np.array(shape, np.int32), ending=ending)
    return found


def _numbers(op: OnnxCall, name: str, default: list[int]) -> list[int]:
    return [int(n) for n in op.attributes.get(name) or default]


def _same(size: int, span: int, stride: int) -> tuple[int, int]:
    added = max((-(-size // stride) - 1) * stride + span - size, 0)
    return added // 2, added - added // 2
