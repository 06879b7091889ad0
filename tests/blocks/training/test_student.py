"""A student is done after its patience, and keeps its best weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from legodnn.blocks.array_tree import flatten, unflatten
from legodnn.blocks.training.student import Student
from legodnn.errors import ModelError


def student() -> Student:
    inputs = keras.Input((2,))
    return Student("block1", 0, keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs)))


def test_a_student_is_done_after_its_patience_and_keeps_its_best_weights() -> None:
    found = student()
    for epoch, error in enumerate([0.5, 0.3, 0.299, 0.31, 0.2, 0.25, 0.25]):
        assert not found.done
        found.model.set_weights([np.full((2, 1), epoch, np.float32)])
        found.record_error(error, patience=2)
        assert found.stale == [0, 0, 1, 2, 0, 1, 2][epoch]
        found.done = epoch == 6 and found.done
    assert found.done
    assert found.best == 0.2
    np.testing.assert_array_equal(found.best_weights[0], np.full((2, 1), 4))


def test_a_student_goes_on_from_its_state() -> None:
    first, second = student(), student()
    for error in (0.5, 0.2, 0.21):
        first.record_error(error, patience=3)
    first.moments = [np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)]
    second.restore(unflatten(flatten(first.state())))
    assert (second.best, second.stale, second.done) == (0.2, 1, False)
    for a, b in (
        (first.model.get_weights(), second.model.get_weights()),
        (first.moments, second.moments),
        (first.best_weights, second.best_weights),
    ):
        for found, expected in zip(a, b, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_an_error_that_is_not_finite_is_refused_by_block_and_descendant(error: float) -> None:
    with pytest.raises(ModelError, match="distillation of block1, descendant 1, diverged; lower the learning rate"):
        student().record_error(error, patience=2)


def test_weights_that_are_not_finite_are_refused_even_where_the_error_is() -> None:
    found = student()
    found.model.set_weights([np.full((2, 1), np.nan, np.float32)])
    with pytest.raises(ModelError, match="distillation of block1, descendant 1, diverged; lower the learning rate"):
        found.record_error(0.5, patience=2)
