"""Where the points of a picture come to lie in a model's input, and back, by how the picture is brought to its size.

`legodnn.images` brings pictures to the size; labels are moved with them, and what a model finds is moved back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legodnn.arrays import Floats
from legodnn.tensor_spec import ImageFit


@dataclass(frozen=True)
class Placement:
    """How a picture lies in a model's input: a point (x, y) of it comes to (x, y) * scale + shift, both in pixels.

    Attributes:
        scale: across and down.
        shift: to the right and down.
    """

    scale: tuple[float, float]
    shift: tuple[float, float]

    def into_input(self, points: Floats) -> Floats:
        """Return points of the picture as points of the model's input, both of shape (..., 2)."""
        moved: Floats = points * self.scale + np.array(self.shift)
        return moved

    def into_picture(self, points: Floats) -> Floats:
        """Return points of the model's input as points of the picture, both of shape (..., 2)."""
        moved: Floats = (points - np.array(self.shift)) / self.scale
        return moved


def placed(picture: tuple[int, int], size: tuple[int, int], fit: ImageFit) -> Placement:
    """Return how a picture lies in an input.

    Args:
        picture: its height and width.
        size: height and width of the input.
        fit: how pictures of other proportions are treated (see `legodnn.images`).
    """
    (height, width), (high, wide) = picture, size
    if fit == "crop":
        left, top = cut_away(picture, size)
        scale = wide / (width - 2 * left), high / (height - 2 * top)
        return Placement(scale, (-left * scale[0], -top * scale[1]))
    inner_high, inner_wide = inside(picture, size) if fit == "letterbox" else size
    return Placement((inner_wide / width, inner_high / height), ((wide - inner_wide) // 2, (high - inner_high) // 2))


def inside(picture: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width that a picture gets so that all of it lies inside of `size` (height, width)."""
    scale = min(size[0] / picture[0], size[1] / picture[1])
    return max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))


def cut_away(picture: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """Return how much of a picture is cut away at the left (as at the right), and at the top (as at the bottom).

    What is left has the proportions of `size` (height, width).
    """
    part = min(picture[0] / size[0], picture[1] / size[1])
    # Rounding may make the part of a side that is kept whole longer than the side: 450 / 224 x 224 is more than 450.
    return max(0.0, (picture[1] - size[1] * part) / 2), max(0.0, (picture[0] - size[0] * part) / 2)
