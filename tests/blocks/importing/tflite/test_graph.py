# ruff: noqa: E501 (tables of files)
"""Whole files: precisions, names, sizes that are not fixed, what is refused, and damaged files.

Covers also: blocks.importing.tflite.file, blocks.importing.tflite.sparsity.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks.importing.models import open_model
from legodnn.blocks.importing.tflite.graph import graph_of, load_tflite
from legodnn.blocks.importing.tflite.sparsity import Sparsity, dense
from legodnn.errors import ModelError
from tests.blocks.importing.tflite.compared import converted, differences, imported, kinds
from tests.blocks.pruning.test_prune import NO_SHRINKING, small_model
from tests.fuzz.tflite_damage import damaged
from tests.runtime.tflite.tflite_files import BASE, T, changed, one, options, packed, whole

X = T((1, 6, 8, 4))


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    x = image = keras.Input((12, 12, 3), name="image")
    for filters in (16, 24):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D()(layers.DepthwiseConv2D(3, padding="same")(x))
    return keras.Model(image, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


# How far the float32 graph may be from the file that rounds: the file's own rounding, of 8 bits.
PRECISIONS = {"float32": 1e-5, "float16": 1e-5, "dynamic": 0.02, "int8": 0.05, "uint8 in and out": 0.05}


@pytest.mark.parametrize("how", PRECISIONS)
def test_a_file_of_any_precision_becomes_a_float32_graph(
    network: keras.Model, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = converted(network, how=how)
    with caplog.at_level(logging.WARNING):
        model = graph_of(content, "file.tflite")
    assert max(differences(model, content)) <= PRECISIONS[how]
    assert {w.dtype for w in model.weights} == {"float32"}
    assert ("dequantised" in caplog.text) == (how not in ("float32", "float16"))
    assert model.inputs[0].dtype == ("uint8" if how == "uint8 in and out" else "float32")


def test_the_dequantised_weights_are_scale_times_the_distance_from_the_zero_point() -> None:
    w = T((2, 1, 1, 4), 9, np.arange(8, dtype=np.int8).reshape(2, 1, 1, 4), (0.5, 0.25))
    file = schema.ModelT.InitFromPackedBuf(
        bytearray(one("CONV_2D", [X, w, None], [T((1, 6, 8, 2))], options("Conv2DOptions", strideW=1, strideH=1))), 0
    )
    file.subgraphs[0].tensors[1].quantization.zeroPoint = [1, 2]
    kernel = graph_of(packed(file), "f").layers[1].get_weights()[0]
    np.testing.assert_allclose(kernel[0, 0].T, [[-0.5, 0, 0.5, 1], [0.5, 0.75, 1, 1.25]])


@settings(max_examples=6, phases=NO_SHRINKING, deadline=None)
@given(data=st.data())
def test_random_graphs_come_back_as_the_same_function(random_weights: Any, data: st.DataObject) -> None:
    original = random_weights(small_model(data.draw), data.draw(st.integers(0, 99)))
    imported(converted(original))


@pytest.mark.slow
@settings(max_examples=200, phases=NO_SHRINKING, deadline=None)
@given(data=st.data())
def test_many_more_random_graphs(random_weights: Any, data: st.DataObject) -> None:
    original = random_weights(small_model(data.draw), data.draw(st.integers(0, 99)))
    imported(converted(original))


def test_a_file_opens_like_any_model(network: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(converted(network))
    model = open_model(str(path))
    assert model.name == "net"
    assert kinds(model)[-1] == "Softmax"
    with pytest.raises(ModelError, match=r"cut_at is for \.tflite"):
        open_model("vgg16", cut_at=("x",))


def test_a_model_can_end_at_a_tensor(network: keras.Model) -> None:
    content = converted(network)
    whole_model = graph_of(content, "f")
    cut = graph_of(content, "f", cut_at=[whole_model.layers[-2].name])
    assert cut.output_shape == (None, 5)
    assert kinds(cut) == kinds(whole_model)[:-1]
    with pytest.raises(ModelError, match="there is no computed tensor 'no' to cut at"):
        graph_of(content, "f", cut_at=["no"])


def test_an_operator_without_a_rule_is_named_with_its_place_and_where_to_cut() -> None:
    content = converted(lambda x: tf.math.cumsum(tf.nn.relu(x), 1), (1, 6, 8, 4))
    with pytest.raises(ModelError, match=r"^f: operator 1 \(CUMSUM\), which gives '.*': there is no rule for it") as e:
        graph_of(content, "f")
    before = str(e.value).split("--cut-at ")[1].split(" ends")[0]
    assert kinds(graph_of(content, "f", cut_at=[before])) == ["ReLU"]


def sized(*signature: int, zero: bool = False) -> bytes:
    """A convolution and a reshape to rows of an image whose sizes are not fixed where the signature has -1."""
    content = converted(lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 4, 2)), 1, "SAME"), (1, 6, 8, 4))
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for tensor in model.subgraphs[0].tensors:
        if len(tensor.shape) == 4 and tensor.shape[0] == 1:
            tensor.shapeSignature = [*signature, tensor.shape[3]]
    return packed(model)


def test_sizes_that_the_file_does_not_fix_are_given() -> None:
    with pytest.raises(ModelError, match=r"shape \(None, None, None, 4\), which fixes not all sizes.*--input-shape"):
        graph_of(sized(-1, -1, -1), "f")
    assert graph_of(sized(-1, -1, -1), "f", input_shape=(10, 12, 4)).output_shape == (None, 10, 12, 2)
    assert graph_of(sized(-1, 6, 8), "f").output_shape == (None, 6, 8, 2)
    with pytest.raises(ModelError, match="does not fit"):
        graph_of(sized(-1, -1, -1), "f", input_shape=(10, 12, 3))


def _quantised_otherwise(model: Any) -> None:
    quantisation = model.subgraphs[0].tensors[0].quantization = schema.QuantizationParametersT()
    quantisation.details = schema.CustomQuantizationT()
    quantisation.detailsType = schema.QuantizationDetails.CustomQuantization


REFUSED = {
    "another quantisation": (changed(_quantised_otherwise), "quantised in a way that is not known"),
    "several images": (one("RELU", [T((2, 4))], [T((2, 4))]), "first size must be 1"),
    "strings": (one("RELU", [T((1, 4), 5)], [T((1, 4))]), "takes string"),
    "int4": (one("ADD", [X, T((4,), 17, np.zeros(2, np.int8), (1.0,))], [X], options("AddOptions")), "of a type without"),
    "control flow": (one("WHILE", [X], [X]), "control flow"),
    "a custom operator": (one("CUSTOM", [X], [X]), r"operator 0 \(CUSTOM .*no rule"),
    "a computed axis": (one("MEAN", [X, T((1,), 2)], [T((1, 6, 4))], options("ReducerOptions")), "first size|constant"),
    "an axis beyond": (one("MEAN", [X, whole(7)], [T((1, 6, 4))], options("ReducerOptions")), "axis 7 of 4"),
    "weights that do not fit": (one("CONV_2D", [X, T((2, 1, 1, 3), data=np.zeros((2, 1, 1, 3), np.float32)), None], [T((1, 6, 8, 2))], options("Conv2DOptions", strideW=1, strideH=1)), r"operator 0 \(CONV_2D\)"),
    "strides of 0": (one("CONV_2D", [X, T((2, 1, 1, 4), data=np.zeros((2, 1, 1, 4), np.float32)), None], [T((1, 6, 8, 2))], options("Conv2DOptions")), r"strides are \(0, 0\)"),
    "no file": (b"", "no .tflite file"),
    "text": (b"TFL3" * 9, "no .tflite file"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_a_line(name: str) -> None:
    content, message = REFUSED[name]
    with pytest.raises(ModelError, match=message) as caught:
        graph_of(content, "f")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        load_tflite(tmp_path / "none.tflite")


def test_damaged_files_are_refused_or_become_models() -> None:
    for number in range(150):
        content, _ = damaged(BASE, np.random.default_rng((7, number)))
        try:
            graph_of(content, "f")
        except ModelError:
            continue


@given(st.data())
def test_a_sparse_constant_is_dense_again(data: st.DataObject) -> None:
    """Rows that are compressed behind dense dimensions, in any order of the dimensions."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    array = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-1, 2, shape).astype(np.float32)
    stored = array.transpose(order)
    rows = stored.reshape(-1, stored.shape[-1])
    indices = [np.flatnonzero(row) for row in rows]
    segments = np.cumsum([0, *map(len, indices)])
    compressed = (0, (segments, np.concatenate(indices).astype(np.int64)))
    sparsity = Sparsity(order, (), (*((d, None) for d in stored.shape[:-1]), compressed))
    found = dense(rows[rows != 0], tuple(shape), sparsity, "w")
    np.testing.assert_array_equal(found, array)


def test_a_sparse_constant_of_blocks_is_dense_again() -> None:
    """Of a matrix 4x4 in blocks 2x2, the upper left and the lower right one."""
    rows = (0, (np.array([0, 1, 2]), np.array([0, 1])))
    sparsity = Sparsity((0, 1, 2, 3), (0, 1), ((2, None), rows, (2, None), (2, None)))
    found = dense(np.arange(1, 9), (4, 4), sparsity, "w")
    np.testing.assert_array_equal(found, [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]])
    for broken in (
        Sparsity((0, 1, 2), (0, 1), sparsity.dimensions),
        Sparsity((0, 1, 2, 3), (0, 5), sparsity.dimensions),
        Sparsity((0, 1, 2, 3), (0, 1), ((2, None), (0, (np.array([0, 9, 2]), np.array([0, 1]))), (2, None), (2, None))),
        Sparsity((0, 1, 2, 3), (0, 1), ((2, None), (0, (np.array([0, 1, 2]), np.array([0, 7]))), (2, None), (2, None))),
        Sparsity((0, 1, 2, 3), (0, 1), ((1 << 30, None), rows, (2, None), (2, None))),
    ):
        with pytest.raises(ModelError, match="layout does not fit"):
            dense(np.arange(1, 9), (4, 4), broken, "w")
