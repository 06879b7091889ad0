"""What a rewrite makes of a model computes the same, in fewer operators; what cannot be rewritten stays as it is."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks.export.convert import Runner, concrete_function, convert, convert_function
from legodnn.blocks.export.rewrite import (
    REWRITES,
    affines,
    affines_as_depthwise,
    affines_into_convolutions,
    nearest_upsampling_as_resizing,
    stand_ins,
    wiring_of,
)
from legodnn.blocks.importing.difference import largest_difference
from legodnn.blocks.importing.graph import as_list, run_calls
from legodnn.errors import ModelError
from legodnn.manifest import Precision
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.runtime.whole_models.store_of_files import pack_files

CONVOLUTION, DEPTHWISE, RESIZE_NEAREST = 3, 4, 97


def kinds(content: bytes) -> Counter[int]:
    return Counter(operator.code for operator in parse_model_file(content).operators)


def without_rewrites(model: keras.Model) -> bytes:
    return convert_function(concrete_function(model, 1, ()), model.name, 1, "float32", ())


def norm(channels: int, rng: np.random.Generator, rank: int = 4, **options: Any) -> layers.BatchNormalization:
    """A batch norm with statistics as training leaves them."""
    layer = layers.BatchNormalization(**options)
    layer.build((None,) * (rank - 1) + (channels,))
    for weight in layer.weights:
        kind = weight.name
        weight.assign(
            rng.uniform(0.2, 2.0, channels) if kind in ("gamma", "moving_variance") else rng.normal(size=channels)
        )
    return layer


def random_model(seed: int, shape: tuple[int, int, int], kinds_of_layers: list[str], end: str) -> keras.Model:
    """A chain of layers, with a second branch that reads what some of them make."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input(shape)
    kept = None
    for kind in kinds_of_layers:
        channels = x.shape[-1]
        if kind == "norm":
            x = norm(channels, rng, scale=bool(rng.integers(2)), center=bool(rng.integers(2)))(x)
        elif kind == "rescaling":
            x = layers.Rescaling(rng.uniform(0.5, 2, channels).tolist(), offset=float(rng.normal()))(x)
        elif kind == "normalization":
            x = layers.Normalization(mean=rng.normal(size=channels), variance=rng.uniform(0.1, 2, channels))(x)
        elif kind == "relu":
            x = layers.ReLU()(x)
        elif kind == "keep":
            kept = x
        elif kind == "add" and kept is not None and kept.shape == x.shape:
            x = layers.Add()([x, kept])
        elif kind == "up":
            x = layers.UpSampling2D((2, 3), interpolation="nearest")(x)
        elif kind == "depthwise":
            x = layers.DepthwiseConv2D(2, padding=str(rng.choice(["same", "valid"])), depth_multiplier=2)(x)
        elif kind.startswith("conv"):
            size, padding = int(kind[4]), kind[5:]
            x = layers.Conv2D(
                int(rng.integers(1, 20)), size, padding=padding, activation="relu", use_bias=bool(seed % 2)
            )(x)
    if end == "dense":
        x = layers.Dense(3)(norm(x.shape[-1], rng, rank=2)(layers.GlobalAveragePooling2D()(x)))
    return keras.Model(inputs, [x, kept] if kept is not None and end == "both" else x)


LAYERS = ("norm", "rescaling", "normalization", "relu", "keep", "add", "up", "depthwise", "conv1same", "conv2valid")


@settings(max_examples=8)
@given(
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(5, 7), st.integers(5, 7), st.sampled_from([1, 3, 16, 20])),
    chain=st.lists(st.sampled_from((*LAYERS, "conv2same", "norm")), min_size=1, max_size=5),
    end=st.sampled_from(["dense", "both", "plain"]),
)
def test_rewritten_models_compute_the_same(seed: int, shape: tuple[int, int, int], chain: list[str], end: str) -> None:
    if chain.count("up") > 1 or chain.count("conv2valid") + chain.count("depthwise") > 3:
        return
    model = random_model(seed, shape, chain, end)
    if not model.layers[1:]:
        return
    x = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)
    expected = [keras.ops.convert_to_numpy(y) for y in as_list(model(x, training=False))]
    for rewrites in (REWRITES, *((one,) for one in REWRITES)):
        found = run_calls(model, [x], False, stand_ins(model, rewrites))
        for y, wanted in zip(found, expected, strict=True):
            assert largest_difference(keras.ops.convert_to_numpy(y), wanted) <= 1e-5


def pre_activation(channels: int) -> keras.Model:
    """A batch norm and ReLU before a padded convolution, as in DenseNet: the addition's other reader keeps it apart."""
    x = inputs = keras.Input((6, 6, channels))
    x = layers.ReLU()(norm(channels, np.random.default_rng(0))(x))
    return keras.Model(inputs, layers.Add()([layers.Conv2D(channels, 3, padding="same")(x), inputs]))


def test_a_lone_batch_norm_and_its_activation_are_one_operator() -> None:
    model = pre_activation(24)
    before, after = kinds(without_rewrites(model)), kinds(convert(model))
    assert after == Counter({DEPTHWISE: 1, CONVOLUTION: 1, 0: 1})
    assert after.total() == before.total() - 1
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 24)).astype(np.float32)
    assert largest_difference(Runner(convert(model))(x)[0], Runner(without_rewrites(model))(x)[0]) <= 1e-5


def test_in_int8_it_is_one_operator_and_no_less_exact() -> None:
    model, x = pre_activation(24), np.random.default_rng(0).normal(size=(8, 6, 6, 24)).astype(np.float32)
    exact = keras.ops.convert_to_numpy(model(x, training=False))
    after = convert(model, 1, "int8", [x])
    before = convert_function(concrete_function(model, 1, ()), model.name, 1, "int8", [x])
    assert kinds(after)[DEPTHWISE] == 1
    assert kinds(after).total() < kinds(before).total()
    off = [np.sqrt(np.mean((Runner(content)(x)[0] - exact) ** 2)) for content in (before, after)]
    assert off[1] <= 1.1 * off[0]


@pytest.mark.parametrize(("size", "padding", "folded"), [(1, "same", True), (2, "valid", True), (2, "same", False)])
def test_what_scales_an_input_is_folded_where_nothing_is_padded(size: int, padding: str, folded: bool) -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])(layers.Rescaling(0.5, offset=-1.0)(inputs))
    model = keras.Model(inputs, layers.Conv2D(4, size, padding=padding, strides=size)(x))
    assert (len(parse_model_file(convert(model)).operators) == 1) == folded
    assert bool(stand_ins(model)) == folded  # three channels as a depthwise convolution would be slower


@pytest.mark.parametrize("constant", [5.0, 300.0])
def test_a_feature_that_was_always_the_same_is_normalised_exactly(constant: float) -> None:
    x = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    x[:, 3] = constant
    normalisation = layers.Normalization()
    normalisation.adapt(x)
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(4)(layers.Dense(16, "relu")(normalisation(inputs))))
    wanted = model.predict(x, verbose=0)
    tolerances: dict[Precision, float] = {"float32": 1e-5, "float16": 1e-2}
    for precision, most in tolerances.items():
        assert largest_difference(Runner(convert(model, 1, precision))(x)[0], wanted) < most


def test_vectors_of_zeros_stay_zeros_where_lengths_become_1() -> None:
    a, b = keras.Input((6,)), keras.Input((6,))
    outputs = [
        layers.UnitNormalization()(a),
        keras.ops.normalize(b),
        layers.Dot(1, normalize=True)([a, b]),
        layers.Dot((1, -1), normalize=True)([b, a]),
    ]
    model = keras.Model([a, b], outputs)
    x, y = np.random.default_rng(0).normal(size=(2, 8, 6)).astype(np.float32)
    x[0], y[1], x[2] = 0, 0, x[2] * 1e-4
    wanted = model.predict([x, y], verbose=0)
    floats: list[Precision] = ["float32", "float16"]
    for precision in floats:
        for found, y_wanted in zip(Runner(convert(model, 1, precision))(x, y), wanted, strict=True):
            assert largest_difference(found, y_wanted) < 1e-5
    for found in Runner(convert(model, 1, "int8", [x, y]))(x, y):
        assert np.isfinite(found).all()


def test_a_batch_norm_that_the_converter_folds_or_that_others_read_stays() -> None:
    inputs = keras.Input((6, 6, 16))
    conv, lone = layers.Conv2D(16, 3)(inputs), norm(16, np.random.default_rng(0))
    assert not stand_ins(keras.Model(inputs, norm(16, np.random.default_rng(0))(conv)))
    y = lone(inputs)
    shared = keras.Model(inputs, [layers.Conv2D(4, 1)(y), layers.Conv2D(4, 1)(y)])
    assert not affines_into_convolutions(wiring_of(shared))
    assert len(affines_as_depthwise(wiring_of(shared))) == 1
    assert [len(affine.calls) for affine in affines(wiring_of(shared))] == [1]


def test_upsampling_by_repeating_pixels_is_one_operator() -> None:
    inputs = keras.Input((3, 5, 4))
    model = keras.Model(inputs, layers.UpSampling2D((2, 3))(inputs))
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 4)).astype(np.float32)
    assert kinds(convert(model)) == Counter({RESIZE_NEAREST: 1})
    np.testing.assert_array_equal(Runner(convert(model))(x)[0], x.repeat(2, 1).repeat(3, 2))
    smooth = keras.Model(inputs, layers.UpSampling2D(2, interpolation="bilinear")(inputs))
    assert not nearest_upsampling_as_resizing(wiring_of(smooth))


def test_a_model_with_nothing_to_rewrite_gives_the_file_that_it_gave() -> None:
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs)))
    assert convert(model) == without_rewrites(model)


def test_executors_give_the_same_bits_of_what_was_rewritten(tmp_path: Path) -> None:
    model = pre_activation(24)
    y = layers.UpSampling2D(2)(model.outputs[0])
    file = tmp_path / "net.tflite"
    file.write_bytes(convert(keras.Model(model.inputs, y)))
    store = pack_files([file], tmp_path / "store", accuracy=[1.0])
    x = np.random.default_rng(0).normal(size=(6, 6, 24)).astype(np.float32)
    found = []
    for kind in ("capi", "interpreter"):
        with closing(open_executor(store, kind)) as executor:
            runnable = executor.compose(covering_compositions(store)[0])
            found.append(runnable.run({store.manifest.inputs[0].name: x}))
    for name in store.manifest.outputs:
        np.testing.assert_array_equal(found[0][name], found[1][name])


@pytest.mark.parametrize("kind", [layers.MaxPooling3D, layers.AveragePooling3D])
@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(2, None, "valid"), ((1, 2, 2), None, "valid"), ((3, 2, 3), (2, 1, 2), "same"), ((2, 3, 1), 1, "same")],
)
def test_volumes_are_pooled_though_there_is_no_operator_for_it(
    kind: Any, size: Any, strides: Any, padding: str
) -> None:
    clip = keras.Input((5, 6, 7, 3))
    model = keras.Model(clip, kind(size, strides, padding)(clip))
    with pytest.raises(ModelError, match="cannot be converted"):
        without_rewrites(model)
    x = np.random.default_rng(0).normal(size=(4, 5, 6, 7, 3)).astype(np.float32)
    wanted = np.asarray(model(x))
    for batch in (1, 4):
        np.testing.assert_allclose(Runner(convert(model, batch))(x)[0], wanted, atol=1e-6)
