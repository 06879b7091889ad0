"""Small blocks whose inner width varies, as `.tflite` files: what `width_latency` times. Made without TensorFlow.

Each block reads and writes the same number of channels, as a block of a store does, and has `width` channels inside:

    conv        3x3 convolution to the inner channels, ReLU, 3x3 convolution back      (ResNet, VGG)
    pointwise   1x1 convolution, ReLU, 1x1 convolution                                 (bottlenecks)
    depthwise   1x1 convolution, ReLU, 3x3 depthwise convolution, ReLU, 1x1 convolution (MobileNet)

Times do not depend on the weights' values, which are random. In int8 the inputs and outputs stay float32, as in a
store's int8 options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from legodnn.arrays import Array, Shape
from legodnn.manifest import Precision
from legodnn.runtime.tflite.model_file import FileGraph, FileOperator, FileTensor
from legodnn.runtime.tflite.model_writer import write_model_file
from legodnn.widths_table import LayerKind

# Kinds of operators, and of their options, by their numbers in the format.
CONVOLUTION, DEPTHWISE, _QUANTIZE, _DEQUANTIZE = (3, 1), (4, 2), (114, 89), (6, 38)
_VERSIONS = {"float32": 1, "int8": 3}
_SAME, _RELU = 0, 1
_ACTIVATION_SCALE, _WEIGHT_SCALE = 0.05, 0.01


def probe_file(kind: LayerKind, precision: Precision, size: int, outer: int, width: int) -> bytes:
    """Return the content of a block's file.

    Args:
        kind: which layers it has.
        precision: float32 or int8.
        size: height and width of the images in pixels.
        outer: the number of channels that it reads and writes.
        width: the number of channels inside.
    """
    side = 3 if kind == "conv" else 1
    layers = [(CONVOLUTION, (width, side, side, outer)), (CONVOLUTION, (outer, side, side, width))]
    if kind == "depthwise":
        layers.insert(1, (DEPTHWISE, (1, 3, 3, width)))
    return layers_file(precision, size, layers)


def layers_file(precision: Precision, size: int, layers: Sequence[tuple[tuple[int, int], Shape]]) -> bytes:
    """Return the content of the file of layers one after another, with ReLU between them.

    Args:
        precision: float32 or int8.
        size: height and width of the images in pixels.
        layers: for each, its kind of operator and the shape of its weights.
    """
    graph = _Graph(precision)
    x = graph.activation((1, size, size, layers[0][1][3]))
    for number, (kind, shape) in enumerate(layers):
        x = graph.convolution(kind, x, shape, relu=number < len(layers) - 1)
    return write_model_file(graph.finished(x))


class _Graph:
    """Tensors and operators that are put together."""

    def __init__(self, precision: Precision) -> None:
        self._int8 = precision == "int8"
        self._precision = precision
        self._tensors: list[FileTensor] = []
        self._operators: list[FileOperator] = []
        self._random = np.random.default_rng(0)
        self._inputs: tuple[int, ...] = ()

    def activation(self, shape: Shape) -> int:
        """Add a computed tensor, and return its number; the first one is the graph's input, and becomes int8."""
        if self._inputs:
            return self._quantised(shape) if self._int8 else self._add(shape, "float32")
        first = self._add(shape, "float32")
        self._inputs = (first,)
        return self._operator(_QUANTIZE, [first], self._quantised(shape), 1, {}) if self._int8 else first

    def convolution(self, kind: tuple[int, int], x: int, shape: Shape, relu: bool) -> int:
        """Add a convolution of stride 1 that keeps the image's size, and return the number of its output."""
        axis = 3 if kind == DEPTHWISE else 0
        channels = shape[axis]
        inputs = [x, self._weights(shape, axis), self._bias(channels)]
        y = self.activation((*self._tensors[x].shape[:3], channels))
        options = {"padding": _SAME, "stride_w": 1, "stride_h": 1, "activation": _RELU if relu else 0, "bias_type": 0}
        options |= {"multiplier": 1} if kind == DEPTHWISE else {}
        options |= {"dilation_w": 1, "dilation_h": 1}
        return self._operator(kind, inputs, y, _VERSIONS[self._precision], options)

    def finished(self, y: int) -> FileGraph:
        """Return the graph, whose output is this tensor, in float32."""
        if self._int8:
            y = self._operator(_DEQUANTIZE, [y], self._add(self._tensors[y].shape, "float32"), 2, {})
        return FileGraph(tuple(self._tensors), self._inputs, (y,), tuple(self._operators))

    def _operator(
        self, kind: tuple[int, int], inputs: Sequence[int], output: int, version: int, options: dict[str, Any]
    ) -> int:
        self._operators.append(FileOperator(kind[0], version, tuple(inputs), (output,), kind[1], options))
        return output

    def _weights(self, shape: Shape, axis: int) -> int:
        if self._int8:
            return self._add(shape, "int8", self._random.integers(-127, 128, shape, np.int8), _WEIGHT_SCALE, axis)
        return self._add(shape, "float32", self._random.normal(0, 0.05, shape).astype(np.float32))

    def _bias(self, channels: int) -> int:
        if self._int8:
            scale = _WEIGHT_SCALE * _ACTIVATION_SCALE
            return self._add((channels,), "int32", np.zeros(channels, np.int32), scale, 0)
        return self._add((channels,), "float32", np.zeros(channels, np.float32))

    def _quantised(self, shape: Shape) -> int:
        return self._add(shape, "int8", scale=_ACTIVATION_SCALE)

    def _add(
        self, shape: Shape, dtype: str, data: Array | None = None, scale: float = 0.0, axis: int | None = None
    ) -> int:
        """Add a tensor and return its number.

        Args:
            shape, dtype: its shape and type.
            data: its values if it is constant.
            scale: of its quantisation; 0 for none.
            axis: the dimension along which each index has a scale of its own; None if one holds for the tensor.
        """
        count = (1 if axis is None else shape[axis]) if scale else 0
        scales, zeros = np.full(count, scale, np.float32), np.zeros(count, np.int64)
        content = None if data is None else np.frombuffer(data.tobytes(), np.uint8)
        self._tensors.append(FileTensor(tuple(shape), dtype, content, scales, zeros, axis or 0))
        return len(self._tensors) - 1
