"""A chain runs its segments in order, and what compositions share only once."""

from __future__ import annotations

import numpy as np

from tests.blocks.accuracy.chains import Array, Segment, chain_of


def test_segments_that_compositions_share_run_once_for_a_batch() -> None:
    ran: list[tuple[int, int]] = []

    def option(segment: int, number: int) -> Segment:
        def run(x: Array) -> list[Array]:
            ran.append((segment, number))
            return [x]

        return run

    counted = chain_of([[option(segment, number) for number in range(2)] for segment in range(3)])
    x = np.ones((10, 4), np.float32)
    assert len(list(counted.walk([(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)], x))) == 4
    assert ran == [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 0), (0, 1), (1, 0), (2, 0)]
