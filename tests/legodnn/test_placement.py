"""Points go into a model's input where the pixels go, whatever is fitted, and come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.images import Frame, fit_array
from legodnn.placement import cut_away, placed
from legodnn.tensor_spec import ImageFit

pytest.importorskip("PIL.Image")
FITS: list[ImageFit] = ["stretch", "crop", "letterbox"]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("picture", [(60, 90), (90, 40)])
def test_a_spot_of_a_picture_lies_where_its_middle_is_placed(fit: ImageFit, picture: tuple[int, int]) -> None:
    size = (45, 48)
    pixels = np.zeros((*picture, 1), np.uint8)
    pixels[30:36, 15:21] = 255
    seen = fit_array(pixels, Frame((*size, 1), fit))[..., 0].astype(float)
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = placed(picture, size, fit).into_input(np.array([18.0, 33.0]))
    assert ((seen * (columns + 0.5)).sum() / seen.sum()) == pytest.approx(x, abs=0.1)
    assert ((seen * (rows + 0.5)).sum() / seen.sum()) == pytest.approx(y, abs=0.1)


@settings(max_examples=50)
@given(st.sampled_from(FITS), *(st.tuples(st.integers(1, 300), st.integers(1, 300)) for _ in range(2)))
def test_points_come_back(fit: ImageFit, picture: tuple[int, int], size: tuple[int, int]) -> None:
    place, points = placed(picture, size, fit), np.array([[0.0, 0.0], [picture[1], picture[0]], [3.5, 2.25]])
    np.testing.assert_allclose(place.into_picture(place.into_input(points)), points, atol=1e-6)
    corners = place.into_input(points[:2])
    if fit == "stretch":
        np.testing.assert_allclose(corners, [[0, 0], size[::-1]], atol=1e-6)
    elif fit == "letterbox":
        assert (corners >= -1e-6).all()
        assert (corners <= np.array(size[::-1]) + 1e-6).all()
    else:
        assert (corners[0] <= 1e-6).all()
        assert (corners[1] >= np.array(size[::-1]) - 1e-6).all()


@pytest.mark.parametrize("picture", [(450, 600), (600, 450), (1800, 2400)])
def test_a_side_that_is_kept_whole_is_cut_by_nothing_and_not_by_less(picture: tuple[int, int]) -> None:
    assert picture[0] / 224 * 224 > picture[0] or picture[1] / 224 * 224 > picture[1], "as rounded"
    assert (fit_array(np.full((*picture, 1), 7, np.uint8), Frame((224, 224, 1), "crop")) == 7).all()
    assert min(cut_away(picture, (224, 224))) == 0
