"""Boxes that were written into grids are found there again, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.readings import AnchorBoxes
from legodnn.tasks.anchor_boxes import found_boxes, sigmoid

READING = AnchorBoxes(anchors=(((10.0, 20.0), (30.0, 16.0)), ((80.0, 60.0),)))
HEIGHT, WIDTH, CLASSES = 96, 160, 3


def empty_grids() -> list[np.ndarray]:
    grids = [np.zeros((6, 10, 2 * (5 + CLASSES)), np.float32), np.zeros((3, 5, 5 + CLASSES), np.float32)]
    for grid in grids:
        grid.reshape(*grid.shape[:2], -1, 5 + CLASSES)[..., 4:] = -12.0
    return grids


def write(grid: np.ndarray, anchors: int, row: int, column: int, anchor: int, values: list[float], label: int) -> None:
    cell = grid.reshape(*grid.shape[:2], anchors, 5 + CLASSES)[row, column, anchor]
    cell[:5], cell[5 + label] = values, 12.0


def test_boxes_written_into_grids_are_found() -> None:
    grids = empty_grids()
    write(grids[0], 2, 4, 7, 1, [0.0, np.log(3), np.log(0.5), 0.0, 3.0], 2)  # x + .5, y + .75 cells, half as wide
    write(grids[1], 1, 0, 0, 0, [0.0, 0.0, 0.0, 0.0, 1.0], 0)
    found = found_boxes(READING, grids, HEIGHT, WIDTH)
    assert found.classes.tolist() == [2, 0]
    np.testing.assert_allclose(found.scores, sigmoid(np.array([3.0, 1.0])), rtol=1e-4)
    x, y = 7.5 * 16, 4.75 * 16
    np.testing.assert_allclose(found.boxes[0], [x - 7.5, y - 8, x + 7.5, y + 8], rtol=1e-6)
    assert found.boxes[1].tolist() == [0, 0, 56, 46]  # cut at the picture's edge: (16, 16) -+ (40, 30)


def test_overlapping_boxes_of_a_class_are_one_and_weak_ones_none() -> None:
    grids = empty_grids()
    write(grids[0], 2, 2, 2, 0, [0.0, 0.0, 0.0, 0.0, 2.0], 1)
    write(grids[0], 2, 2, 2, 1, [0.0, 0.0, np.log(1 / 3), np.log(1.25), 1.0], 1)  # nearly the same box
    write(grids[0], 2, 5, 9, 0, [0.0, 0.0, 0.0, 0.0, -3.0], 1)
    assert found_boxes(READING, grids, HEIGHT, WIDTH).scores.tolist() == [
        pytest.approx(sigmoid(np.array(2.0)), rel=1e-4)
    ]
    assert len(found_boxes(READING, grids, HEIGHT, WIDTH, least_score=0.02).scores) == 2


def test_numbers_of_any_size_give_boxes_inside_the_picture() -> None:
    grids = [np.full(grid.shape, 1e30, np.float32) for grid in empty_grids()]
    found = found_boxes(READING, grids, HEIGHT, WIDTH)
    assert np.isfinite(found.boxes).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
