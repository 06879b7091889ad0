"""Outputs are compared relative to what is wanted, and models on inputs that are the same each time."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.importing.difference import (
    fitted_error,
    relative_difference,
    relative_error,
    same_function,
    sample_inputs,
)

WANTED = np.random.default_rng(0).normal(2, 3, (5, 4, 3)).astype(np.float32)


@given(scale=st.floats(-0.5, 0.5))
def test_the_difference_of_a_scaled_output_is_the_scale(scale: float) -> None:
    assert relative_difference(WANTED * (1 + scale), WANTED) == pytest.approx(abs(scale), abs=1e-5)


def test_the_worst_image_counts() -> None:
    found = WANTED.copy()
    found[3] *= 1.25
    assert relative_difference(found, WANTED) == pytest.approx(0.25, abs=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_must_stand_in_the_same_places(value: float) -> None:
    wanted = WANTED.copy()
    wanted[1, 2, 0] = value
    assert relative_difference(wanted, wanted) == 0
    assert relative_difference(WANTED, wanted) == float("inf")


def test_outputs_of_one_function_differ_by_rounding_alone() -> None:
    assert same_function([WANTED, WANTED * np.float32(1 + 1e-4)], [WANTED, WANTED])
    assert not same_function([WANTED, WANTED * np.float32(1.01)], [WANTED, WANTED])


def test_the_error_is_0_for_the_target_and_1_for_its_mean() -> None:
    assert float(relative_error([WANTED], [WANTED])) == 0
    constant = np.full_like(WANTED, WANTED.mean())
    assert float(relative_error([constant], [WANTED])) == pytest.approx(1, rel=1e-5)
    assert float(relative_error([constant, WANTED], [WANTED, WANTED])) == pytest.approx(0.5, rel=1e-5)


def test_sample_inputs_hold_scaled_images_and_pixels_and_are_the_same_each_time() -> None:
    image, numbers, flags = (
        keras.Input((4, 4, 3)),
        keras.Input((4, 4, 3), dtype="uint8"),
        keras.Input((7,), dtype="int32"),
    )
    model = keras.Model([image, numbers, flags], [image, numbers, flags])
    first, again = sample_inputs(model), sample_inputs(model)
    for x, y, t in zip(first, again, model.inputs, strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == t.dtype
        assert x.shape == (4, *t.shape[1:])
    assert first[0][:2].max() <= 1 < first[0][2:].max() <= 255
    assert first[1].max() > 200
    assert set(np.unique(first[2])) == {0, 1}


def test_chunks_have_errors_of_their_own_over_the_variance_of_all() -> None:
    target = np.random.default_rng(0).normal(3, 2, (12, 5)).astype(np.float32)
    output = target + np.repeat([[0.0], [1.0], [2.0]], 4, axis=0).astype(np.float32)
    found = np.asarray(relative_error([output, output], [target, target], chunks=3))
    np.testing.assert_allclose(found, np.array([0, 1, 4]) / target.var(), rtol=1e-4, atol=1e-6)
    assert found.mean() == pytest.approx(float(relative_error([output], [target])), rel=1e-5)


def test_a_target_that_is_constant_gives_a_finite_error() -> None:
    target = np.full((4, 3), 0.5, np.float32)
    assert float(relative_error([target], [target])) == 0
    assert np.isfinite(float(relative_error([target + 1], [target])))


@given(st.lists(st.floats(-4, 4).filter(lambda s: abs(s) > 0.1), min_size=3, max_size=3), st.floats(-9, 9))
def test_scales_and_offsets_of_channels_are_no_fitted_error(scales: list[float], offset: float) -> None:
    found = WANTED * np.array(scales, np.float32) + offset
    assert float(fitted_error([found], [WANTED])) == pytest.approx(0, abs=1e-4)


def test_outputs_that_say_nothing_have_a_fitted_error_of_1_and_none_has_more() -> None:
    noise = np.random.default_rng(1).normal(size=(500, 4, 3)).astype(np.float32)
    wanted = np.random.default_rng(2).normal(size=(500, 4, 3)).astype(np.float32)
    assert float(fitted_error([np.full_like(WANTED, 7)], [WANTED])) == 1
    assert 0.99 < float(fitted_error([9 * noise], [wanted])) <= 1
    assert float(fitted_error([9 * noise, wanted], [wanted, wanted])) == pytest.approx(0.5, abs=0.01)


def test_fitted_error_is_what_the_best_line_through_each_channel_leaves() -> None:
    rng = np.random.default_rng(3)
    found, wanted = (rng.normal(size=(60, 2)).astype(np.float32) for _ in range(2))
    wanted += found * [0.5, -2]
    left = [np.square(np.polyval(np.polyfit(x, y, 1), x) - y).mean() for x, y in zip(found.T, wanted.T, strict=True)]
    assert float(fitted_error([found], [wanted])) == pytest.approx(sum(left) / wanted.var(axis=0).sum(), rel=1e-4)


def test_sample_inputs_of_embeddings_are_places_in_them() -> None:
    words, kind = keras.Input((10,), name="words"), keras.Input((1,), name="kind")
    inner = keras.Sequential([keras.Input((1,)), keras.layers.Flatten(), keras.layers.Embedding(2, 4)])
    x = keras.layers.Embedding(20, 4)(keras.ops.cast(words, "int32"))
    found = sample_inputs(keras.Model([words, kind], [x, inner(kind)]))
    assert set(np.unique(found[0])) <= set(range(20))
    assert found[0].max() > 2
    assert set(np.unique(found[1])) <= {0, 1}
    assert [a.dtype for a in found] == ["float32", "float32"]
