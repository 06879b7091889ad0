"""What a model cannot take is refused with what would do."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.arrays import AnyArray
from legodnn.checked_inputs import check_inputs
from legodnn.errors import InputError
from legodnn.store import Store


@pytest.mark.parametrize(
    ("x", "remedy"),
    [
        (np.zeros((1, 12, 12, 1), np.float32), "give one input, without the batch dimension"),
        (np.zeros((5, 12, 12, 1)), "give one input, without the batch dimension"),
        (np.zeros((12, 12, 1)), r"convert it: x\.astype\('float32'\)"),
        (np.zeros((12, 12, 1), np.uint8), r"scale pixels .*; legodnn\.images\.load does it"),
        (np.zeros((24, 24, 3), np.float32), r"scale pixels .*; legodnn\.images\.load does it"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_with_what_to_do(x: AnyArray, remedy: str, tiny_store: Store) -> None:
    with pytest.raises(InputError, match=rf"'faces' takes a float32 array of shape .*, got .*; {remedy}$"):
        check_inputs(tiny_store, "faces", x)
