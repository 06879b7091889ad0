"""Curves of accuracy over latency are compared at equal latencies, by their best points alone."""

from __future__ import annotations

import pytest

pytest.importorskip("keras")

from tests.benchmarks import scripts

rounding = scripts.load("rounding")


def test_a_curve_that_is_better_everywhere_gains_everywhere() -> None:
    plain = [(10.0, 0.9), (6.0, 0.7), (2.0, 0.5)]
    better = [(10.0, 0.9), (5.0, 0.75), (1.0, 0.55)]
    gain = rounding.compared(plain, better)
    assert gain["least"] == pytest.approx(0.0)
    assert gain["mean"] == pytest.approx(0.06875, abs=1e-3)  # .1 over 3 ms, falling to .08 over 1 and to 0 over 4
    assert gain["greatest"] == pytest.approx(0.1)
    assert rounding.compared(better, plain)["mean"] == pytest.approx(-gain["mean"])


def test_a_point_that_a_faster_one_is_as_good_as_does_not_count() -> None:
    plain = [(10.0, 0.9), (2.0, 0.5)]
    assert rounding.compared(plain, [*plain, (8.0, 0.4)]) == {"mean": 0.0, "least": 0.0, "greatest": 0.0}
