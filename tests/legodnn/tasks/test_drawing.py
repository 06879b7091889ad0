"""What was found is seen in the picture, in the colour of its class, and the rest of the picture stays."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.tasks import Decoded, FoundAnomaly, FoundAreas, FoundBox, FoundClass, FoundPoint
from legodnn.tasks.drawing import colour_of, draw

pytest.importorskip("PIL.Image")
GRAY = np.full((100, 160, 3), 90, np.uint8)


def drawn(found: Decoded, picture: np.ndarray = GRAY, limbs: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    return np.asarray(draw(picture, found, limbs))


def test_small_pictures_are_enlarged_by_a_whole_number() -> None:
    assert drawn(()).shape == (400, 640, 3)
    assert drawn((), GRAY[:, :90, :1]).shape == (400, 360, 3)
    assert drawn((), np.zeros((400, 330, 4), np.uint8)).shape == (400, 330, 3)


def test_a_box_is_an_outline_with_its_label() -> None:
    picture = drawn((FoundBox(20, 30, 60, 80, 3, "cell", 0.75),))
    assert tuple(picture[200, 80]) == tuple(picture[320, 160]) == colour_of(3)
    assert tuple(picture[220, 160]) == (90, 90, 90)
    assert (picture[105:119, 82:130] == 0).all(axis=-1).any()  # the paper of the label, above the box


def test_areas_are_veiled_in_their_colours() -> None:
    classes = np.zeros((10, 16), np.uint16)
    classes[5:, 8:] = 300
    picture = drawn(FoundAreas(classes, {0: "road", 300: "car"}))
    np.testing.assert_allclose(picture[300, 500], (np.array(colour_of(300)) + 90) / 2, atol=1)
    np.testing.assert_allclose(picture[300, 200], (np.array(colour_of(0)) + 90) / 2, atol=1)


def test_key_points_are_dots_joined_by_limbs() -> None:
    points = (FoundPoint("a", 20, 50, 1), FoundPoint("b", 120, 50, 1))
    picture = drawn(points, limbs=((0, 1),))
    assert tuple(picture[200, 80]) == colour_of(0)
    assert tuple(picture[200, 480]) == colour_of(1)
    assert tuple(picture[200, 280]) == (255, 255, 255)
    assert tuple(drawn(points)[200, 280]) == (90, 90, 90)


@pytest.mark.parametrize(
    "found",
    [
        (FoundClass(0, "cat", 0.5), FoundClass(1, "a\nlabel\x1bof two lines", 0.25)),
        FoundAnomaly(0.5, True),
        FoundAnomaly(0.5, None),
    ],
)
def test_classes_and_scores_are_written_at_the_top_left(found: Decoded) -> None:
    picture = drawn(found)
    assert (picture[:16, :30] == 0).any()
    assert (picture[100:] == 90).all()


def test_neighbouring_classes_have_colours_that_differ_much() -> None:
    for number in range(20):
        assert np.abs(np.subtract(colour_of(number), colour_of(number + 1))).max() > 100
