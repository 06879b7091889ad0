"""What is computed at once is what the layers give one by one: outputs, gradients and kept statistics."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks.importing.graph import run_calls
from legodnn.blocks.training.fused_calls import run_fused, run_together
from legodnn.blocks.training.variables import values

Build = Callable[[Any, int], Any]


class OwnNorm(layers.BatchNormalization):
    """A batch norm of a user's own, which doubles what it gives."""

    def call(self, x: Any, training: bool = False) -> Any:
        return 2 * super().call(x, training=training)


def _residual(x: Any, width: int) -> Any:
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(x)))
    y = layers.BatchNormalization(scale=False)(layers.Conv2D(6, 3, padding="same")(y))
    shortcut = layers.BatchNormalization(center=False, epsilon=1e-5)(layers.Conv2D(6, 1)(x))
    return layers.ReLU()(layers.Add()([shortcut, y]))


def _strided(x: Any, width: int) -> Any:
    x = layers.Conv2D(width, 3, strides=2, dilation_rate=1)(x)
    return layers.Conv2D(6, 1, strides=2)(layers.Activation("relu")(layers.BatchNormalization(axis=3)(x)))


def _read_twice(x: Any, width: int) -> Any:
    """The convolution's output is read by the batch norm and by another layer."""
    y = layers.Conv2D(width, 3, padding="same")(x)
    return layers.Conv2D(6, 1)(layers.Concatenate()([layers.BatchNormalization()(y), layers.ReLU(max_value=1.0)(y)]))


def _unusual(x: Any, width: int) -> Any:
    """Layers that are run as they are."""
    x = layers.Conv2D(width, 3, activation="tanh")(x)
    x = OwnNorm()(layers.DepthwiseConv2D(3)(layers.BatchNormalization()(x)))
    return layers.Dense(6)(layers.BatchNormalization(axis=1)(layers.LeakyReLU()(x)))


def _grouped(x: Any, width: int) -> Any:
    return layers.BatchNormalization()(layers.Conv2D(2 * width, 3, groups=2)(x))


def _small(x: Any, width: int) -> Any:
    """Images of one pixel, of which there are fewer than a kernel has inputs."""
    x = layers.MaxPooling2D(9)(x)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)))
    return layers.BatchNormalization(scale=False)(layers.Conv2D(6, 3, padding="same", use_bias=False)(x))


def _causal(x: Any, width: int) -> Any:
    """Convolutions along time that see the past alone, as of a TCN."""
    x = layers.Conv1D(width, 3, padding="causal", dilation_rate=2)(layers.Reshape((81, 6))(x))
    return layers.Conv1D(6, 2, padding="causal")(layers.ReLU()(layers.BatchNormalization()(x)))


CASES = [_residual, _strided, _read_twice, _unusual, _grouped, _small, _causal]


def made(build: Build, width: int, seed: int) -> keras.Model:
    """A model with random weights and statistics."""
    x = keras.Input((9, 9, 6))
    model = keras.Model(x, build(x, width))
    rng = np.random.default_rng(seed)
    for v in model.weights:
        v.assign(
            rng.uniform(0.5, 1.5, v.shape) if "variance" in v.path or "gamma" in v.path else rng.normal(size=v.shape)
        )
    return model


def outcome(models: list[keras.Model], run: Callable[[Any], list[Any]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs and gradients of a step, and the statistics after it."""
    x = tf.constant(np.random.default_rng(9).normal(size=(5, 9, 9, 6)).astype(np.float32))
    trainable = [v for m in models for v in m.trainable_variables]
    statistics = [v for m in models for v in m.non_trainable_variables]
    before = values(statistics)

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = run(x)
            loss = sum(tf.reduce_mean(y**2) for y in outputs)
        return outputs, tape.gradient(loss, [x, *(v.value for v in trainable)])

    outputs, gradients = step()
    after = values(statistics)
    for v, old in zip(statistics, before, strict=True):
        v.assign(old)
    return [np.asarray(y) for y in (*outputs, *gradients)], after


def assert_same(found: Any, wanted: Any) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("build", CASES)
def test_a_model_gives_what_its_layers_give(build: Build, training: bool) -> None:
    model = made(build, 4, 0)
    wanted = outcome([model], lambda x: run_calls(model, [x], training))
    assert_same(outcome([model], lambda x: run_together([model], [x], training)[0]), wanted)
    if not training:
        assert_same(outcome([model], lambda x: run_fused(model, [x])), wanted)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("build", CASES)
def test_models_that_run_together_give_what_each_gives_alone(build: Build, training: bool) -> None:
    models = [made(build, width, width) for width in (5, 2, 1)]
    wanted = outcome(models, lambda x: [y for m in models for y in run_calls(m, [x], training)])
    found = outcome(models, lambda x: [y for ys in run_together(models, [x], training) for y in ys])
    assert_same(found, wanted)


def operations(run: Callable[[Any], Any]) -> list[str]:
    graph = tf.function(run).get_concrete_function(tf.TensorSpec((5, 9, 9, 6), tf.float32)).graph
    return [op.type for op in graph.get_operations()]


def test_batch_norms_are_gone_in_inference_and_one_operation_in_training() -> None:
    models = [made(_residual, width, 0) for width in (5, 2, 1)]
    kept = operations(lambda x: run_fused(models[0], [x]))
    assert "FusedBatchNormV3" not in kept
    assert kept.count("Conv2D") == kept.count("BiasAdd") == 3
    assert operations(lambda x: run_together(models[:1], [x], True)).count("FusedBatchNormV3") == 3
    together = operations(lambda x: run_together(models, [x], True))
    assert together.count("Conv2D") == together.count("FusedBatchNormV3") == 2 + 3


def test_of_a_kernel_and_what_it_writes_the_smaller_one_is_scaled() -> None:
    models = [made(build, 8, 0) for build in (_residual, _small)]
    large, small = (operations(functools.partial(lambda model, x: run_fused(model, [x]), model)) for model in models)
    assert "Mul" not in large[large.index("Conv2D") : large.index("BiasAdd")]
    assert "Mul" in small[small.index("Conv2D") : small.index("BiasAdd")]


def test_frozen_batch_norms_keep_their_statistics_in_training() -> None:
    model = made(_residual, 4, 0)
    for layer in model.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    before = values(model.non_trainable_variables)
    wanted = outcome([model], lambda x: run_calls(model, [x], True))
    found = outcome([model], lambda x: run_together([model], [x], True)[0])
    assert_same(found, wanted)
    assert_same([found[1]], [before])
