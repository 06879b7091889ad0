"""Refitted descendants start closer to the original's responses than what pruning leaves.

Covers also: blocks.importing.difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from keras import layers, ops

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.graph import calls, submodel
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.reconstruct import features, refit, split_images
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.pruning.surgery import remove

Body = Callable[[Any], Any]


def convolutions(x: Any) -> Any:
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.Conv2D(8, 3, 2, padding="same", activation=None)(layers.ReLU()(x))
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1, use_bias=False)(x)))


def residual(x: Any) -> Any:
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same", use_bias=False)(y))
    return layers.ReLU()(layers.Add()([x, y]))


def dense(x: Any) -> Any:
    return layers.Dense(5)(layers.Dense(12, activation="relu")(layers.Flatten()(x)))


def activated(x: Any) -> Any:
    """Layers with activations of their own, as most Keras models have them."""
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, 2, use_bias=False, activation="gelu")(x))
    return layers.Dense(5, activation="softmax")(layers.Dense(12, activation="relu")(layers.Flatten()(x)))


def separate(x: Any) -> Any:
    """The same with activations as layers."""
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.BatchNormalization()(layers.Activation("gelu")(layers.Conv2D(8, 3, 2, use_bias=False)(x)))
    return layers.Softmax()(layers.Dense(5)(layers.ReLU()(layers.Dense(12)(layers.Flatten()(x)))))


def used_again(x: Any) -> Any:
    """Layers that are called twice, of which one reads two scales."""
    head = layers.Conv2D(4, 3, padding="same", name="head")
    again = layers.Conv2D(8, 3, padding="same", activation="relu", name="again")
    large = again(again(layers.Conv2D(8, 3, padding="same", activation="relu")(x)))
    small = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(large)
    return layers.Concatenate(axis=1)([layers.Reshape((-1, 4))(head(y)) for y in (large, again(small))])


def learned_activations(x: Any) -> Any:
    """Layers whose activations have weights of their own, with a bias and without."""
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, 2, padding="same", activation=prelu())(x)
    x = layers.SeparableConv2D(8, 3, use_bias=False, activation=prelu())(layers.Conv2D(8, 1, activation="relu")(x))
    x = layers.Conv2DTranspose(6, 2, activation=prelu())(layers.Conv2D(8, 1, activation="relu")(x))
    return layers.Dense(5, activation=prelu())(layers.Dense(12, activation="relu")(layers.Flatten()(x)))


def normalised_rows(x: Any) -> Any:
    """A batch norm with a mean for each row, which is no offset of the channels that it reads."""
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    return layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1, use_bias=False)(x))


def prelu() -> layers.PReLU:
    return layers.PReLU(alpha_initializer=keras.initializers.RandomUniform(0.1, 0.5))


def block(body: Body) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, body(inputs))
    model(images(1, 0))  # Keras makes the weights of activations when they first run
    return model


def images(count: int, seed: int) -> np.ndarray:
    """Smooth ones: neighbouring values belong together, as in real features."""
    noise = np.random.default_rng(seed).normal(size=(count, 10, 10, 3))
    smooth = sum(noise[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)) / 3
    return np.asarray(smooth, np.float32)


@pytest.mark.parametrize(
    "body", [convolutions, residual, dense, activated, used_again, learned_activations, normalised_rows]
)
@pytest.mark.parametrize("sparsity", [0.25, 0.5])
def test_a_refitted_block_is_closer_to_the_original_on_other_images(body: Body, sparsity: float) -> None:
    original = block(body)
    channels = analyse(original)
    removed = choose(original, channels, Target("sparsity", sparsity))
    plain, fitted = (remove(original, channels, removed) for _ in range(2))
    refit(original, fitted, channels, removed, [images(300, 1)])
    x = images(100, 2)
    wanted = original(x, training=False)
    before, after = (float(ops.mean(ops.square(m(x, training=False) - wanted))) for m in (plain, fitted))
    assert after < 0.8 * before


def test_an_activation_may_be_a_layer_of_its_own_or_not() -> None:
    found = []
    for body in (activated, separate):
        original = block(body)
        channels = analyse(original)
        removed = choose(original, channels, Target("sparsity", 0.5))
        student = remove(original, channels, removed)
        refit(original, student, channels, removed, [images(300, 1)])
        found.append(ops.convert_to_numpy(student(images(50, 2), training=False)))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_the_kernel_is_the_least_squares_solution() -> None:
    original = block(dense)
    calls(original)[-1].operation.bias.assign(np.arange(5))
    channels = analyse(original)
    removed = choose(original, channels, Target("sparsity", 0.5))
    fitted = remove(original, channels, removed)
    x = images(400, 1)
    refit(original, fitted, channels, removed, [x])
    ([x], [held_out]) = split_images([x])
    assert (len(x), len(held_out)) == (320, 80)
    read = submodel(fitted.inputs, [calls(fitted)[-1].inputs[0]], "read")
    a = np.column_stack([read(x), np.ones(len(x))])
    expected = np.linalg.lstsq(a, ops.convert_to_numpy(original(x)), rcond=None)[0]
    kernel, bias = calls(fitted)[-1].operation.get_weights()
    np.testing.assert_allclose(kernel, expected[:-1], atol=2e-3)
    np.testing.assert_allclose(bias, expected[-1], atol=2e-3)


def test_nothing_changes_where_nothing_was_removed_and_the_original_never_does() -> None:
    original = block(convolutions)
    before = original.get_weights()
    pieces = [Piece("block1", "block", original, ("x",), ("block1",), ())]
    [(piece, x)] = features(pieces, images(50, 1))
    (_, light), (_, heavy) = descendants(piece.model, [Target("sparsity", s) for s in (0.01, 0.5)], STRATEGIES["l1"], x)
    for a, b, c in zip(before, original.get_weights(), light.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert heavy.count_params() < original.count_params()


Geometry = dict[str, Any]
GEOMETRIES: list[tuple[type[keras.layers.Layer], Geometry]] = [
    *(
        (layers.Conv2D, {"kernel_size": kernel, "dilation_rate": dilation, "padding": padding})
        for kernel, dilation in (
            ((3, 3), (1, 1)), ((3, 3), (2, 2)), ((3, 3), (1, 3)), ((1, 3), (1, 2)), ((1, 3), (1, 4)), ((3, 1), (2, 1)),
            ((2, 3), (3, 1)),
        )
        for padding in ("same", "valid")
    ),
    *(
        (layers.Conv2D, {"kernel_size": (3, 2), "strides": strides, "padding": padding, "groups": groups})
        for strides, padding, groups in ((2, "same", 1), ((1, 3), "valid", 1), (2, "same", 2), (1, "valid", 4))
    ),
    (layers.Conv2D, {"kernel_size": (2, 3), "dilation_rate": (1, 2), "padding": "same", "groups": 2}),
    (layers.Conv1D, {"kernel_size": 3, "dilation_rate": 2, "padding": "causal"}),
    (layers.Conv1D, {"kernel_size": 3, "strides": 2, "groups": 2}),
    (layers.Conv3D, {"kernel_size": (1, 2, 3), "dilation_rate": (1, 2, 1), "padding": "same"}),
    (layers.Conv2DTranspose, {"kernel_size": (3, 2), "strides": 2, "padding": "same"}),
    (layers.Conv2DTranspose, {"kernel_size": (2, 3), "strides": (3, 2), "activation": "relu"}),
    (layers.Conv2DTranspose, {"kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
    (layers.Conv1DTranspose, {"kernel_size": 4, "strides": 2, "padding": "same"}),
    (layers.Conv3DTranspose, {"kernel_size": 2, "strides": (1, 2, 1)}),
    (layers.SeparableConv2D, {"kernel_size": 3, "strides": 2, "padding": "same"}),
    (layers.SeparableConv2D, {"kernel_size": (3, 2), "depth_multiplier": 2, "activation": "relu"}),
    (layers.SeparableConv1D, {"kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
]  # fmt: skip


def with_geometry(kind: type[keras.layers.Layer], options: Geometry, seed: int = 0) -> keras.Model:
    """ReLU between a convolution and one of this geometry, biases as after training."""
    keras.utils.set_random_seed(seed)
    sizes = {"1": (16, 3), "2": (9, 10, 3), "3": (3, 6, 6, 3)}
    inputs = keras.Input(next(size for dimensions, size in sizes.items() if f"Conv{dimensions}D" in kind.__name__))
    model = keras.Model(inputs, kind(8, **options)(layers.ReLU()(kind(16, 1)(inputs))))
    rng = np.random.default_rng(seed)
    for call in calls(model):
        if call.kind != "ReLU":
            call.operation.bias.assign(rng.normal(size=call.operation.bias.shape))
    return model


def errors(original: keras.Model, sparsity: float, seen: np.ndarray, new: np.ndarray) -> list[float]:
    """Relative errors for new images, pruned and refitted to those seen."""
    found = (
        descendants(original, [Target("sparsity", sparsity)], STRATEGIES["l1"], [seen], fitted)[0][1]
        for fitted in (False, True)
    )
    return [float(relative_error([m(new, training=False)], [original(new, training=False)])) for m in found]


@pytest.mark.parametrize(("kind", "options"), GEOMETRIES)
def test_refitting_helps_whatever_a_convolutions_geometry(kind: type[keras.layers.Layer], options: Geometry) -> None:
    original = with_geometry(kind, options)
    x = np.random.default_rng(1).normal(size=(300, *original.input_shape[1:])).astype(np.float32)
    pruned, refitted = errors(original, 0.25, x[:200], x[200:])
    assert refitted < 0.95 * pruned


@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    geometry=st.sampled_from(GEOMETRIES),
    sparsity=st.sampled_from([0.25, 0.5, 0.75]),
    seed=st.integers(0, 99),
    count=st.integers(1, 30),
)
def test_refitting_is_never_worse_on_images_held_out(
    geometry: tuple[type[keras.layers.Layer], Geometry], sparsity: float, seed: int, count: int
) -> None:
    original = with_geometry(*geometry, seed)
    x = np.random.default_rng(seed).normal(size=(count, *original.input_shape[1:])).astype(np.float32)
    _, (held_out,) = split_images([x])
    pruned, refitted = errors(original, sparsity, x, held_out)
    assert refitted <= pruned


@pytest.mark.parametrize("body", [convolutions, residual, dense])
def test_a_refit_that_does_not_help_is_undone(body: Body) -> None:
    original, x = block(body), images(60, 1)
    x[:48] = 5 * x[:1]  # what it is fitted to is another kind of image than what is held out
    half = [Target("sparsity", 0.5)]
    (_, pruned), (_, refitted) = (
        descendants(original, half, STRATEGIES["l1"], [x], fitted)[0] for fitted in (False, True)
    )
    wanted = original(x[48:], training=False)
    before, after = (float(ops.mean(ops.square(m(x[48:], training=False) - wanted))) for m in (pruned, refitted))
    assert after <= before


def test_refitting_again_changes_little() -> None:
    """A layer whose batch norm took an offset keeps it; it does not get it twice."""
    original, x = block(residual), images(100, 1)
    channels = analyse(original)
    removed = choose(original, channels, Target("sparsity", 0.5))
    student = remove(original, channels, removed)
    found = []
    for _ in range(2):
        refit(original, student, channels, removed, [x])
        found.append(float(relative_error([student(x, training=False)], [original(x, training=False)])))
    assert found[1] <= 1.02 * found[0]
