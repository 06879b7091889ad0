"""Scores of anomalies, and how well they tell what is not normal from what is."""

from __future__ import annotations

import numpy as np

from legodnn.arrays import AnyArray, Floats


def anomaly_scores(outputs: AnyArray) -> Floats:
    """Return the score of each image, shape (n,): an output of one value itself, of others the mean square.

    Args:
        outputs: shape (n, 1), or maps of differences, shape (n, height, width, channels).
    """
    rows = outputs.reshape(len(outputs), -1).astype(np.float64)
    return rows[:, 0] if rows.shape[1] == 1 else np.square(rows).mean(axis=1)


def auroc(scores: Floats, labels: AnyArray) -> float:
    """Return the area under the ROC curve: how likely an anomaly scores higher than a normal image; .5 is chance.

    Equal scores count half (Mann and Whitney's U). Without both kinds of images it is .5.

    Args:
        scores: shape (n,), the higher the less normal.
        labels: 0 for normal, others for anomalies, shape (n,).
    """
    odd = labels != 0
    count = int(odd.sum()) * int((~odd).sum())
    if not count:
        return 0.5
    _, place, equal = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (equal.cumsum() - (equal - 1) / 2)[place]  # from 1; of equal scores their mean
    least = odd.sum() * (odd.sum() + 1) / 2
    return float((ranks[odd].sum() - least) / count)
