"""Overlaps of boxes by their definition, and what non-maximum suppression leaves."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.tasks.boxes import overlaps, suppress


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.integers(0, 20, (count, 2)).astype(float)
    return np.concatenate([corner, corner + rng.integers(0, 12, (count, 2))], axis=1)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_overlaps_are_counted_in_unit_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_boxes(rng, 3), random_boxes(rng, 4)
    rows, columns = np.mgrid[:40, :40]

    def squares(box: np.ndarray) -> np.ndarray:
        left, top, right, bottom = box
        return (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)

    for i, a in enumerate(first):
        for j, b in enumerate(second):
            both, union = (squares(a) & squares(b)).sum(), (squares(a) | squares(b)).sum()
            assert overlaps(first, second)[i, j] == (both / union if union else 0.0)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_what_suppression_leaves_overlaps_little_and_what_it_takes_overlaps_something_better(
    seed: int, most: float
) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores, classes = random_boxes(rng, 12), rng.integers(0, 5, 12) / 4, rng.integers(0, 2, 12)
    kept = suppress(boxes, scores, classes, most)
    assert (np.diff(scores[kept]) <= 0).all()
    near = (overlaps(boxes, boxes) > most) & (classes[:, None] == classes)
    assert not (near[np.ix_(kept, kept)] & ~np.eye(len(kept), dtype=bool)).any()
    for lost in set(range(12)) - set(kept.tolist()):
        assert (near[lost, kept] & (scores[kept] >= scores[lost])).any()


def test_boxes_of_other_classes_do_not_suppress_and_none_is_none() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4]])
    assert suppress(boxes, np.array([0.5, 0.9, 0.7]), np.array([0, 1, 0]), 0.5).tolist() == [1, 2]
    assert suppress(np.empty((0, 4)), np.empty(0), np.empty(0, int), 0.5).size == 0
