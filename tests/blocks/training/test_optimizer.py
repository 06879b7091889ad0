"""Layers compute in bfloat16 where that is asked for, and only as long."""

from __future__ import annotations

import contextlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.training.optimizer import adam, bfloat16, check_mixed_precision, compile_for, relative_rates
from legodnn.blocks.training.variables import values
from legodnn.errors import ConfigError
from tests.blocks.training.interrupted import Interrupted


def test_layers_compute_in_bfloat16_meanwhile_and_keep_their_weights_and_policies(model_file: Path) -> None:
    models = [piece.model for piece in extract(keras.saving.load_model(model_file))[:2]]
    x = np.ones((1, *models[0].input_shape[1:]), np.float32)
    policies = [[layer.dtype_policy for layer in model.layers] for model in models]

    def dtypes() -> tuple[str, set[str]]:
        return keras.backend.standardize_dtype(models[0](x).dtype), {str(w.dtype) for m in models for w in m.weights}

    with bfloat16(models, on=False):
        assert dtypes() == ("float32", {"float32"})
    with contextlib.suppress(Interrupted), bfloat16([*models, models[0]], on=True):
        assert dtypes() == ("bfloat16", {"float32"})
        raise Interrupted
    assert dtypes() == ("float32", {"float32"})
    assert [[layer.dtype_policy for layer in model.layers] for model in models] == policies


def test_the_learning_rate_falls_to_a_hundredth() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    compile_for(model, 1e-2, 4, "mse")
    x, rates = np.ones((2, 3), np.float32), []
    for _ in range(5):
        rates.append(float(model.optimizer.learning_rate))
        model.train_on_batch(x, np.ones((2, 2), np.float32))
    assert rates[0] == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(1e-4)
    assert sorted(rates, reverse=True) == rates


def test_a_variable_with_a_factor_is_trained_at_that_times_the_rate() -> None:
    def trained(rate: float, factor: float) -> np.ndarray:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
        compile_for(model, rate, 5, "mse", {id(model.trainable_variables[0]): factor})
        for _ in range(5):
            model.train_on_batch(np.ones((2, 3), np.float32), np.zeros((2, 1)))
        return model.get_weights()[0]

    np.testing.assert_allclose(trained(1e-2, 3.0), trained(3e-2, 1.0), rtol=1e-5)
    assert np.abs(trained(1e-2, 3.0) - trained(1e-2, 1.0)).max() > 1e-2


def test_variables_of_one_model_have_factors_of_their_own_and_others_the_rate_itself() -> None:
    model = keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(1, use_bias=False) for _ in range(3))])
    first, second, third = model.trainable_variables
    compile_for(model, 1e-2, 5, "mse", {id(first): 3.0, id(third): 0.5})
    before = values([first, second, third])
    model.train_on_batch(np.ones((2, 3), np.float32), np.full((2, 1), 9.0))
    steps = [np.abs(new - old).max() for new, old in zip(values([first, second, third]), before, strict=True)]
    np.testing.assert_allclose(steps, [3e-2, 1e-2, 5e-3], rtol=1e-3)  # the first step of Adam is the rate


def test_the_update_in_one_operation_is_adams() -> None:
    def trained(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((5,))
        model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(4, "relu")(inputs)))
        model.compile(optimizer, "mse")
        rng = np.random.default_rng(0)
        for _ in range(20):
            model.train_on_batch(rng.normal(size=(8, 5)).astype(np.float32), rng.normal(size=(8, 3)))
        return values([*model.weights, *model.optimizer.variables])

    schedule = keras.optimizers.schedules.CosineDecay(0.05, 20, alpha=0.01)
    found, wanted = trained(adam(schedule)), trained(keras.optimizers.Adam(schedule))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_mixed_precision_is_refused_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(ConfigError, match="TensorFlow sees no GPU: leave it out, or see `legodnn doctor`"):
        check_mixed_precision()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    check_mixed_precision()


def test_small_kernels_are_trained_at_rates_that_are_smaller_in_proportion() -> None:
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(2, 3, kernel_initializer=keras.initializers.Constant(0.3))(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(2, 2, kernel_initializer=keras.initializers.Constant(-0.005))(x)
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="zeros")(x))
    factors = relative_rates(model)
    kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
    assert [factors[id(v)] for v in kernels] == pytest.approx([1.0, 0.05, 0.01])
    others = [v for v in model.trainable_variables if len(v.shape) == 1]
    assert len(others) == 5
    assert {factors[id(v)] for v in others} == {1.0}
