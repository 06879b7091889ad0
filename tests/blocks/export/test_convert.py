"""Exported files compute what Keras computes, with operators that every TensorFlow Lite runtime has."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks import zoo
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.export.convert import Runner, check_converted, check_convertible, convert
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.pruning.prune import descendant
from legodnn.errors import ModelError
from legodnn.manifest import Precision
from legodnn.runtime.executors.interpreter import open_interpreter


def operators(content: bytes) -> list[str]:
    found = [op["op_name"] for op in open_interpreter(model_content=content)._get_ops_details()]
    return [name for name in found if name != "DELEGATE"]


def images(model: keras.Model, count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *model.input_shape[1:])).astype(np.float32)


@pytest.fixture(scope="module")
def pieces(tiny_keras_file: Path) -> list[Piece]:
    return extract(keras.saving.load_model(tiny_keras_file))


def test_a_file_computes_what_keras_computes(pieces: list[Piece]) -> None:
    for piece in pieces:
        x = images(piece.model)
        expected = keras.ops.convert_to_numpy(piece.model(x, training=False))
        np.testing.assert_array_equal(check_converted(convert(piece.model), piece.model, [x], piece.name)[0], expected)
        np.testing.assert_allclose(Runner(convert(piece.model))(x)[0], expected, atol=1e-5)


def test_several_inputs_and_outputs_keep_their_order() -> None:
    a, b = keras.Input((4, 4, 2)), keras.Input((4, 4, 2))
    model = keras.Model([a, b], [layers.Subtract()([a, b]), layers.Flatten()(a), layers.Add()([a, b])])
    xs = [np.random.default_rng(i).normal(size=(3, 4, 4, 2)).astype(np.float32) for i in range(2)]
    for batch in (1, 2):
        found = Runner(convert(model, batch))(*xs)
        for y, expected in zip(found, (xs[0] - xs[1], xs[0].reshape(3, -1), xs[0] + xs[1]), strict=True):
            np.testing.assert_allclose(y, expected, atol=1e-6)


def test_blocks_of_the_zoo_use_builtin_operators_and_pruning_adds_none() -> None:
    for make in (zoo.vgg16, zoo.resnet18, zoo.resnet20):
        # The second half of a model has strides and shortcuts in its first block.
        block = next(p.model for p in extract(make(0.1), max_blocks=4)[2:] if p.kind == "block")
        original, pruned = operators(convert(block)), operators(convert(descendant(block, 0.5)))
        assert original
        assert pruned == original
        assert not any(name.startswith("Flex") or name == "CUSTOM" for name in original)


def test_int8_without_a_full_run_to_calibrate_on_is_refused(pieces: list[Piece]) -> None:
    with pytest.raises(ModelError, match="a run takes 8 images, and there are 5 to calibrate on"):
        convert(pieces[0].model, 8, "int8", [images(pieces[0].model, 5)])


def test_batch_norms_are_folded_into_convolutions(pieces: list[Piece]) -> None:
    assert set(operators(convert(pieces[0].model))) <= {"CONV_2D", "MAX_POOL_2D"}


@pytest.mark.slow
@pytest.mark.parametrize("make", [zoo.vgg16, zoo.resnet18, zoo.resnet20])
def test_every_block_of_the_zoo_exports_at_every_sparsity(make: Any) -> None:
    for piece in extract(make(0.1)):
        plain = convert(piece.model)
        check_converted(plain, piece.model, [images(piece.model)], piece.name)
        for sparsity in (0.3, 0.6, 0.9) if piece.kind == "block" else ():
            pruned = descendant(piece.model, sparsity)
            content = convert(pruned)
            check_converted(content, pruned, [images(piece.model)], f"{piece.name} {sparsity}")
            assert operators(content) == operators(plain)
            assert len(content) < len(plain)


def test_a_file_has_the_batch_size_asked_for_and_a_runner_takes_any_number(pieces: list[Piece]) -> None:
    model = pieces[0].model
    content = convert(model, batch=4)
    assert open_interpreter(model_content=content).get_input_details()[0]["shape"].tolist() == [4, 12, 12, 1]
    x = images(model, 9)
    one_by_one = Runner(convert(model))
    for count in (1, 3, 4, 5, 8, 9):
        np.testing.assert_allclose(Runner(content)(x[:count])[0], one_by_one(x[:count])[0], atol=1e-5)


def test_a_file_that_differs_from_keras_is_refused_by_name_and_amount(pieces: list[Piece]) -> None:
    model = pieces[1].model
    other = keras.models.clone_model(model)
    with pytest.raises(ModelError, match=r"block2, option s0: the .tflite file differs from Keras by \d"):
        check_converted(convert(other), model, [images(model)], "block2, option s0")


def test_a_model_that_magnifies_rounding_may_differ_as_much_as_kernels_do() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(512, 8)).astype(np.float32)
    inputs = keras.Input((1024,))
    model = keras.Model(inputs, layers.Dense(8, use_bias=False)(inputs))
    model.layers[-1].set_weights([3e3 * np.concatenate([half, -half])])  # what is left of the sum is rounding
    x = np.tile(rng.random((4, 512), np.float32), 2)
    content = convert(model)
    (wanted,) = check_converted(content, model, [x], "head")
    assert np.abs(Runner(content)(x)[0] - wanted).max() > 1e-4
    model.layers[-1].set_weights([3e3 * np.concatenate([half, -half]) + 0.1])
    with pytest.raises(ModelError, match="differs from Keras by"):
        check_converted(content, model, [x], "head")


def test_one_tensor_that_is_two_outputs_is_written_twice() -> None:
    inputs = keras.Input((4, 4, 3))
    y = layers.ReLU()(layers.Conv2D(2, 1)(inputs))
    model = keras.Model(inputs, [y, layers.Identity()(y), layers.Flatten()(y)])
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 3)).astype(np.float32)
    for found, wanted in zip(
        Runner(convert(model))(x), check_converted(convert(model), model, [x], "head"), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert len(Runner(convert(model, precision="int8", calibration=[x]))(x)) == 3


def test_a_file_that_gives_nan_is_refused() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    good = convert(model)
    model.layers[-1].kernel.assign(model.layers[-1].kernel * np.nan)
    x = images(model)
    with pytest.raises(ModelError, match="differs from Keras by nan"):
        check_converted(good, model, [x], "head")
    with pytest.raises(ModelError, match="differs from Keras by nan"):
        check_converted(convert(model), model, [x], "head")


class Orthogonal(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.linalg.qr(x)[0]

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def test_a_model_that_needs_other_operators_is_refused_by_its_name() -> None:
    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, Orthogonal()(inputs), name="mine")
    with pytest.raises(ModelError, match=r"mine cannot be converted to TensorFlow Lite: .*Qr") as caught:
        convert(model)
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits", image_size=12)


@pytest.fixture(scope="module")
def features(pieces: list[Piece], digits: Dataset) -> list[np.ndarray]:
    """What each piece reads for the same 64 digits: no noise, but zeros and ranges as they come."""
    read = [digits.train.x[:64]]
    for piece in pieces[:-1]:
        read.append(keras.ops.convert_to_numpy(piece.model(read[-1], training=False)))
    return read


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.95), ("int8", 0.8)])
def test_other_precisions_are_smaller_close_and_float32_outside(
    pieces: list[Piece], features: list[np.ndarray], precision: Precision, share: float
) -> None:
    for piece, x in zip(pieces, features, strict=True):
        plain = convert(piece.model)
        for batch in (1, 8):
            content = convert(piece.model, batch, precision, [x])
            interpreter = open_interpreter(model_content=content)
            for tensor in (*interpreter.get_input_details(), *interpreter.get_output_details()):
                assert tensor["dtype"] == np.float32
                assert tensor["shape"][0] == batch
            assert batch > 1 or len(content) < share * len(plain)
            [expected], [found] = Runner(plain)(x[32:]), Runner(content)(x[32:])
            error = np.square(found - expected).mean() / expected.var()
            assert 0 < error < {"float16": 1e-6, "int8": 5e-3}[precision]


def test_int8_computes_in_int8(pieces: list[Piece], features: list[np.ndarray]) -> None:
    found = operators(convert(pieces[0].model, 1, "int8", [features[0]]))
    assert (found[0], found[-1]) == ("QUANTIZE", "DEQUANTIZE")
    assert set(found[1:-1]) == set(operators(convert(pieces[0].model)))


def test_int8_takes_its_ranges_from_the_samples(pieces: list[Piece], features: list[np.ndarray]) -> None:
    x = features[0]
    good, narrow = (
        Runner(convert(pieces[0].model, 1, "int8", [samples]))(x)[0] for samples in (x[:32], x[:32] * np.float32(0.05))
    )
    [expected] = Runner(convert(pieces[0].model))(x)
    assert np.square(good - expected).mean() < 0.1 * np.square(narrow - expected).mean()


def test_int8_keeps_the_order_of_several_inputs_and_outputs() -> None:
    a, b = keras.Input((4, 4, 2)), keras.Input((4, 4, 3))
    model = keras.Model([a, b], [layers.Conv2D(3, 1)(b), layers.Conv2D(2, 3)(a)])
    xs = [np.random.default_rng(i).normal(0, 1 + 9 * i, (40, 4, 4, 2 + i)).astype(np.float32) for i in range(2)]
    for found, expected in zip(Runner(convert(model, 4, "int8", xs))(*xs), Runner(convert(model))(*xs), strict=True):
        assert np.square(found - expected).mean() / expected.var() < 5e-3


SAME = """
import hashlib, sys
import keras
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.export.convert import convert
from legodnn.blocks.cutting.extract import extract

piece = extract(keras.saving.load_model(sys.argv[1]))[0]
x = load_data("digits", image_size=12).train.x[:64]
print(*(hashlib.sha256(convert(piece.model, 1, p, [x])).hexdigest() for p in ("float32", "float16", "int8")))
"""


def test_a_conversion_adds_no_handler_to_the_root_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """One would print every note of this library a second time, and make the program's own `basicConfig` do nothing."""
    inputs = keras.Input((4,))
    monkeypatch.setattr(logging.root, "handlers", [])
    convert(keras.Model(inputs, layers.Dense(2)(inputs)))
    assert logging.root.handlers == []


def test_the_same_model_gives_the_same_bytes_in_another_process_too(
    tiny_keras_file: Path, digits: Dataset, pieces: list[Piece]
) -> None:
    x = digits.train.x[:64]
    contents = [[convert(pieces[0].model, 1, p, [x]) for p in ("float32", "float16", "int8")] for _ in range(2)]
    assert contents[0] == contents[1]
    command = [sys.executable, "-c", SAME, str(tiny_keras_file)]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert other == [hashlib.sha256(content).hexdigest() for content in contents[0]]


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_nothing_in_a_file_tells_of_keras_or_of_the_machine(
    pieces: list[Piece], features: list[np.ndarray], precision: Precision
) -> None:
    content = convert(pieces[1].model, 1, precision, [features[1]])
    interpreter = open_interpreter(model_content=content)
    names = [t["name"] for t in interpreter.get_tensor_details() if t["name"]]
    assert {name[0] for name in names} <= set("xyt")
    assert all(name[1:].isdigit() for name in names)
    assert [t["name"] for t in interpreter.get_input_details()] == ["x0"]
    assert [t["name"] for t in interpreter.get_output_details()] == ["y0"]
    for word in (b"functional", b"conv", b"batch_norm", b"MLIR", b"serving"):
        assert word not in content


def test_a_layer_that_loops_is_refused_and_unrolled_it_is_not() -> None:
    """Loops are control flow, of which a device knows neither the end nor the memory."""
    inputs = keras.Input((4, 3), name="sequence")
    for unroll in (False, True):
        model = keras.Model(inputs, layers.LSTM(2, unroll=unroll)(inputs), name="recurrent")
        if unroll:
            convert(model)
        else:
            with pytest.raises(ModelError, match=r"recurrent .* no device would run it: .* unroll=True"):
                convert(model)


def test_a_segment_that_only_passes_on_is_refused() -> None:
    """LiteRT's C API would leave its output as it was, without an error."""
    inputs = keras.Input((4,))
    with pytest.raises(ModelError, match="no device would run it: an output is given twice, or nothing writes it"):
        convert(keras.Model(inputs, layers.Activation("linear")(inputs)))


def test_a_segment_that_cannot_be_converted_is_refused_with_the_layer() -> None:
    x = inputs = keras.Input((4, 4))
    x = Orthogonal(name="mine")(layers.Dense(4, name="before")(x))
    model = keras.Model(inputs, layers.Dense(4, name="after")(x))
    piece = Piece("block3", "block", model, ("x",), ("block3",), ())
    with pytest.raises(
        ModelError, match=r"^block3: layer mine \(Orthogonal\) cannot be converted to TensorFlow Lite: "
    ):
        check_convertible(piece)
    good = keras.Model(inputs, model.get_layer("before").output)
    check_convertible(Piece("block3", "block", good, ("x",), ("block3",), ()))
