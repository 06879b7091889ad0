# ruff: noqa: E501 (tables of files)
"""Every operator with a rule computes what the interpreter computes of it.

Covers also: blocks.importing.tflite.weight_rules, blocks.importing.tflite.arithmetic_rules,
blocks.importing.tflite.image_rules, blocks.importing.tflite.layout_rules, blocks.importing.tflite.call,
blocks.importing.tflite.values, blocks.importing.tflite.constant_folding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.errors import ModelError
from legodnn.native_stderr import native_stderr_silenced
from tests.blocks.importing.tflite.compared import TOLERANCE, converted, differences, imported, kinds
from tests.runtime.tflite.tflite_files import T, one, options, whole

IMAGE = (1, 6, 8, 4)
TOGETHER = 12  # functions in a file


def weights(*shape: int) -> Any:
    return tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)


def conv(strides: Any = 1, padding: Any = "SAME", dilations: Any = 1, kernel: tuple[int, ...] = (3, 3, 4, 6)) -> Any:
    return lambda x: tf.nn.conv2d(x, weights(*kernel), strides, padding, dilations=dilations)


def depthwise(strides: Any, padding: str = "SAME", dilations: Any = None, kernel: Any = (3, 3, 4, 2)) -> Any:
    return lambda x: tf.nn.depthwise_conv2d(x, weights(*kernel), (1, *strides, 1), padding, dilations=dilations)


def transposed(size: tuple[int, int], strides: Any, padding: str, kernel: Any = (3, 3, 5, 4)) -> Any:
    return lambda x: tf.nn.conv2d_transpose(x, weights(*kernel), (1, *size, kernel[2]), strides, padding)


def turned_apart(x: Any) -> Any:
    """Channels (4, 8, 6) in the place of the images, in an order that waits."""
    return tf.transpose(tf.reshape(x, (4, 6, 8)), (0, 2, 1))


def turned(x: Any) -> Any:
    """Rows, images, channels and columns, in an order that waits."""
    return tf.transpose(x, (1, 0, 3, 2))


# Functions of one image, by the operators of which the converter writes some of the file.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "convolution, same": conv(),
    "convolution, valid, strides that differ": conv((2, 1), "VALID"),
    "convolution, dilated": conv(dilations=2),
    "convolution, dilated in one direction": conv(dilations=(1, 2)),
    "convolution of groups": conv(kernel=(3, 3, 2, 6)),
    "convolution, explicitly padded": conv(padding=((0, 0), (1, 0), (2, 1), (0, 0)), strides=2),
    "convolution and relu6": lambda x: tf.nn.relu6(conv()(x) * 4),
    "convolution and relu1": lambda x: tf.clip_by_value(conv()(x), -1, 1),
    "convolution and tanh": lambda x: tf.tanh(conv()(x)),
    "depthwise": depthwise((1, 1)),
    "depthwise of 1x1": lambda x: tf.nn.relu(depthwise((1, 1), kernel=(1, 1, 4, 1))(x) + weights(4)),
    "depthwise, strides": depthwise((2, 2), "VALID"),
    "depthwise, dilated": depthwise((1, 1), dilations=(2, 2)),
    "transposed, same": transposed((12, 16), 2, "SAME"),
    "transposed, same, even kernel": transposed((12, 16), 2, "SAME", (4, 4, 5, 4)),
    "transposed, odd size": transposed((11, 15), 2, "SAME"),
    "transposed, valid": transposed((13, 17), 2, "VALID"),
    "transposed, valid, small kernel": transposed((12, 16), 2, "VALID", (2, 2, 5, 4)),
    "dense": lambda x: tf.reshape(x, (1, -1)) @ weights(192, 5) + weights(5),
    "dense over the last dimension": lambda x: tf.tensordot(x, weights(4, 5), 1),
    "product of matrices": lambda x: tf.matmul(x, x, transpose_b=True),
    "product with a constant": lambda x: tf.matmul(weights(1, 1, 3, 6), tf.transpose(x, (0, 2, 1, 3))),
    "average pool": lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME"),
    "largest of a pool, window and strides that differ": lambda x: tf.nn.max_pool2d(x, (2, 3), (1, 2), "VALID"),
    "sum of two": lambda x: x + tf.reverse(x, [1]),
    "sum, broadcast": lambda x: x + tf.reduce_mean(x, (1, 2), keepdims=True),
    "a number": lambda x: 3.0 - x * 0.5,
    "a constant for each channel": lambda x: (x * weights(4) + weights(4)) / (weights(4) + 5.0),
    "a constant for each column": lambda x: weights(8, 1) - x,
    "a constant of the whole shape": lambda x: x * weights(1, 6, 8, 4),
    "a constant of more dimensions": lambda x: tf.reshape(x, (1, 192)) + weights(1, 3, 1, 192),
    "a constant that widens": lambda x: x[..., :1] * weights(4),
    "a constant that widens the place of the images, turned": lambda x: turned(x) * weights(5, 1, 1),
    "a constant for each row, as many as channels": lambda x: x[:, :4] + weights(4, 1, 1),
    "a sum with as many rows as channels": lambda x: x[:, :4] + tf.reduce_mean(x[:, :4], (2, 3), keepdims=True),
    "every sum of two rows": lambda x: x[:, :4, :1, :1] + tf.transpose(x[:, :4, :1, :1], (0, 3, 2, 1)) * 2.0,
    "a constant of several rows": lambda x: x[:, 0, 0] + weights(5, 4),
    "largest, smallest, a power": lambda x: tf.maximum(x, weights(4)) + tf.minimum(x, 0.3) + tf.pow(tf.abs(x), 1.5),
    "quotient of tensors": lambda x: x / (tf.abs(tf.reverse(x, [2])) + 1.0),
    "squared difference": lambda x: tf.math.squared_difference(x, weights(4)),
    "activations": lambda x: tf.nn.leaky_relu(x, 0.3) + tf.nn.elu(x) + tf.sigmoid(x) + tf.tanh(x) + tf.nn.relu(x),
    "hard swish": lambda x: x * tf.nn.relu6(x + 3.0) * (1 / 6),
    "relu from 0 to 1": lambda x: tf.clip_by_value(x, 0, 1),
    "roots and powers": lambda x: tf.sqrt(tf.exp(x)) + tf.math.rsqrt(tf.square(x) + 1) + tf.math.log(tf.abs(x) + 1),
    "rounding": lambda x: tf.floor(x) + tf.math.ceil(x) + tf.round(x) + tf.sin(x) + tf.cos(x) - tf.sign(x),
    "softmax": lambda x: tf.nn.softmax(x),
    "softmax of numbers": lambda x: tf.nn.softmax(2.0 * x) + tf.nn.log_softmax(x),
    "unit length": lambda x: tf.math.l2_normalize(x, -1),
    "mean of images": lambda x: tf.reduce_mean(x, (1, 2)),
    "mean of images, dimensions kept": lambda x: tf.reduce_mean(x, (1, 2), keepdims=True),
    "reductions": lambda x: tf.reduce_sum(x, 3) + tf.reduce_max(x, -1) + tf.reduce_min(x, 3),
    "reduction of rows, of all": lambda x: tf.reduce_sum(x, 1) * tf.reduce_mean(x),
    "product of rows": lambda x: tf.reduce_prod(x, (0, 1)),
    "bilinear": lambda x: tf.image.resize(x, (11, 5)),
    "bilinear, corners": lambda x: tf.compat.v1.image.resize_bilinear(x, (11, 5), align_corners=True),
    "bilinear, upper left": lambda x: tf.compat.v1.image.resize_bilinear(x, (12, 16)),
    "nearest": lambda x: tf.image.resize(x, (11, 5), "nearest"),
    "nearest, corners": lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (11, 5), align_corners=True),
    "nearest, upper left": lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (12, 16)),
    "beside one another": lambda x: tf.concat([x, x * 2, x[..., :1]], -1),
    "below one another": lambda x: tf.concat([x, x * 2], 1),
    "beside a constant": lambda x: tf.concat([x, weights(1, 6, 8, 2)], -1),
    "equal parts": lambda x: sum(tf.split(x, 2, -1)),
    "parts of sizes": lambda x: tf.concat(tf.split(x, [1, 2, 5], 2)[::-1], 2),
    "slice": lambda x: tf.slice(x, (0, 1, 2, 0), (1, -1, 3, 4)),
    "slice with steps": lambda x: x[:, 1:-1:2, ::3, 1:],
    "slice backwards": lambda x: x[:, ::-1, 6:1:-2],
    "one row, one channel": lambda x: x[:, 2] + x[:, 0, :, 3:],
    "reshape": lambda x: tf.reshape(x, (1, 16, 12)),
    "reshape to several images": lambda x: tf.reshape(tf.reshape(x, (48, 4)) @ weights(4, 3), (1, 6, 8, 3)),
    "squeeze and widen": lambda x: tf.expand_dims(tf.squeeze(x[:, :1], 1), 2) * 2.0,
    "transposed": lambda x: tf.transpose(x, (0, 2, 3, 1)) * 2.0,
    "transposed with the images": lambda x: tf.transpose(x, (3, 0, 2, 1)) * 2.0,
    "one channel of several turned to the front": lambda x: turned_apart(x)[1:2] * 2.0,
    "channels turned to the front, in parts": lambda x: sum(tf.split(turned_apart(x), 4, 0)),
    "joined along the place of the images, turned": lambda x: tf.concat([turned(x), turned(x) * 2.0], 1) * 2.0,
    "stacked and apart": lambda x: tf.stack([t * 2.0 for t in tf.unstack(x, axis=2)], axis=1),
    "zeros around": lambda x: tf.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))) * 2.0,
    "zeros beside channels": lambda x: tf.pad(x, ((0, 0), (1, 2), (0, 0), (1, 2))) * 2.0,
    "numbers around": lambda x: tf.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=-2.0) * 2.0,
    "reflected": lambda x: tf.pad(x, ((0, 0), (1, 2), (3, 0), (0, 0)), "REFLECT"),
    "mirrored": lambda x: tf.pad(x, ((0, 0), (1, 2), (3, 0), (0, 0)), "SYMMETRIC"),
    "gathered": lambda x: tf.gather(x, [2, 0, 2], axis=2),
    "space to depth": lambda x: tf.nn.space_to_depth(x, 2),
    "depth to space": lambda x: tf.nn.depth_to_space(x, 2),
    "repeated": lambda x: tf.tile(x, (1, 2, 1, 3)),
    "widened": lambda x: tf.broadcast_to(tf.reduce_mean(x, (1, 3), keepdims=True), (1, 6, 8, 4)),
    "widened to more dimensions": lambda x: tf.broadcast_to(x[0, :, :1], (1, 2, 6, 8, 4)),
    "widened where images are": lambda x: tf.broadcast_to(x[:, :1] * 2.0, (3, 6, 8, 4)),
    "turned and widened": lambda x: tf.broadcast_to(turned(x)[:, :, :1] * 2.0, turned(x).shape),
    "widened to its own shape": lambda x: tf.broadcast_to(x, (1, 6, 8, 4)) * 2.0,
    "shapes that are computed": lambda x: tf.reshape(x, (tf.shape(x)[0], -1, tf.shape(x)[3])) * 2.0,
    "selu": lambda x: tf.nn.selu(x),
    "where a number is compared": lambda x: tf.where(x > 0.1, x, 0.5 * x) + tf.where(x <= -0.2, 1.0, x),
    "where numbers of channels are compared": lambda x: tf.where(x < weights(4), weights(6, 8, 4), -1.0),
    "where tensors are compared": lambda x: tf.where(x >= x[..., :1], x, tf.square(x)),
    "where one channel chooses": lambda x: tf.where(x[..., :1] > x[..., 1:2], x, weights(8, 4)),
    "where a mask of the file says": lambda x: tf.where(weights(8, 4) > 0, x, -9.0),
    "where shapes of other ranks choose": lambda x: tf.where(x[0, 0] > 0, x, 2.0 * x),
    "where two things hold": lambda x: tf.where(((x > 0) & (x < 1)) | ~(x != -x), x, tf.exp(x)),
    "where it is turned": lambda x: tf.where(turned(x) > 0, turned(x) * 2.0, 3.0),
    "images that are chosen": lambda x: tf.where(turned_apart(x) > turned_apart(x)[1:2], turned_apart(x), 0.0),
    "to whole numbers and back": lambda x: tf.cast(tf.cast(x * 3.0, tf.int32), tf.float32),
}  # fmt: skip


@pytest.mark.parametrize("first", range(0, len(FUNCTIONS), TOGETHER))
def test_operators_compute_what_the_interpreter_computes(first: int) -> None:
    """Several functions of one image go into a file, because the converter takes a third of a second for each."""
    names = list(FUNCTIONS)[first : first + TOGETHER]
    content = converted(lambda x: tuple(FUNCTIONS[name](x) for name in names), IMAGE)
    model = graph_of(content, "file.tflite")
    assert len(model.outputs) == len(names)
    found = dict(zip(names, differences(model, content), strict=True))
    assert not {name: d for name, d in found.items() if not d <= TOLERANCE}
    used = [o.name for o in model.operations]
    assert len(set(used)) == len(used)


def test_a_slice_backwards_along_all_axes_leaves_images_in_their_order() -> None:
    model = graph_of(converted(lambda x: x[::-1, ::-1] * 2.0, IMAGE), "file.tflite")
    x = np.random.default_rng(0).random((3, *IMAGE[1:]), np.float32)
    np.testing.assert_allclose(model(x), x[:, ::-1] * 2, rtol=1e-6)


CONV = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}


def constant(*shape: int) -> T:
    return T(shape, data=np.random.default_rng(2).normal(size=shape).astype(np.float32))


X = T((1, 6, 8, 4))
# Files of one operator, which the converter does not write of its own accord.
FILES = {
    "depthwise, strides that differ": one("DEPTHWISE_CONV_2D", [X, constant(1, 3, 3, 8), constant(8)], [T((1, 3, 8, 8))], options("DepthwiseConv2DOptions", **CONV | {"strideH": 2}, depthMultiplier=2)),
    "strides and dilations": one("CONV_2D", [X, constant(5, 2, 2, 4), constant(5)], [T((1, 3, 4, 5))], options("Conv2DOptions", **CONV | {"strideH": 2, "strideW": 2, "dilationWFactor": 2})),
    "fused relu1": one("CONV_2D", [X, constant(5, 2, 2, 4), constant(5)], [T((1, 6, 8, 5))], options("Conv2DOptions", **CONV, fusedActivationFunction=2)),
    "sum with fused relu6": one("ADD", [X, constant(4)], [X], options("AddOptions", fusedActivationFunction=3)),
    "prelu": one("PRELU", [X, constant(1, 1, 4)], [X]),
    "a sum of three": one("ADD_N", [X, X, constant(1, 6, 8, 4)], [X]),
    "prelu of columns": one("PRELU", [X, constant(8, 1)], [X]),
    "prelu of one slope": one("PRELU", [X, constant(1)], [X]),
    "relu1": one("RELU_N1_TO_1", [X], [X]),
    "hard swish": one("HARD_SWISH", [X], [X]),
    "gelu": one("GELU", [X], [X], options("GeluOptions")),
    "gelu, approximate": one("GELU", [X], [X], options("GeluOptions", approximate=True)),
    "unit length": one("L2_NORMALIZATION", [X], [X], options("L2NormOptions")),
    "softmax with beta": one("SOFTMAX", [X], [X], options("SoftmaxOptions", beta=0.5)),
    "dense of several dimensions": one("FULLY_CONNECTED", [X, constant(3, 192), constant(3)], [T((1, 3))], options("FullyConnectedOptions")),
    "dense of rows": one("FULLY_CONNECTED", [X, constant(3, 8), None], [T((24, 3))], options("FullyConnectedOptions")),
    "dense that keeps dimensions": one("FULLY_CONNECTED", [X, constant(3, 4), None], [T((1, 6, 8, 3))], options("FullyConnectedOptions", keepNumDims=True)),
    "negative axes": one("MEAN", [X, whole(-2, 1)], [T((1, 4))], options("ReducerOptions")),
    "squeeze of all": one("SQUEEZE", [T((1, 1, 1, 4))], [T((4,))], options("SqueezeOptions", squeezeDims=[])),
    "a sum of images": one("SUM", [X, whole(0)], [T((6, 8, 4))], options("ReducerOptions")),
    "parts of one image": one("UNPACK", [X], [T((6, 8, 4))], options("UnpackOptions", num=1, axis=0)),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_one_operator_computes_what_the_interpreter_computes(name: str) -> None:
    imported(FILES[name])


def test_a_convolution_of_one_channel_makes_channels_that_can_go() -> None:
    """The converter writes it as a depthwise convolution, in which channels would follow the one of the input."""
    assert kinds(imported(converted(conv(kernel=(3, 3, 1, 6)), (1, 6, 8, 1)))) == ["Conv2D"]


def test_a_channels_first_island_is_folded_away() -> None:
    def function(x: Any) -> Any:
        y = tf.transpose(conv()(x), (0, 3, 1, 2))
        y = tf.nn.relu(tf.concat([y * weights(6, 1, 1), tf.sigmoid(y)], 1))
        y = tf.pad(y, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return conv(kernel=(3, 3, 12, 2))(tf.transpose(y, (0, 2, 3, 1)))

    assert not {"Permute", "Transpose"} & set(kinds(imported(converted(function, IMAGE))))


def test_an_input_that_is_only_turned_is_taken_channels_last() -> None:
    model = imported(converted(lambda x: conv()(tf.transpose(x, (0, 2, 3, 1))), (1, 4, 6, 8)))
    assert model.inputs[0].shape == (None, 6, 8, 4)
    assert kinds(model) == ["Conv2D"]


def test_operators_that_share_weights_share_a_layer() -> None:
    def function(x: Any) -> Any:
        kernel = weights(3, 3, 4, 4)
        return tf.nn.conv2d(tf.tanh(tf.nn.conv2d(x, kernel, 1, "SAME")), kernel, 1, "SAME")

    model = imported(converted(function, IMAGE))
    assert len([layer for layer in model.layers if type(layer).__name__ == "Conv2D"]) == 1


def test_layers_and_outputs_have_the_names_of_tensors() -> None:
    content = one("RELU", [X], [X])
    model = graph_of(content, "my model.tflite")
    assert (model.name, model.layers[0].name, model.layers[1].name, model.output_names) == (
        "my_model",
        "t0",
        "t1",
        ["t1"],
    )


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_the_first_step_of_a_recurrent_layer_is_computed_of_constants(kind: type[layers.Layer]) -> None:
    """Where the batch is open, an operator makes the zeros that it begins with, and others read nothing else."""
    sequence = keras.Input((3, 4))
    with native_stderr_silenced():
        of = keras.Model(sequence, kind(5, unroll=True)(sequence))
        content = tf.lite.TFLiteConverter.from_keras_model(of).convert()
    imported(content)


def test_layers_compute_what_operators_make_of_constants() -> None:
    def function(x: Any) -> Any:
        zeros = tf.zeros((tf.shape(x)[0], 6, 8, 4)) + 0.5
        parts = tf.split(tf.transpose(conv()(tf.tanh(zeros)), (0, 3, 1, 2)), 2, 1)
        return x + parts[0][:, :1, :1, :1] + tf.reduce_max(parts[1])

    image = keras.Input((6, 8, 4))
    with native_stderr_silenced():
        of = keras.Model(image, layers.Lambda(function)(image))
        content = tf.lite.TFLiteConverter.from_keras_model(of).convert()
    model = imported(content)
    assert not {"Conv2D", "Activation"} & set(kinds(model))


def test_what_an_operator_gives_must_have_the_files_shape() -> None:
    with pytest.raises(ModelError, match=r"operator 0 \(RELU\).*gives"):
        graph_of(one("RELU", [X], [T((1, 6, 8, 5))]), "f")
