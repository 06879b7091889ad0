"""What differs in an array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from legodnn.arrays import AnyArray, unique_values


@given(arrays(np.int64, array_shapes(min_side=0, max_dims=2), elements={"min_value": -3, "max_value": 3}))
def test_the_different_elements_are_those_of_numpy(array: AnyArray) -> None:
    found = unique_values(array)
    np.testing.assert_array_equal(found, np.unique(array))
    assert found.dtype == array.dtype


@pytest.mark.parametrize("array", [np.zeros(0), np.array(7), np.array([True, False, True]), np.array([2.5, 2.5])])
def test_odd_arrays(array: AnyArray) -> None:
    np.testing.assert_array_equal(unique_values(array), np.unique(array))
