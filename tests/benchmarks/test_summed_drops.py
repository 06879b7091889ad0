"""The paper's estimate of a composition's accuracy."""

from __future__ import annotations

import pytest

pytest.importorskip("keras")

from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from legodnn.blocks.accuracy.sampling import single_swaps
from tests.benchmarks.scripts import load


def test_the_papers_estimate_adds_up_the_drops_of_single_swaps() -> None:
    known = dict(
        zip(
            single_swaps([2, 2]),
            [MeasuredComposition(0.9, 0), MeasuredComposition(0.8, 1), MeasuredComposition(0.6, 1)],
            strict=True,
        )
    )
    summed_drops = load("support.summed_drops").summed_drops
    assert summed_drops([2, 2], known, [(0, 0), (0, 1), (1, 1)]) == pytest.approx([0.9, 0.6, 0.5])
