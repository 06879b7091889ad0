"""Drawn compositions differ from one another and reach every option."""

from __future__ import annotations

from legodnn.blocks.accuracy.sampling import draw_compositions


def test_drawn_compositions_differ_and_reach_every_option() -> None:
    drawn = draw_compositions([3, 1, 4], 10, seed=0)
    assert len(set(drawn)) == 10
    assert {c[0] for c in drawn} == {0, 1, 2}
    assert {c[2] for c in drawn} == {0, 1, 2, 3}
    assert sorted(draw_compositions([2, 2], 100, seed=0)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
