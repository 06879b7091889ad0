"""Weight gradients of 1x1 convolutions with strides, such that TensorFlow's oneDNN kernels do not damage the heap.

With AVX-512, `Conv2DBackpropFilter` for a 1x1 kernel with strides and fewer than 16 input channels writes beyond its
memory, and the process ends (docs/reports/onednn_strided_pointwise.md). Narrow residual networks, and descendants of
wider ones, have such convolutions. A 1x1 convolution with strides reads every second row and column only: its weight
gradient is that of a convolution without strides of these rows and columns, and that kernel is in order.

Two operations have that kernel as their gradient, and both are covered, wherever they come from (layers of Keras or of
a user's own, `keras.ops`, `tf.nn`): `Conv2D` and its transpose, `Conv2DBackpropInput`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Takes an operation and the gradient of its output; returns the gradients of its inputs.
Gradient = Callable[[Any, Any], Any]


def use_safe_pointwise_gradients(tensorflow: Any, registry: dict[str, dict[str, Any]]) -> None:
    """Replace the gradients of both operations in this process; for all other convolutions they stay as they are.

    Args:
        tensorflow: the module.
        registry: TensorFlow's gradients by operation, the function under 'type'. It has no public way to replace one.
    """
    for kind, make in (("Conv2D", _of_convolution), ("Conv2DBackpropInput", _of_transpose)):
        registry[kind] = {**registry[kind], "type": make(tensorflow, registry[kind]["type"])}


def _of_convolution(tensorflow: Any, own: Gradient) -> Gradient:
    """Return the gradient of `Conv2D` of images and a kernel."""

    def gradient(op: Any, of_output: Any) -> Any:
        if not _is_strided_pointwise(op):
            return own(op, of_output)
        images, kernel = op.inputs
        of_images = tensorflow.raw_ops.Conv2DBackpropInput(
            input_sizes=tensorflow.shape(images), filter=kernel, out_backprop=of_output, **_geometry(op)
        )
        return [of_images, _of_kernel(tensorflow, op, images, of_output)]

    return gradient


def _of_transpose(tensorflow: Any, own: Gradient) -> Gradient:
    """Return the gradient of `Conv2DBackpropInput` of a size, a kernel, and what a convolution would give."""

    def gradient(op: Any, of_output: Any) -> Any:
        if not _is_strided_pointwise(op):
            return own(op, of_output)
        _, kernel, given = op.inputs
        of_given = tensorflow.raw_ops.Conv2D(input=of_output, filter=kernel, **_geometry(op))
        return [None, _of_kernel(tensorflow, op, of_output, given), of_given]

    return gradient


def _is_strided_pointwise(op: Any) -> bool:
    return bool(op.inputs[1].shape[:2].as_list() == [1, 1] and max(op.get_attr("strides")) > 1)


def _geometry(op: Any) -> dict[str, Any]:
    return {name: op.get_attr(name) for name in ("strides", "padding", "explicit_paddings", "data_format")}


def _of_kernel(tensorflow: Any, op: Any, images: Any, of_output: Any) -> Any:
    """Return the gradient of the kernel where images are convolved with the strides of `op`."""
    if paddings := op.get_attr("explicit_paddings"):
        images = tensorflow.pad(images, tensorflow.reshape(tensorflow.constant(paddings), (-1, 2)))
    return tensorflow.raw_ops.Conv2DBackpropFilter(
        input=images[tuple(slice(None, None, n) for n in op.get_attr("strides"))],
        filter_sizes=tensorflow.shape(op.inputs[1]),
        out_backprop=of_output,
        strides=[1, 1, 1, 1],
        padding="VALID",
        data_format=op.get_attr("data_format"),
    )
