"""What is saved of variables comes back into them, or nothing is changed."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from legodnn.blocks.training.optimizer import compile_for
from legodnn.blocks.training.variables import adam_moments, assign, values


def dense() -> keras.Model:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    compile_for(model, 1e-3, 10, "mse")
    return model


def test_variables_become_arrays_of_their_own_and_arrays_variables() -> None:
    model, other = dense(), dense()
    saved = values(model.variables)
    model.set_weights([w + 1 for w in model.get_weights()])
    assign(other.variables, saved)
    for found, weight, changed in zip(other.get_weights(), saved, model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weight)
        np.testing.assert_array_equal(changed, weight + 1)


@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: [*a, a[0]], lambda a: [a[0], a[1][:1]]])
def test_arrays_that_do_not_fit_change_nothing(change: object) -> None:
    model = dense()
    before = model.get_weights()
    assert callable(change)
    with pytest.raises(ValueError, match="do not fit variables"):
        assign(model.variables, change([w + 1 for w in before]))
    for found, weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, weight)


def test_adam_keeps_two_moments_for_every_weight_in_their_order() -> None:
    model = dense()
    shapes = [tuple(v.shape) for v in adam_moments(model.optimizer)]
    assert shapes == [(3, 2), (3, 2), (2,), (2,)]
