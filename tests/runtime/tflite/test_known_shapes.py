"""Files that were converted without a batch size compute the same with shapes that are constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from legodnn.native_stderr import native_stderr_silenced
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.fitting import fit_for_stores
from legodnn.runtime.tflite.flatbuffer import without_notes
from legodnn.runtime.tflite.known_shapes import with_known_shapes
from legodnn.runtime.tflite.model_file import IDENTIFIER, MODEL_SCHEMA, Refused, parse_model_file
from tests.blocks.importing.tflite.compared import by_interpreter
from tests.runtime.tflite.tflite_files import T, one, options, packed, whole

SHAPE = 77


def rows(x: Any) -> Any:
    return layers.Reshape((64, 4))(layers.Conv2D(4, 2, 2)(x))


ENDS: dict[str, Callable[[Any], Any]] = {
    "flatten": lambda x: layers.Dense(4)(layers.Flatten()(x)),
    "reshape": rows,
    "transposed convolution": lambda x: layers.Conv2DTranspose(4, 2, 2)(x),
    "group normalisation": lambda x: layers.GroupNormalization(4)(layers.Conv2D(8, 3)(x)),
    "attention": lambda x: layers.MultiHeadAttention(2, 4)(rows(x), rows(x)),
    "dilated": lambda x: layers.Conv2D(8, 3, dilation_rate=2, padding="same")(x),
    "dilated depthwise": lambda x: layers.DepthwiseConv2D(3, dilation_rate=2)(x),
    "dilated in one dimension": lambda x: layers.Conv1D(4, 3, dilation_rate=2, padding="causal")(rows(x)),
    "recurrent": lambda x: layers.GRU(4, unroll=True)(layers.Reshape((8, 96))(x)),
    "channel shuffle": lambda x: layers.Permute((1, 2, 4, 3))(layers.Reshape((16, 16, 3, 1))(x)),
}


def of_any_batch(end: Callable[[Any], Any]) -> bytes:
    """What the converter makes of a model whose batch is left open, as nearly everybody converts it."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    with native_stderr_silenced():
        content: bytes = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, end(image))).convert()
    return content


@pytest.mark.parametrize("name", ENDS)
def test_a_file_of_any_batch_computes_the_same_with_one(name: str) -> None:
    content = of_any_batch(ENDS[name])
    fit = fit_for_stores(content)
    graph = parse_model_file(fit)
    check_graph(graph)
    assert SHAPE not in {operator.code for operator in graph.operators}
    assert fit_for_stores(fit) == fit
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)
    for found, wanted in zip(by_interpreter(fit, [x]), by_interpreter(content, [x]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_tensors_that_nothing_reads_any_more_are_left_out() -> None:
    graph = parse_model_file(fit_for_stores(of_any_batch(rows)))
    used = {i for o in graph.operators for i in (*o.inputs, *o.outputs)}
    assert used == set(range(len(graph.tensors)))


def test_a_file_whose_batch_alone_is_open_keeps_its_bytes() -> None:
    content = without_notes(of_any_batch(lambda x: layers.Conv2D(8, 3)(x)), IDENTIFIER, MODEL_SCHEMA)
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    assert any(-1 in t.shapeSignature for t in model.subgraphs[0].tensors if t.shapeSignature is not None)
    assert len(fit_for_stores(content)) == len(content)


def test_sizes_that_a_file_fixes_are_not_made_right() -> None:
    graph = parse_model_file(one("RELU", [T((1, 4))], [T((1, 5))]))
    assert with_known_shapes(graph, ()) is graph
    with pytest.raises(Refused, match="where tensor"):
        check_graph(with_known_shapes(graph, (0,)))
    check_graph(with_known_shapes(graph, (1,)))


def test_an_input_of_unknown_size_is_refused() -> None:
    model = schema.ModelT.InitFromPackedBuf(bytearray(one("RELU", [T((1, 4, 4))], [T((1, 4, 4))])), 0)
    for tensor in model.subgraphs[0].tensors:
        tensor.shapeSignature = [-1, -1, 4]
    with pytest.raises(Refused, match="tensor 0 has no fixed shape"):
        fit_for_stores(packed(model))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (one("MUL", [whole(1, 2), whole(1, 2, 3)], [T((2,), 2)], options("MulOptions")), r"operator 0 \(MUL\)"),
        (one("GATHER", [whole(1, 2), whole(5)], [T((1,), 2)], options("GatherOptions")), r"operator 0 \(GATHER\)"),
        (one("SHAPE", [T((1, 2))], []), "operator 0 is of kind 77"),
    ],
)
def test_shapes_that_cannot_be_computed_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message):
        with_known_shapes(parse_model_file(content), (2,))
