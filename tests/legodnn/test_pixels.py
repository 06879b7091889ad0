"""Pixels become a model's input by range, mean and std, each for all channels or for every channel on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from legodnn.pixels import Scaling


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 5, 3)).astype(np.uint8)


finite = st.floats(-100, 100, width=32)


@given(low=finite, high=finite)
def test_the_least_and_largest_pixel_become_the_ends_of_the_range(low: float, high: float) -> None:
    assume(low < high)
    ends = Scaling((low, high))(np.array([[[0], [255]]], np.uint8))
    assert ends.dtype == np.float32
    np.testing.assert_allclose(ends.ravel(), [low, high], rtol=1e-5, atol=1e-4)


@given(mean=st.lists(finite, min_size=3, max_size=3), std=st.lists(st.floats(0.1, 100), min_size=3, max_size=3))
def test_mean_and_deviation_are_those_of_each_channel(mean: list[float], std: list[float]) -> None:
    given_pixels = pixels(2)
    scaled = Scaling((0, 1), tuple(mean), tuple(std))(given_pixels)
    for channel in range(3):
        expected = (given_pixels[..., channel] / 255 - mean[channel]) / std[channel]
        np.testing.assert_allclose(scaled[..., channel], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["mean", "std"])
def test_one_value_stands_for_all_channels_and_another_number_is_refused(name: str) -> None:
    fields: dict[str, Any] = {name: (2.0,)}
    one = Scaling(**fields)(pixels(1))
    fields[name] = (2.0, 2.0, 2.0)
    np.testing.assert_array_equal(one, Scaling(**fields)(pixels(1)))
    fields[name] = (1.0, 2.0)
    with pytest.raises(ValueError, match=f"{name} has 2 values for 3 channels: give one for each, or one for all"):
        Scaling(**fields)(pixels(1))
