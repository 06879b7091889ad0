"""Clips have the class of their frames' mean scores."""

from __future__ import annotations

import numpy as np

from legodnn.tasks.clips import clip_accuracy, clip_scores, uniform_frames

# Two clips of three frames and two frames that make no clip. In the first, two frames are for class 0 by a little and
# one is for class 1 by much.
SCORES = np.array([[2.0, 1], [2, 1], [0, 9], [5, 0], [5, 0], [0, 1], [9, 0], [9, 0]])


def test_a_clip_has_the_mean_of_its_frames() -> None:
    assert clip_scores(SCORES, 3).tolist() == [[4 / 3, 11 / 3], [10 / 3, 1 / 3]]


def test_accuracy_counts_clips() -> None:
    assert clip_accuracy(SCORES, np.array([1, 1, 1, 1, 1, 1, 0, 0]), 3) == 0.5
    assert clip_accuracy(SCORES, np.array([[1], [1], [1], [1], [1], [1], [0], [0]]), 3) == 0.5
    assert clip_accuracy(SCORES, SCORES, 3) == 1
    assert clip_accuracy(SCORES, -SCORES, 3) == 0
    assert clip_accuracy(SCORES[:2], np.array([0, 0]), 3) == 0


def test_frames_are_spread_evenly() -> None:
    assert uniform_frames(9, 3) == [1, 4, 7]
    assert uniform_frames(2, 4) == [0, 0, 1, 1]
    assert uniform_frames(1, 3) == [0, 0, 0]
