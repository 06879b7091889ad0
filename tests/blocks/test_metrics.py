"""Metrics say how good outputs are, by labels or by another model's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.metrics import METRICS, mean_iou, r2, top1
from legodnn.errors import DataError


def scores(classes: np.ndarray, count: int) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[classes]


def test_top1_is_the_share_of_right_labels() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    assert top1([outputs], np.array([1, 0, 0, 1])) == 0.5


def test_mean_iou_is_the_mean_over_classes_that_occur_without_void() -> None:
    found = np.array([[0, 0, 1], [1, 1, 2]])
    truth = np.array([[0, 1, 1], [1, 9, -1]])  # 9 and -1 are void
    assert mean_iou([scores(found, 4)], truth) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_r2_is_1_for_equal_outputs_and_0_for_their_mean() -> None:
    y = np.random.default_rng(0).normal(2, 3, (40, 5)).astype(np.float32)
    constant = np.full_like(y, y.mean())
    assert r2([y], y) == 1
    assert r2([constant], [y]) == pytest.approx(0, abs=1e-5)
    assert r2([y, constant], [y, y]) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("name", list(METRICS))
@given(seed=st.integers(0, 1000))
def test_a_model_agrees_entirely_with_its_own_outputs(name: str, seed: int) -> None:
    outputs = np.random.default_rng(seed).normal(size=(6, 4, 3)).astype(np.float32)
    assert METRICS[name]([outputs], [outputs]) == 1


@pytest.mark.parametrize("name", list(METRICS))
def test_labels_of_another_shape_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"labels of shape .*\(7,\)"):
        METRICS[name]([np.zeros((6, 4), np.float32)], np.zeros(7, np.int64))
