"""Convolutions of every second pixel, between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, become dilated layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks.importing.tflite.dilation import with_dilations
from legodnn.blocks.importing.tflite.file import read_tflite
from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.blocks.importing.tflite.post_processing import post_processing_of
from legodnn.errors import ModelError
from legodnn.native_stderr import native_stderr_silenced
from tests.blocks.importing.tflite.compared import imported

DILATED: dict[str, tuple[keras.layers.Layer, tuple[int, int]]] = {
    "same": (layers.Conv2D(5, 3, dilation_rate=2, padding="same", activation="relu"), (2, 2)),
    "valid": (layers.Conv2D(5, 3, dilation_rate=2), (2, 2)),
    "sizes that blocks do not divide": (layers.Conv2D(5, (3, 2), dilation_rate=(2, 3), padding="same"), (2, 3)),
    "depthwise": (layers.DepthwiseConv2D(3, dilation_rate=4, padding="same"), (4, 4)),
}


def of_any_batch(*ends: Any) -> bytes:
    """What the converter makes of layers one after another whose batch is left open."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((13, 16, 3))
    for end in ends:
        x = end(x)
    with native_stderr_silenced():
        content: bytes = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, x)).convert()
    return content


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
def test_a_sequence_of_any_batch_is_convolved_by_one_layer(padding: str) -> None:
    layer = layers.Conv1D(5, 3, dilation_rate=3, padding=padding, activation="relu")
    content = of_any_batch(layers.Conv2D(4, 3), layers.Reshape((22, 28)), layer, layers.Conv1D(2, 3, dilation_rate=2))
    assert "SPACE_TO_BATCH_ND" in {operator.kind for operator in read_tflite(content).operators}
    found = [c for c in imported(content).layers if getattr(c, "dilation_rate", (1, 1)) != (1, 1)]
    assert [tuple(c.dilation_rate) for c in found] == [(1, 3), (1, 2)]
    assert post_processing_of(content) is None


@pytest.mark.parametrize("name", DILATED)
def test_three_operators_become_one_layer(name: str) -> None:
    layer, dilations = DILATED[name]
    content = of_any_batch(layers.Conv2D(4, 3), layer, layers.BatchNormalization())
    assert "SPACE_TO_BATCH_ND" in {operator.kind for operator in read_tflite(content).operators}
    found = [c for c in imported(content).layers if getattr(c, "dilation_rate", (1, 1)) != (1, 1)]
    assert [tuple(c.dilation_rate) for c in found] == [dilations]
    assert post_processing_of(content) is None


def test_what_follows_a_dilated_convolution_can_be_the_end_of_a_file() -> None:
    content = of_any_batch(
        layers.Conv2D(4, 3, dilation_rate=2), lambda x: keras.ops.cumsum(x, 1), layers.Conv2D(4, 2, dilation_rate=2)
    )
    post = post_processing_of(content)
    assert post is not None
    assert post.kinds == ("CUMSUM", "SPACE_TO_BATCH_ND", "CONV_2D", "BATCH_TO_SPACE_ND")
    (kept,) = (c for c in graph_of(content, "f", cut_at=post.cut_at).layers if isinstance(c, layers.Conv2D))
    assert kept.dilation_rate == (2, 2)


def test_other_pieces_of_images_are_refused() -> None:
    kernel = np.ones((3, 3, 3, 2), np.float32)

    def moved(x: Any) -> Any:  # padded to one side only
        pieces = tf.nn.conv2d(tf.space_to_batch(x, (2, 2), ((4, 0), (4, 0))), kernel, 1, "VALID")
        return tf.batch_to_space(pieces, (2, 2), ((0, 0), (0, 0)))

    with pytest.raises(ModelError, match=r"SPACE_TO_BATCH_ND.* there is no rule for it"):
        graph_of(of_any_batch(layers.ZeroPadding2D(((0, 1), (0, 0))), layers.Lambda(moved)), "f")


def test_operators_of_a_damaged_file_are_left_to_their_rules() -> None:
    graph = read_tflite(of_any_batch(layers.Reshape((16, 39)), layers.Conv1D(5, 3, dilation_rate=3)))
    kinds = {operator.kind for operator in with_dilations(graph).operators}
    assert "SQUEEZE" in kinds, "it is a sequence that is convolved"
    for last in [o for o in graph.operators if o.kind == "BATCH_TO_SPACE_ND"]:
        (narrowed,) = (o for o in graph.operators if o.outputs == last.inputs[:1])
        for broken in (replace(narrowed, inputs=()), replace(last, outputs=())):
            damaged = replace(
                graph, operators=tuple(broken if o.number == broken.number else o for o in graph.operators)
            )
            assert with_dilations(damaged).operators == damaged.operators
