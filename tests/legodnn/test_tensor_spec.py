"""Tensors hold numbers as their type can; inputs are made of pixels as the store says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from legodnn.errors import InputError
from legodnn.tensor_spec import InputSpec, TensorSpec

INT8 = TensorSpec(name="x", shape=(3,), dtype="int8", scale=0.5, zero_point=-4)


def test_numbers_are_rounded_to_what_integers_stand_for() -> None:
    elements = INT8.from_numbers(np.array([1.3, 2.0, -1e9]))
    assert (elements.dtype, elements.tolist()) == (np.int8, [-1, 0, -128])
    assert INT8.to_numbers(elements).tolist() == [1.5, 2.0, -62.0]
    assert INT8.zeros().tolist() == [0, 0, 0]
    assert (INT8.bytes, TensorSpec(name="x", shape=(3, 2)).bytes) == (3, 24)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_whole_number_stands_for_nan_and_infinity(value: float) -> None:
    with pytest.raises(InputError, match="'x' got NaN or infinity"):
        INT8.from_numbers(np.array([0.0, value, 0.0]))
    floats = TensorSpec(name="x", shape=(3,))
    np.testing.assert_array_equal(floats.from_numbers(np.array([value, 1e300])), np.array([value, np.inf], np.float32))


@given(st.sampled_from(["uint8", "int8"]), st.floats(1e-6, 1e3), st.integers(-128, 255), st.data())
def test_elements_stay_what_they_are_on_the_way_through_numbers(
    dtype: str, scale: float, zero: int, data: st.DataObject
) -> None:
    limits = np.iinfo(dtype)
    document = {"name": "x", "shape": (1,), "dtype": dtype, "scale": scale, "zero_point": zero}
    if not limits.min <= zero <= limits.max:
        with pytest.raises(ValidationError, match="is no"):
            TensorSpec.model_validate(document)
        return
    spec = TensorSpec.model_validate(document)
    elements = np.array([data.draw(st.integers(limits.min, limits.max))], dtype)
    np.testing.assert_array_equal(spec.from_numbers(spec.to_numbers(elements)), elements)


def test_floats_have_no_scale() -> None:
    with pytest.raises(ValidationError, match="x: float32 has no scale and no zero point"):
        TensorSpec(name="x", shape=(3,), scale=0.5)
    numbers = np.array([0.1, 2, 3])
    assert TensorSpec(name="x", shape=(3,)).from_numbers(numbers).dtype == np.float32


def test_pixels_are_scaled_and_then_quantised() -> None:
    spec = InputSpec(name="x", shape=(1, 2, 1), dtype="uint8", scale=1 / 64, zero_point=64, range=(-1.0, 1.0))
    assert spec.from_pixels(np.array([[[0], [255]]], np.uint8)).tolist() == [[[0], [128]]]


@pytest.mark.parametrize("number", [2.0, np.float64(2), np.array(2), np.array([2, 3])[0]])
def test_one_number_is_an_array_without_axes(number: float) -> None:
    for spec in (TensorSpec(name="x", shape=()), INT8.model_copy(update={"shape": ()})):
        elements = spec.from_numbers(number)  # type: ignore[arg-type]
        assert isinstance(elements, np.ndarray)
        assert (elements.shape, elements.dtype, float(spec.to_numbers(elements))) == ((), spec.dtype, 2.0)
