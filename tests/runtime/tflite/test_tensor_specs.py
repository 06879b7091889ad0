"""What a file takes and gives is described as manifests do, and what cannot be passed on is refused."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.runtime.tflite.model_file import FileTensor, Refused
from legodnn.runtime.tflite.tensor_specs import spec_of
from legodnn.tensor_spec import TensorSpec


def tensor(*shape: int, dtype: str = "int8", scales: tuple[float, ...] = (0.5,)) -> FileTensor:
    zero_points = np.full(len(scales), -3, np.int64)
    return FileTensor(shape, dtype, None, np.array(scales, np.float32), zero_points, axis=0)


def test_whole_numbers_have_a_scale_and_a_zero_point() -> None:
    assert spec_of(tensor(1, 2, 4), "x", "input") == TensorSpec(
        name="x", shape=(2, 4), dtype="int8", scale=0.5, zero_point=-3
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (tensor(1, 2, scales=(0.5, 0.25)), "its input 'x' has a scale for each channel"),
        (tensor(2, 2), "does not begin with a batch of 1"),
        (tensor(), "does not begin with a batch of 1"),
        (tensor(1, 2, dtype="float16", scales=()), "is of float16; .* are passed on"),
    ],
)
def test_what_cannot_be_passed_on_is_refused(given: FileTensor, message: str) -> None:
    with pytest.raises(Refused, match=message):
        spec_of(given, "x", "input")
