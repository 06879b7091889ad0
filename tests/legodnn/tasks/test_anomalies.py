"""The area under the ROC curve is scikit-learn's, and the share of pairs in the right order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.tasks.anomalies import anomaly_scores, auroc


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 40))
    return np.round(rng.normal(size=count), int(rng.integers(0, 3))), rng.integers(0, 2, count)


@pytest.mark.parametrize("seed", range(30))
def test_it_is_what_scikit_learn_gives(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = random_case(seed)
    if len(set(labels.tolist())) == 2:
        assert auroc(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_it_is_the_share_of_pairs_in_the_right_order(seed: int) -> None:
    scores, labels = random_case(seed)
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels == 1] for b in scores[labels == 0]]
    assert auroc(scores, labels) == pytest.approx(np.mean(pairs) if pairs else 0.5)


def test_the_score_is_the_one_value_or_the_mean_square_of_the_differences() -> None:
    assert anomaly_scores(np.array([[-2.0], [3.0]])).tolist() == [-2, 3]
    assert anomaly_scores(np.array([[[[1.0], [-3.0]]], [[[0.0], [0.0]]]])).tolist() == [5, 0]
