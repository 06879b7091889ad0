"""Key points: where they are by heat maps or by coordinates, and how near the true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legodnn.arrays import AnyArray, Floats
from legodnn.readings import Coordinates, HeatMaps

_NEAR = 0.2  # a point is right within this share of the larger side of the box around a picture's true points


def found_points(reading: HeatMaps | Coordinates, output: AnyArray, height: int, width: int) -> Floats:
    """Return x, y and score of the points that an output shows by a reading, shape (..., points, 3), in pixels.

    Args:
        reading: the form of the output.
        output: see `heat_map_points` and `coordinate_points`.
        height: of the model's input, in pixels.
        width: likewise.
    """
    return (heat_map_points if isinstance(reading, HeatMaps) else coordinate_points)(output, height, width)


def heat_map_points(maps: AnyArray, height: int, width: int) -> Floats:
    """Return x, y and score of the points that heat maps show, shape (..., points, 3), in pixels of the model's input.

    A point is in the middle of its map's largest element, moved by a quarter of one towards the larger neighbour along
    each axis (Newell et al., Stacked Hourglass Networks, 2016, as in Xiao et al. 2018); the element is the score.

    Args:
        maps: shape (..., rows, columns, points).
        height: of the model's input, in pixels.
        width: likewise.
    """
    rows, columns, points = maps.shape[-3:]
    flat = np.moveaxis(maps.reshape(-1, rows, columns, points), -1, 1).reshape(-1, rows * columns).astype(np.float64)
    each = np.arange(len(flat))
    best = flat.argmax(axis=1)
    row, column = best // columns, best % columns
    padded = np.pad(flat.reshape(-1, rows, columns), ((0, 0), (1, 1), (1, 1)), "reflect")
    right, left = padded[each, row + 1, column + 2], padded[each, row + 1, column]
    below, above = padded[each, row + 2, column + 1], padded[each, row, column + 1]
    x = (column + 0.5 + 0.25 * np.sign(right - left)) * width / columns
    y = (row + 0.5 + 0.25 * np.sign(below - above)) * height / rows
    return np.stack([x, y, flat[each, best]], axis=-1).reshape(*maps.shape[:-3], points, 3)


def coordinate_points(numbers: AnyArray, height: int, width: int) -> Floats:
    """Return x, y and a score of 1 of the points that a regression gives, shape (..., points, 3), in pixels.

    Args:
        numbers: shape (..., 2 points): x and y of each point as shares of width and height.
        height: of the model's input, in pixels.
        width: likewise.
    """
    places = numbers.reshape(*numbers.shape[:-1], -1, 2).astype(np.float64) * (width, height)
    return np.concatenate([places, np.ones((*places.shape[:-1], 1))], axis=-1)


def heat_maps_of(points: Floats, rows: int, columns: int, height: int, width: int, deviation: float = 2.0) -> AnyArray:
    """Return the maps that a network of heat maps is trained for, shape (n, rows, columns, points), float32.

    A map is a Gaussian around its point, whose middle is 1; it is zero where the point is not known or outside.

    Args:
        points: x, y and whether the point is known (> 0), shape (n, points, 3), in pixels of the model's input.
        rows: of the maps.
        columns: of the maps.
        height: of the model's input, in pixels.
        width: likewise.
        deviation: of the Gaussian, in elements of the maps (2 in Xiao et al. 2018).
    """
    x, y = points[..., 0] * columns / width, points[..., 1] * rows / height
    across = np.square(np.arange(columns) + 0.5 - x[..., None])
    down = np.square(np.arange(rows) + 0.5 - y[..., None])
    maps = np.exp(-(down[..., :, None] + across[..., None, :]) / (2 * deviation**2))
    known = (points[..., 2] > 0) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    return np.moveaxis(maps * known[..., None, None], 1, -1).astype(np.float32)


def rated_points(reading: HeatMaps | Coordinates, found: Floats, truth: Floats) -> float:
    """Return `key_point_similarity` by the sigmas of a reading, or `correct_key_points` where it has none."""
    if reading.sigmas:
        return key_point_similarity(found, truth, reading.sigmas)
    return correct_key_points(found, truth)


def correct_key_points(found: Floats, truth: Floats, near: float = _NEAR) -> float:
    """Return PCK, the percentage of correct key points, as a share: of the known points, those that are found.

    A point is right if its distance from the true one is at most `near` times the larger side of the box around the
    true points of its picture (Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, 2013). A
    picture with less than two known points has no such box, and does not count. 0 if nothing counts.

    Args:
        found: x and y of each point, and possibly more, shape (n, points, 2 or more).
        truth: x, y and whether it is known (> 0), shape (n, points, 3).
        near: a share, greater than 0.
    """
    known = truth[..., 2] > 0
    size = _sides(truth).max(axis=-1)
    distance = np.linalg.norm(found[..., :2] - truth[..., :2], axis=-1)
    counted = known & (size > 0)[:, None]
    return float((distance <= near * size[:, None])[counted].mean()) if counted.any() else 0.0


def key_point_similarity(found: Floats, truth: Floats, sigmas: Sequence[float]) -> float:
    """Return OKS, COCO's object key-point similarity: the mean over pictures of the mean over their known points.

    A point at distance d from the true one counts exp(-d^2 / (2 area (2 sigma)^2)), 1 in its place and nearly 0 far
    off (COCO, Keypoint Evaluation). Labels of key points hold no area of the object: it is that of the box around the
    true points. A picture whose known points have no such box does not count. 0 if nothing counts.

    Args:
        found: x and y of each point, and possibly more, shape (n, points, 2 or more).
        truth: x, y and whether it is known (> 0), shape (n, points, 3).
        sigmas: of each point, see `legodnn.readings.HeatMaps`.
    """
    known = truth[..., 2] > 0
    area = _sides(truth).prod(axis=-1)
    squares = np.square(found[..., :2] - truth[..., :2]).sum(axis=-1)
    spread = 2 * np.maximum(area, np.finfo(np.float64).tiny)[:, None] * np.square(2 * np.asarray(sigmas))
    near = np.where(known, np.exp(-squares / spread), 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return float(near[area > 0].mean()) if (area > 0).any() else 0.0


def _sides(truth: Floats) -> Floats:
    """Return width and height of the box around the known points of each picture, 0 of less than two, shape (n, 2)."""
    known = truth[..., 2:] > 0
    low = np.where(known, truth[..., :2], np.inf).min(axis=1)
    high = np.where(known, truth[..., :2], -np.inf).max(axis=1)
    sides: Floats = np.where(known.sum(axis=1) > 1, high - low, 0.0)
    return sides
