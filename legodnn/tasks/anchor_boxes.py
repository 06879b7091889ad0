"""Boxes from the grids of a YOLOv3-style detector; `legodnn.readings.AnchorBoxes` says what the grids hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from legodnn.arrays import AnyArray, Floats, Indices
from legodnn.readings import AnchorBoxes
from legodnn.tasks.boxes import suppress

# Before suppression, whose time grows with the square of their number, only so many boxes are kept: the best ones.
_MOST_BOXES = 1000
LEAST_RATED_SCORE = 0.01  # precision is measured at every recall, so boxes of low scores count there too
_MOST_GROWTH = 10.0  # of the logarithm of a side: a factor of 22,000, so that no exponential overflows


class FoundBoxes(NamedTuple):
    """Boxes of one picture, those with the highest scores first.

    Attributes:
        boxes: left, top, right and bottom in pixels of the model's input, shape (n, 4).
        scores: shape (n,), from 0 to 1.
        classes: class numbers, shape (n,).
    """

    boxes: Floats
    scores: Floats
    classes: Indices


def found_boxes(
    reading: AnchorBoxes, grids: Sequence[AnyArray], height: int, width: int, least_score: float | None = None
) -> FoundBoxes:
    """Return the boxes that a detector found in one picture.

    Args:
        reading: the anchors, and what is left out.
        grids: the outputs, each of shape (rows, columns, anchors x (5 + classes)).
        height: of the model's input, in pixels.
        width: likewise.
        least_score: in place of the reading's.
    """
    least = reading.least_score if least_score is None else least_score
    parts = [
        _of_grid(grid, np.array(anchors), height, width, least)
        for grid, anchors in zip(grids, reading.anchors, strict=True)
    ]
    boxes, scores, classes = (np.concatenate(column) for column in zip(*parts, strict=True))
    best = np.argsort(-scores, kind="stable")[:_MOST_BOXES]
    boxes, scores, classes = boxes[best], scores[best], classes[best]
    kept = suppress(boxes, scores, classes, reading.most_overlap)
    return FoundBoxes(boxes[kept], scores[kept], classes[kept])


def _of_grid(
    grid: AnyArray, anchors: Floats, height: int, width: int, least_score: float
) -> tuple[Floats, Floats, Indices]:
    """Return boxes, scores and classes of one grid, a box for each class that is likely enough."""
    rows, columns = grid.shape[:2]
    numbers = grid.reshape(rows, columns, len(anchors), -1).astype(np.float64)
    scores = sigmoid(numbers[..., 4:5]) * sigmoid(numbers[..., 5:])
    row, column, anchor, label = np.nonzero(scores >= least_score)
    x, y, wide, high = numbers[row, column, anchor, :4].T
    centre = np.stack([(sigmoid(x) + column) * width / columns, (sigmoid(y) + row) * height / rows], axis=-1)
    half = anchors[anchor] * np.exp(np.minimum(np.stack([wide, high], axis=-1), _MOST_GROWTH)) / 2
    boxes = np.concatenate([centre - half, centre + half], axis=-1)
    limits = np.array([width, height, width, height], np.float64)
    return np.clip(boxes, 0, limits), scores[row, column, anchor, label], label


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -x))
