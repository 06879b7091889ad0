"""Errors at points count more than elsewhere, so that a network of heat maps does not settle for zeros."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.blocks.training.heat_map_loss import HeatMapLoss
from legodnn.tasks.key_points import heat_maps_of

SIDE = 24


def test_an_error_counts_by_its_target() -> None:
    truth, found = np.zeros((1, 2, 2, 1), np.float32), np.zeros((1, 2, 2, 1), np.float32)
    truth[0, 0, 0], found[0, 1, 1] = 1, 1
    loss = HeatMapLoss(peak=9)
    assert float(loss(truth, found)) == pytest.approx((10 + 1) / 4)
    again = HeatMapLoss.from_config(loss.get_config())
    assert float(again(truth, found)) == float(loss(truth, found))


def test_maps_of_zeros_cost_more_than_peaks_that_are_wide() -> None:
    """Which the squared error has the other way round, so that networks begin with zeros and stay there."""
    points = np.array([[[9.5, 14.5, 1]]])
    truth, wide = (heat_maps_of(points, SIDE, SIDE, SIDE, SIDE, deviation) for deviation in (1.5, 3.0))
    plain = HeatMapLoss(peak=0)
    zeros = np.zeros_like(truth)
    assert float(plain(truth, zeros)) < float(plain(truth, wide))
    assert float(HeatMapLoss()(truth, zeros)) > 2 * float(HeatMapLoss()(truth, wide))
