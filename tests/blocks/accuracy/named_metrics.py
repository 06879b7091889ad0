"""The metrics by their names, as a build finds them for outputs that are all read alike, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from legodnn.blocks.accuracy.metrics import Metric, metric_of
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.heads import Head

LABELLED = Split(np.zeros((1, 1), np.float32), np.zeros(1, np.int64))


def metric_by(head: Head) -> Metric:
    """The metric of a model whose outputs are all read alike."""

    def metric(outputs: Sequence[np.ndarray], labels: Any) -> float:
        return metric_of(head.measure, LABELLED, [head] * len(outputs))(outputs, labels)

    metric.__name__ = head.measure
    return metric


top1 = metric_by(Head("classes", "top1", "linear"))
top5 = metric_by(Head("classes", "top5", "linear"))
mean_iou = metric_by(Head("classes", "mean_iou", "linear"))
binary_accuracy = metric_by(Head("binary", "binary_accuracy", "sigmoid"))
r2 = metric_by(Head("numbers", "r2", "linear"))
