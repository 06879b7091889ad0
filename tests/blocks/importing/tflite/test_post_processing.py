"""The end of a file that has no rule stays what it is, and reads what the graph before it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.blocks.importing.tflite.post_processing import post_processing_of
from legodnn.native_stderr import native_stderr_silenced
from legodnn.runtime.tflite.detection_options import output_shapes
from legodnn.runtime.tflite.fitting import fit_for_stores
from legodnn.runtime.tflite.model_file import FileGraph, parse_model_file
from legodnn.runtime.tflite.model_writer import write_model_file
from tests.blocks.importing.tflite.compared import by_interpreter, converted
from tests.runtime.tflite.detection_files import OPTIONS
from tests.runtime.tflite.detection_files import detector as detection_file
from tests.runtime.tflite.tflite_files import T, one

SHAPE = (1, 8, 8, 3)
KERNEL = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 3, 5)), tf.float32)


def scores(x: Any) -> Any:
    return tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME"))


ENDS: dict[str, Callable[[Any], Any]] = {
    "argmax": lambda x: tf.argmax(scores(x), -1, output_type=tf.int32),
    "scores beside their argmax": lambda x: (lambda s: (s, tf.argmax(s, -1, output_type=tf.int32)))(scores(x)),
    "the largest, and what follows": lambda x: tf.math.top_k(tf.reshape(scores(x), (1, 320)), 3)[0] * 2.0,
    "two branches": lambda x: (tf.cumsum(scores(x), 1), tf.argmax(tf.sigmoid(scores(x)), -1, output_type=tf.int64)),
}


def both(content: bytes, x: np.ndarray[Any, Any]) -> list[Any]:
    """What the graph before the end and the end's own file give one after another, as outputs of the whole."""
    post = post_processing_of(content)
    assert post is not None
    graph = graph_of(content, "f", cut_at=post.cut_at)
    heads = [np.asarray(y) for y in as_list(graph(x, training=False))]
    read = heads[: len(post.reads)]
    assert tuple(y.shape[1:] for y in read) == post.reads
    gives = by_interpreter(post.content, read)
    assert [g.shape[1:] for g in gives] == [spec.shape for spec in post.gives]
    return [gives[n] if n >= 0 else heads[-1 - n] for n in post.finals]


@pytest.mark.parametrize("name", ENDS)
def test_graph_and_end_together_compute_the_file(name: str) -> None:
    content = converted(ENDS[name], SHAPE)
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    for found, wanted in zip(both(content, x), by_interpreter(content, [x]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_an_end_reads_no_shapes_of_a_file_whose_batch_is_open() -> None:
    x = image = keras.Input(SHAPE[1:])
    x = layers.Reshape((192,))(keras.ops.cumsum(layers.Conv2D(3, 3, padding="same")(x), 1))
    with native_stderr_silenced():
        content = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, x)).convert()
    data = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    (found,), (wanted,) = both(content, data), by_interpreter(content, [data])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_what_a_quantised_file_hands_over_is_quantised_again() -> None:
    content = converted(ENDS["argmax"], SHAPE, "int8")
    x = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    post = post_processing_of(content)
    assert post is not None
    (found,), (wanted,) = both(content, x), by_interpreter(content, [x])
    assert (found == wanted).mean() > 0.9  # but for the rounding that the float graph does not do


def detector() -> bytes:
    """A network with two heads, and the custom operator that chooses among the boxes that they give."""

    def heads(x: Any) -> Any:
        boxes, classes = (tf.reshape(y, (1, 64, -1)) for y in tf.split(scores(x)[..., :], (4, 1), -1))
        return boxes * 0.1, tf.concat([tf.sigmoid(classes), tf.sigmoid(-classes)], -1)

    rng = np.random.default_rng(2)
    anchors = np.concatenate([rng.random((64, 2)), np.full((64, 2), 0.3)], 1).astype(np.float32)
    graph, end = (parse_model_file(fit_for_stores(c)) for c in (converted(heads, SHAPE), detection_file()))
    made = [replace(t, shape=s) for t, s in zip(end.tensors[-4:], output_shapes(OPTIONS), strict=True)]
    constant = replace(end.tensors[2], shape=anchors.shape, data=anchors.view(np.uint8).ravel())
    at = len(graph.tensors)
    last = replace(end.operators[0], inputs=(*graph.outputs, at), outputs=tuple(range(at + 1, at + 5)))
    tensors = tuple(replace(t, name=f"t{i}") for i, t in enumerate((*graph.tensors, constant, *made)))
    return write_model_file(FileGraph(tensors, graph.inputs, last.outputs, (*graph.operators, last)))


def test_a_detector_ends_in_the_operator_that_chooses_boxes() -> None:
    content = detector()
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    post = post_processing_of(content)
    assert post is not None
    assert post.kinds == ("CUSTOM TFLite_Detection_PostProcess",)
    for found, wanted in zip(both(content, x), by_interpreter(content, [x]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


WITHOUT: dict[str, Callable[[], bytes]] = {
    "a rule for everything": lambda: converted(scores, SHAPE),
    "only operators without one": lambda: converted(lambda x: tf.cumsum(x, 1), SHAPE),
    "a custom operator": lambda: one("CUSTOM", [T(SHAPE)], [T(SHAPE)]),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_there_is_none(name: str) -> None:
    assert post_processing_of(WITHOUT[name]()) is None
