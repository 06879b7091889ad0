"""A difference is relative to the largest value of its output, and one that is no number is told."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.scripts import load

difference = load("support.differences").difference


def test_the_worst_output_counts_by_its_largest_value() -> None:
    assert difference([[1.0, 2.0], [0.5]], [[1.0, 4.0], [0.25]]) == 1.0
    assert difference([np.ones((1, 4))], [np.ones((2, 2))]) == 0.0


def test_what_is_no_number_is_as_far_as_can_be() -> None:
    assert difference([[np.nan], [1.0]], [[1.0], [1.0]]) == difference([[1.0]], [[np.nan]]) == np.inf
