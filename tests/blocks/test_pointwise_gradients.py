"""Training never calls the kernel that damages the heap, and its gradients are the right ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from tensorflow.python.framework.ops import gradient_registry
from tensorflow.python.ops import nn_grad

from legodnn.blocks import _backend


class OfKeras(layers.Layer):
    """A layer that convolves by a function of Keras."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight((1, 1, shape[-1], 4), "glorot_uniform")

    def call(self, x: Any) -> Any:
        return ops.conv(x, self.kernel, strides=2)


class OfTensorFlow(OfKeras):
    """A layer that convolves by a function of TensorFlow."""

    def call(self, x: Any) -> Any:
        return tf.nn.conv2d(x, self.kernel, 2, "SAME")


def faulty_kernels(model: keras.Model) -> list[str]:
    """The weight gradients of 1x1 convolutions with strides in a step of training."""

    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True) ** 2)
        return tape.gradient(loss, model.trainable_variables)

    shape = (4, *model.input_shape[1:])
    graph = tf.function(step).get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
    gradients = [op for op in graph.get_operations() if op.type == "Conv2DBackpropFilter"]
    assert gradients
    pointwise = [op for op in gradients if op.outputs[0].shape[:2].as_list() == [1, 1]]
    return [op.name for op in pointwise if max(op.get_attr("strides")) > 1]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv1D(4, 1, strides=2), (8, 6)),
        (layers.Conv2D(4, 1, strides=2), (8, 8, 6)),
        (layers.Conv2D(4, 1, strides=(1, 2), padding="same"), (7, 8, 6)),
        (layers.Conv1DTranspose(4, 1, strides=2), (8, 6)),
        (layers.Conv2DTranspose(4, 1, strides=2, padding="same"), (8, 8, 6)),
        (OfKeras(), (8, 8, 6)),
        (OfTensorFlow(), (8, 8, 6)),
    ],
)
def test_training_calls_no_kernel_at_fault(
    layer: keras.Layer, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _backend.keras is keras  # it is prepared
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    assert not faulty_kernels(model)
    own = {"Conv2D": nn_grad._Conv2DGrad, "Conv2DBackpropInput": nn_grad._Conv2DBackpropInputGrad}
    for kind, gradient in own.items():
        monkeypatch.setitem(gradient_registry._registry, kind, {**gradient_registry._registry[kind], "type": gradient})
    assert faulty_kernels(model), "TensorFlow's own gradients call it"


Convolve = Callable[[Any, Any], Any]


def gradients(convolve: Convolve, x: Any, kernel: Any, of_output: Any) -> list[np.ndarray]:
    x, kernel = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        loss = tf.reduce_sum(convolve(x, kernel) * of_output)
        return [np.asarray(g) for g in tape.gradient(loss, [x, kernel])]


@pytest.mark.parametrize("pads", ["SAME", "VALID", [[0, 0], [1, 2], [0, 1], [0, 0]]])
@pytest.mark.parametrize("strides", [(2, 2), (1, 3)])
def test_gradients_of_a_convolution_are_right(pads: Any, strides: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=size).astype(np.float32) for size in ((3, 7, 8, 6), (1, 1, 6, 4)))
    widths = pads if isinstance(pads, list) else [[0, 0]] * 4
    read = np.pad(x, widths)[:, :: strides[0], :: strides[1]]
    of_output = rng.normal(size=(*read.shape[:3], 4)).astype(np.float32)
    of_x, of_kernel = gradients(lambda x, k: tf.nn.conv2d(x, k, [1, *strides, 1], pads), x, kernel, of_output)
    np.testing.assert_allclose(of_kernel[0, 0], np.einsum("nhwc,nhwf->cf", read, of_output), rtol=1e-4, atol=1e-4)
    wanted = np.zeros_like(np.pad(x, widths))
    wanted[:, :: strides[0], :: strides[1]] = of_output @ kernel[0, 0].T
    inner = tuple(slice(a, size - b) for (a, b), size in zip(widths, wanted.shape, strict=True))
    np.testing.assert_allclose(of_x, wanted[inner], rtol=1e-4, atol=1e-4)


def test_gradients_of_a_transposed_convolution_are_right() -> None:
    rng = np.random.default_rng(0)
    x, kernel, of_output = (rng.normal(size=s).astype(np.float32) for s in ((3, 4, 5, 6), (1, 1, 4, 6), (3, 8, 10, 4)))
    of_x, of_kernel = gradients(lambda x, k: tf.nn.conv2d_transpose(x, k, (3, 8, 10, 4), 2), x, kernel, of_output)
    read = of_output[:, ::2, ::2]
    np.testing.assert_allclose(of_kernel[0, 0], np.einsum("nhwf,nhwc->fc", read, x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_x, read @ kernel[0, 0], rtol=1e-4, atol=1e-4)


def test_gradients_of_other_convolutions_are_tensorflows_own() -> None:
    def convolve(x: Any, kernel: Any) -> Any:
        return tf.nn.conv2d(x, kernel, 2, "SAME")

    rng = np.random.default_rng(0)
    x, kernel, of_output = (rng.normal(size=s).astype(np.float32) for s in ((2, 8, 8, 3), (3, 3, 3, 5), (2, 4, 4, 5)))
    variables = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(variables)
        loss = tf.reduce_sum(convolve(*variables) * of_output)
    wanted = [
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=x.shape, filter=kernel, out_backprop=of_output, strides=[1, 2, 2, 1], padding="SAME"
        ),
        tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=kernel.shape, out_backprop=of_output, strides=[1, 2, 2, 1], padding="SAME"
        ),
    ]
    for a, b in zip(tape.gradient(loss, variables), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
