"""What differs in an array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from legodnn.arrays import AnyArray, percentiles, unique_values


@given(arrays(np.int64, array_shapes(min_side=0, max_dims=2), elements={"min_value": -3, "max_value": 3}))
def test_the_different_elements_are_those_of_numpy(array: AnyArray) -> None:
    found = unique_values(array)
    np.testing.assert_array_equal(found, np.unique(array))
    assert found.dtype == array.dtype


@pytest.mark.parametrize("array", [np.zeros(0), np.array(7), np.array([True, False, True]), np.array([2.5, 2.5])])
def test_odd_arrays(array: AnyArray) -> None:
    np.testing.assert_array_equal(unique_values(array), np.unique(array))


@given(st.lists(st.floats(0, 1e6), min_size=1), st.lists(st.floats(0, 100), min_size=1, max_size=3))
def test_percentiles_are_those_of_numpy(values: list[float], percents: list[float]) -> None:
    np.testing.assert_allclose(percentiles(values, *percents), np.percentile(values, percents), rtol=1e-9, atol=1e-9)
