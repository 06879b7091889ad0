"""Images are mirrored and shifted each by itself; what is no image is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.training.variation import varied, varied_inputs
from legodnn.errors import ConfigError

IMAGES = np.arange(40 * 16 * 24 * 2, dtype=np.uint8).reshape(40, 16, 24, 2)


def test_without_being_asked_nothing_is_varied() -> None:
    assert varied(IMAGES, (), np.random.default_rng(0)) is IMAGES


def test_about_half_of_the_images_are_mirrored_and_the_others_as_they_were() -> None:
    found = varied(IMAGES, ("flips",), np.random.default_rng(0))
    mirrored = [bool((new == old[:, ::-1]).all()) for new, old in zip(found, IMAGES, strict=True)]
    same = [bool((new == old).all()) for new, old in zip(found, IMAGES, strict=True)]
    assert [not m for m in mirrored] == same
    assert 10 < sum(mirrored) < 30


@given(st.integers(0, 1000))
def test_a_shifted_image_is_a_part_of_it_with_mirrored_margins(seed: int) -> None:
    found = varied(IMAGES, ("shifts",), np.random.default_rng(seed))
    assert found.dtype == IMAGES.dtype
    wide = np.pad(IMAGES, ((0, 0), (2, 2), (3, 3), (0, 0)), mode="reflect")
    for image, around in zip(found, wide, strict=True):
        assert any((image == around[i : i + 16, j : j + 24]).all() for i in range(5) for j in range(7))


def test_images_are_shifted_as_far_as_an_eighth_and_not_alike() -> None:
    ramp = np.broadcast_to(np.arange(16.0)[None, None, :, None], (200, 16, 16, 1))
    middles = varied(ramp, ("shifts",), np.random.default_rng(0))[:, 0, 8, 0]
    assert sorted(set(middles)) == [6, 7, 8, 9, 10]


def test_the_same_draws_give_the_same_images() -> None:
    first, second = (varied(IMAGES, ("flips", "shifts"), np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_inputs_of_a_step_are_varied_alike_and_as_before() -> None:
    found = varied_inputs({"left": IMAGES, "right": IMAGES + 1}, ("flips", "shifts"), (0, 7, 1))
    np.testing.assert_array_equal(found["left"] + 1, found["right"])
    np.testing.assert_array_equal(found["left"], varied_inputs(IMAGES, ("flips", "shifts"), (0, 7, 1)))
    assert (found["left"] != varied_inputs(IMAGES, ("flips", "shifts"), (0, 8, 1))).any()


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"augment varies images, but inputs here have shape \(7,\)"):
        varied(np.ones((3, 7), np.float32), ("flips",), np.random.default_rng(0))
