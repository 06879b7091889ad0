"""Training a detector whose grids `legodnn.readings.AnchorBoxes` describes: anchors for its boxes, targets, and a loss.

    reading = AnchorBoxes(anchors=fitted_anchors(data.train.y, grids=3, each=3))
    model.compile("adam", [AnchorLoss(3) for _ in model.outputs])
    model.fit(x, anchor_targets(data.train.y, reading, [grid.shape[1:] for grid in model.outputs], height, width))

Sources: Redmon and Farhadi, YOLO9000 (2017), section 2, and YOLOv3 (2018), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from legodnn.arrays import AnyArray, Array, Floats
from legodnn.errors import DataError
from legodnn.readings import AnchorBoxes
from legodnn.tasks.boxes import overlaps

_ROUNDS = 100
_ALIKE = 0.5  # anchors that overlap a true box by more are not taught that nothing is there
_IGNORED = -1.0


def fitted_anchors(labels: AnyArray, grids: int, each: int) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return anchors that overlap the boxes of a data set well, by k-means; the largest ones for the first grid.

    The first centres are boxes that divide all of them, by their areas, into equal parts.

    Args:
        labels: boxes, shape (n, m, 5), see `legodnn.blocks.accuracy.task_metrics`.
        grids: the number of outputs.
        each: anchors of each output.

    Raises:
        DataError: there are fewer different boxes than anchors.
    """
    boxes = labels[labels[..., 4] >= 0].astype(np.float64)
    sides = boxes[:, 2:4] - boxes[:, :2]
    if (different := len(np.unique(sides, axis=0))) < grids * each:
        raise DataError(
            f"{different} boxes of different sizes are too few for {grids * each} anchors; ask for fewer, or label more"
        )
    by_area = sides[np.argsort(sides.prod(axis=1), kind="stable")]
    centres = by_area[((np.arange(grids * each) + 0.5) * len(sides) / (grids * each)).astype(int)]
    for _ in range(_ROUNDS):
        nearest = _overlaps(sides, centres).argmax(axis=1)
        means = [sides[nearest == i].mean(axis=0) if (nearest == i).any() else c for i, c in enumerate(centres)]
        if np.allclose(means, centres):
            break
        centres = np.array(means)
    order = np.argsort(-centres.prod(axis=1), kind="stable").reshape(grids, each)
    return tuple(tuple((float(w), float(h)) for w, h in centres[rows]) for rows in order)


def anchor_targets(
    labels: AnyArray, reading: AnchorBoxes, shapes: Sequence[tuple[int, ...]], height: int, width: int
) -> list[Array]:
    """Return what each output of a detector is trained for, in the outputs' shapes.

    A box is the task of the anchor that is most like it, in the cell of its middle: there x and y are shares of the
    cell, width and height logarithms of multiples of the anchor, the object 1, and the classes 0 and 1. Elsewhere the
    object is 0, or -1, which `AnchorLoss` leaves out, at anchors of that cell that are nearly as like the box.

    Args:
        labels: boxes, shape (n, m, 5).
        reading: the anchors.
        shapes: of the outputs, without the number of images.
        height: of the model's input, in pixels.
        width: likewise.
    """
    targets = []
    for (rows, columns, numbers), anchors in zip(shapes, reading.anchors, strict=True):
        targets.append(np.zeros((len(labels), rows, columns, len(anchors), numbers // len(anchors)), np.float32))
    place = [(grid, i) for grid, anchors in enumerate(reading.anchors) for i in range(len(anchors))]
    every = np.array([anchor for anchors in reading.anchors for anchor in anchors])
    for image, boxes in enumerate(labels):
        for left, top, right, bottom, label in boxes[boxes[:, 4] >= 0].tolist():
            sides = np.array([right - left, bottom - top])
            likeness = _overlaps(sides[None], every)[0]
            best = int(likeness.argmax())
            for j in [*np.flatnonzero(likeness > _ALIKE).tolist(), best]:
                grid, anchor = place[j]
                rows, columns = targets[grid].shape[1:3]
                x, y = (left + right) / 2 * columns / width, (top + bottom) / 2 * rows / height
                row, column = min(int(y), rows - 1), min(int(x), columns - 1)
                cell = targets[grid][image, row, column, anchor]
                if j == best:
                    cell[:] = 0
                    cell[:5] = [x - column, y - row, *np.log(sides / every[j]), 1]
                    cell[5 + int(label)] = 1
                elif cell[4] == 0:
                    cell[4] = _IGNORED
    return [target.reshape(*target.shape[:3], -1) for target in targets]


def _overlaps(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of boxes of these widths and heights in the same place, shape (n, m)."""
    left_and_top = (0, 0), (2, 0)
    return overlaps(np.pad(first, left_and_top), np.pad(second, left_and_top))


class AnchorLoss(keras.losses.Loss):  # type: ignore[misc]
    """The loss of one grid: of the places and classes of its boxes, and of where there is an object at all."""

    def __init__(self, anchors: int, name: str = "anchor_loss") -> None:
        """Make a loss.

        Args:
            anchors: of the grid.
            name: of the loss.
        """
        super().__init__(name=name)
        self.anchors = anchors

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, shape (batch,).

        Args:
            y_true: by `anchor_targets`.
            y_pred: the grid.
        """
        _, rows, columns, numbers = y_pred.shape
        shape = (-1, rows * columns * self.anchors, numbers // self.anchors)
        truth, found = ops.reshape(ops.cast(y_true, y_pred.dtype), shape), ops.reshape(y_pred, shape)
        there = truth[..., 4]
        mine = ops.cast(there > 0.5, found.dtype)
        places = ops.sum(_crossentropy(truth[..., :2], found[..., :2]), axis=-1)
        sides = ops.sum(ops.square(truth[..., 2:4] - found[..., 2:4]), axis=-1) / 2
        classes = ops.sum(_crossentropy(truth[..., 5:], found[..., 5:]), axis=-1)
        told = ops.cast(there > -0.5, found.dtype)
        objects = _crossentropy(mine, found[..., 4]) * told
        return ops.sum(mine * (places + sides + classes) + objects, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, with which Keras saves the loss."""
        return {"anchors": self.anchors, "name": self.name}


def _crossentropy(truth: Any, logits: Any) -> Any:
    return ops.relu(logits) - logits * truth + ops.softplus(-ops.abs(logits))
