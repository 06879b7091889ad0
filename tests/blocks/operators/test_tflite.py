"""Pruned blocks are smaller .tflite files with the same operators."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.export.convert import check_converted, convert
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.prune import descendant
from legodnn.runtime.executors.interpreter import open_interpreter


def conv(filters: int, **options: Any) -> Any:
    return layers.Conv2D(filters, 3, padding="same", **options)


def inverted_residual_with_gate(x: Any) -> Any:
    y = layers.Activation("hard_swish")(layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x)))
    y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
    gate = layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(y))
    gate = layers.Conv2D(16, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    return layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(8, 1)(layers.Multiply()([y, gate])))])


def separable(x: Any) -> Any:
    return conv(8)(layers.PReLU(shared_axes=[1, 2])(layers.SeparableConv2D(16, 3, padding="same")(conv(16)(x))))


def transposed(x: Any) -> Any:
    return layers.Conv2DTranspose(8, 2, strides=2)(layers.Conv2DTranspose(16, 2, strides=2, activation="relu")(x))


def grouped(x: Any) -> Any:
    return conv(8)(conv(16, groups=2, activation="relu")(conv(16, activation="relu")(x)))


def dense_vector(x: Any) -> Any:
    return layers.Dense(8)(layers.Flatten()(layers.AveragePooling2D(2)(conv(16, activation="relu")(x))))


def convnext(x: Any) -> Any:
    y = layers.LayerNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
    return x + layers.Dense(8)(layers.Activation("gelu")(layers.Dense(32)(y)))


def operators(content: bytes) -> set[str]:
    details = open_interpreter(model_content=content, threads=1)._get_ops_details()
    return {d["op_name"] for d in details} - {"DELEGATE"}


@pytest.mark.parametrize("body", [inverted_residual_with_gate, separable, transposed, grouped, dense_vector, convnext])
def test_the_file_of_half_a_block_is_smaller_and_has_no_other_operator(random_weights: Any, body: Any) -> None:
    inputs = keras.Input((8, 8, 8))
    block = random_weights(keras.Model(inputs, body(inputs)))
    pruned = descendant(block, 0.5)
    before, after = convert(block), convert(pruned)
    assert macs(pruned) < macs(block)
    assert len(after) < len(before)
    assert operators(after) <= operators(before)
    check_converted(
        after, pruned, [np.random.default_rng(0).normal(size=(3, 8, 8, 8)).astype(np.float32)], "half a block"
    )
