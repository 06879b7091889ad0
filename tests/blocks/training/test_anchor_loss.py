"""Targets of a detector hold its true boxes, the loss is least there, and anchors fit the boxes of a data set."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.blocks.training.anchor_loss import AnchorLoss, anchor_targets, fitted_anchors
from legodnn.errors import DataError
from legodnn.readings import AnchorBoxes
from legodnn.tasks.anchor_boxes import found_boxes

HEIGHT, WIDTH, CLASSES = 96, 128, 3
READING = AnchorBoxes(anchors=(((60.0, 40.0), (40.0, 60.0)), ((20.0, 20.0), (24.0, 18.0))))
SHAPES = [(3, 4, 2 * (5 + CLASSES)), (6, 8, 2 * (5 + CLASSES))]


def far_apart(seed: int) -> np.ndarray:
    """Boxes in different cells, and rows of class -1 that fill up."""
    rng = np.random.default_rng(seed)
    labels = np.full((2, 4, 5), -1.0)
    for image in labels:
        for i, corner in enumerate(rng.permutation([[16, 16], [80, 16], [16, 64], [80, 64]])[:3]):
            middle, half = corner + rng.uniform(0, 15, 2), rng.uniform(5, 15, 2)
            image[i] = [*(middle - half), *(middle + half), rng.integers(0, CLASSES)]
    return labels


def logits_of(target: np.ndarray) -> np.ndarray:
    """The grid that a detector gives which has learnt its targets."""
    cells = target.reshape(*target.shape[:3], 2, -1).copy()
    with np.errstate(divide="ignore"):
        cells[..., :2] = np.log(cells[..., :2] / (1 - cells[..., :2]))
    cells[..., 4:] = np.where(cells[..., 4:] > 0, 12, -12)
    return np.clip(cells, -12, 12).reshape(target.shape)


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_boxes_come_back_out_of_their_targets(seed: int) -> None:
    labels = far_apart(seed)
    grids = [logits_of(target) for target in anchor_targets(labels, READING, SHAPES, HEIGHT, WIDTH)]
    for image, boxes in enumerate(labels):
        true_boxes = boxes[boxes[:, 4] >= 0]
        found = found_boxes(READING, [grid[image] for grid in grids], HEIGHT, WIDTH)
        rows = np.concatenate([found.boxes, found.classes[:, None]], axis=1)
        order = np.lexsort(np.rint(true_boxes[:, :2]).T), np.lexsort(np.rint(rows[:, :2]).T)
        np.testing.assert_allclose(rows[order[1]], np.clip(true_boxes, 0, WIDTH)[order[0]], atol=0.01)


def test_the_loss_is_least_at_the_targets_and_leaves_out_what_is_ignored() -> None:
    target = anchor_targets(far_apart(0), READING, SHAPES, HEIGHT, WIDTH)[1]
    grid, loss = logits_of(target), AnchorLoss(2)

    def of(found: np.ndarray) -> np.ndarray:
        value: Any = keras.ops.convert_to_numpy(loss.call(target, keras.ops.convert_to_tensor(found)))
        return np.asarray(value)

    assert of(grid).shape == (2,)
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert (of(grid + rng.normal(0, 1, grid.shape).astype(np.float32)) > of(grid)).all()
    ignored = target.reshape(2, 6, 8, 2, -1)[..., 4] < 0
    assert ignored.any()
    changed = grid.reshape(2, 6, 8, 2, -1).copy()
    changed[ignored] += 5
    np.testing.assert_array_equal(of(changed.reshape(grid.shape)), of(grid))


def test_anchors_are_the_sizes_of_boxes_the_largest_first() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([[10, 10], [12, 30], [50, 40], [90, 80]])[rng.integers(0, 4, (40, 3))]
    corner = rng.uniform(0, 5, (40, 3, 2))
    sides = sizes * rng.uniform(0.95, 1.05, sizes.shape)
    labels = np.concatenate([corner, corner + sides, np.zeros((40, 3, 1))], axis=-1)
    anchors = np.array(fitted_anchors(labels, grids=2, each=2))
    np.testing.assert_allclose(anchors, [[[90, 80], [50, 40]], [[12, 30], [10, 10]]], rtol=0.05)
    with pytest.raises(DataError, match="3 boxes of different sizes are too few for 4 anchors; ask for fewer"):
        fitted_anchors(labels[:1], grids=2, each=2)
