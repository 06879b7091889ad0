"""Values of metrics follow from counts, however these were added up."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.metric_values import class_pairs, mean_iou_of, r2_of


def test_overlap_is_the_mean_over_the_classes_that_occur() -> None:
    truth, found = np.array([[0, 0, 1], [3, 3, 3]]), np.array([[0, 1, 1], [3, 3, 0]])
    pairs = class_pairs(truth, found, 4)
    assert pairs.reshape(4, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 2]]
    assert mean_iou_of(pairs) == pytest.approx((1 / 3 + 1 / 2 + 2 / 3) / 3)
    rows = [class_pairs(t, f, 4) for t, f in zip(truth, found, strict=True)]
    np.testing.assert_array_equal(sum(rows), pairs)
    assert mean_iou_of(np.zeros(9, np.int64)) == 0


def test_yes_and_no_are_two_classes() -> None:
    assert class_pairs(np.array([True, True, False]), np.array([True, False, False]), 2).tolist() == [1, 0, 1, 1]


def test_r2_is_relative_to_the_mean_of_each_value() -> None:
    labels = np.array([[1.0, 10.0], [3.0, 20.0]])
    assert r2_of(0.0, labels) == 1
    assert r2_of(float(np.var(labels, axis=0).mean()), labels) == 0
    assert r2_of(1.0, np.ones((3, 2))) < -1e6
