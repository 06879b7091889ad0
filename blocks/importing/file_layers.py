"""Layers for what `.tflite` files compute and no layer of Keras does: constants of any shape, resizing by corners.

`channels.rules` has rules for them. They are exported to the operators that they came from.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# Addition is Python's, since that of Keras takes a constant with one dimension above 1 for a bias of channels, whatever
# dimension that is.
BINARY_OPERATIONS = {
    "add": operator.add, "subtract": ops.subtract, "multiply": ops.multiply, "divide": ops.divide,
    "maximum": ops.maximum, "minimum": ops.minimum, "power": ops.power,
}  # fmt: skip
_LEARNED = ("add", "subtract", "multiply", "divide")


@keras.saving.register_keras_serializable(package="legodnn")
class ConstantOperand(keras.layers.Layer):  # type: ignore[misc]
    """Combines its input with a constant that is broadcast over it, such as a factor for each channel.

    The constant is a weight, and is trained where that makes sense.

    Args:
        operation: one of `BINARY_OPERATIONS`.
        follows: for each axis but the batch, whether the constant is as long as the input, or 1.
        constant_first: compute `constant - x` instead of `x - constant`, and so on.
    """

    def __init__(self, operation: str, follows: Sequence[bool], constant_first: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operation, self.follows, self.constant_first = operation, tuple(follows), constant_first
        if operation not in _LEARNED:
            self.trainable = False

    def build(self, input_shape: Any) -> None:
        """Make the constant."""
        shape = tuple(d if long else 1 for d, long in zip(input_shape[1:], self.follows, strict=True))
        self.constant = self.add_weight(shape=shape, name="constant", initializer="ones")
        self.built = True

    def call(self, x: Any) -> Any:
        """Compute the output."""
        constant = self.constant.value
        pair = (constant, x) if self.constant_first else (x, constant)
        return BINARY_OPERATIONS[self.operation](*pair)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for that of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        config = {"operation": self.operation, "follows": list(self.follows), "constant_first": self.constant_first}
        return {**super().get_config(), **config}


def with_constant(x: Any, operand: ConstantOperand, constant: Any) -> Any:
    """Return what a new layer makes of a tensor, and give the layer its constant."""
    result = operand(x)
    operand.set_weights([constant])
    return result


@keras.saving.register_keras_serializable(package="legodnn")
class ConstantTensor(keras.layers.Layer):  # type: ignore[misc]
    """Gives a constant for every image of a batch; of its input it takes nothing but the number of images.

    Args:
        shape: the constant's shape, without the batch.
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(int(d) for d in shape)

    def build(self, input_shape: Any) -> None:
        """Make the constant."""
        self.constant = self.add_weight(shape=self.shape, name="constant", initializer="zeros", trainable=False)
        self.built = True

    def call(self, x: Any) -> Any:
        """Compute the output."""
        return ops.broadcast_to(self.constant, (ops.shape(x)[0], *self.shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for that of the input."""
        return (input_shape[0], *self.shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        return {**super().get_config(), "shape": list(self.shape)}


@keras.saving.register_keras_serializable(package="legodnn")
class CornerResizing(keras.layers.Layer):  # type: ignore[misc]
    """Resizes images as TensorFlow 1 did, whose pixels lie on corners. `keras.layers.Resizing` has pixels' centres.

    Args:
        height, width: of the output, in pixels.
        interpolation: 'bilinear' or 'nearest'.
        align_corners: whether the centres of the corner pixels of input and output lie on one another; otherwise the
            upper left corners of all pixels do.
    """

    def __init__(self, height: int, width: int, interpolation: str, align_corners: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height, self.width, self.interpolation, self.align_corners = height, width, interpolation, align_corners

    def call(self, x: Any) -> Any:
        """Compute the output."""
        import tensorflow as tf

        resize = tf.raw_ops.ResizeBilinear if self.interpolation == "bilinear" else tf.raw_ops.ResizeNearestNeighbor
        return resize(images=x, size=(self.height, self.width), align_corners=self.align_corners)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for that of the input."""
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        config = {"height": self.height, "width": self.width}
        return {
            **super().get_config(),
            **config,
            "interpolation": self.interpolation,
            "align_corners": self.align_corners,
        }
