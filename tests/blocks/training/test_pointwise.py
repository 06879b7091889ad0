"""Strided 1x1 convolutions are trained as convolutions without strides of strided inputs, and are the same function."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks.training.pointwise import strides_before_pointwise


def strided_kernels(model: keras.Model) -> set[str]:
    """The kinds of convolutions with strides that a step of training runs, those of its gradients among them."""

    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True) ** 2)
        return tape.gradient(loss, model.trainable_variables)

    shape = (4, *model.input_shape[1:])
    graph = tf.function(step).get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
    convolutions = [op for op in graph.get_operations() if op.type.startswith("Conv2D")]
    assert convolutions
    return {op.type for op in convolutions if max(op.get_attr("strides")) > 1}


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [7, 8])
def test_it_is_the_same_function(padding: str, size: int) -> None:
    image = keras.Input((size, size + 1, 6))
    model = keras.Model(image, layers.Conv2D(4, 1, strides=2, padding=padding)(image))
    x = np.random.default_rng(0).normal(size=(3, size, size + 1, 6)).astype(np.float32)
    wanted = np.asarray(model(x))
    with strides_before_pointwise():
        found = np.asarray(model(x))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [layers.Conv1D, layers.Conv2D])
def test_training_calls_no_strided_pointwise_kernel(kind: type[keras.Layer]) -> None:
    image = keras.Input((8, 6) if kind is layers.Conv1D else (8, 8, 6))
    model = keras.Model(image, kind(4, 1, strides=2)(image))
    assert strided_kernels(model)
    with strides_before_pointwise():
        assert not strided_kernels(model)
    assert strided_kernels(model), "afterwards everything is as it was"


def test_other_convolutions_stay_as_they_are() -> None:
    image = keras.Input((8, 8, 6))
    model = keras.Model(image, layers.Conv2D(4, 3, strides=2)(image))
    with strides_before_pointwise():
        assert strided_kernels(model)
