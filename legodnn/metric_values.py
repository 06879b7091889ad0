"""Values of metrics from what was counted: a build counts all images at once, a device adds them up one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def class_pairs(truth: NDArray[Any], found: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return how often each class was found where each is true, shape (classes * classes,): the true class in rows.

    Args:
        truth: numbers of the true classes, of any shape.
        found: those that were found, in the same shape.
        classes: how many there are.
    """
    return np.bincount((truth * classes + found).ravel(), minlength=classes * classes)


def mean_iou_of(pairs: NDArray[np.int64]) -> float:
    """Return the intersection over union of a class, as the mean over classes that are true or found somewhere.

    Args:
        pairs: what `class_pairs` returned, or the sum of several.

    Example: of four places of class 0 and two of class 1, one is taken for the other class.
        >>> mean_iou_of(np.array([3, 1, 0, 2]))
        0.7083333333333333
    """
    pairs = pairs.reshape(round(len(pairs) ** 0.5), -1)
    both, union = pairs.diagonal(), pairs.sum(axis=0) + pairs.sum(axis=1) - pairs.diagonal()
    return float((both[union > 0] / union[union > 0]).mean()) if union.any() else 0.0


def r2_of(squared_error: float, labels: Any) -> float:
    """Return R²: 1 minus the squared error relative to that of the labels' mean for every image.

    Args:
        squared_error: the mean over all values of all images.
        labels: shape (images, ...).

    Example:
        >>> r2_of(0.25, [[0.0], [2.0]])
        0.75
    """
    return 1 - squared_error / max(float(np.var(labels, axis=0).mean()), 1e-12)
