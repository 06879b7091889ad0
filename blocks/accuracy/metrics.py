"""Metrics: how good a model's outputs are, by one for each kind of output or by a function of the user's own.

A metric is called with the model's outputs and the labels, and returns a number, the larger the better. Where there are
no labels, the undivided original's outputs stand in for them. Every metric here then says how far a composition agrees
with the original: the share of equal classes, the overlap of equal regions, or one minus the relative squared error.

`importing.heads` decides what outputs and labels mean, unless a recipe says it (`task_metrics`); `chance` checks that a
metric tells a model from noise.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.accuracy.task_metrics import has_labels_of_its_own, task_metric
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.heads import Head, heads_of
from legodnn.errors import DataError
from legodnn.label_kinds import MEASURES
from legodnn.metric_values import class_pairs, mean_iou_of, r2_of
from legodnn.printable import shown
from legodnn.readings import Reading
from legodnn.user_function import call_user, user_function

Metric = Callable[[Sequence[Array], Any], float]


def metric_of(name: str | None, val: Split, heads: Sequence[Head], reading: Reading | None = None) -> Metric:
    """Return the metric of this name, or without a name the one that fits labels and outputs.

    Args:
        name: one of `label_kinds.MEASURES`; `module:function`, which is looked for in the current folder too; or None.
        val: the validation images, whose labels outputs are compared with.
        heads: how the model's outputs are read, by `distilled_heads`.
        reading: the recipe's; without a name, its metric is returned if it has one (see `task_metrics`).

    Raises:
        DataError: there is no such metric.
    """
    if name is not None and name not in MEASURES:
        remedy = f"a metric is one of {', '.join(MEASURES)}, or module:function"
        return _own(name, user_function(name, DataError, remedy))
    if name is None and (metric_of_task := task_metric(reading, val)):
        return metric_of_task
    parts = [_part(head, val.y is not None) for head in heads]

    def metric(outputs: Sequence[Array], labels: Any) -> float:
        pairs = zip(parts, outputs, as_list(labels), strict=True)
        return sum(part(found, np.asarray(wanted)) for part, found, wanted in pairs) / len(parts)

    metric.__name__ = ", ".join(dict.fromkeys(head.measure for head in heads))
    return metric


def distilled_heads(
    name: str | None, data: Dataset, model: keras.Model, classifier: bool = False, reading: Reading | None = None
) -> list[Head]:
    """Return how training compares each output with the original's: as the metric reads the output.

    A metric of the user's own does not say how it reads outputs; then they are read as they are without labels.

    Args:
        name: of the metric, see `metric_of`.
        data: the data set.
        model: the model that gives the outputs.
        classifier: see `heads.heads_of`.
        reading: the recipe's. Boxes, key points and anomalies are read out of numbers, so as numbers they are compared.

    Raises:
        DataError: labels and outputs do not fit together.
    """
    if labels_tell_heads(name, reading):
        return heads_of(model, data, name, classifier)
    unlabelled = replace(data, val=Split(data.val.x, None))
    if name is None:
        return [Head("numbers", "r2", head.scale) for head in heads_of(model, replace(unlabelled, labels=()))]
    return heads_of(model, unlabelled, None, classifier)


def labels_tell_heads(name: str | None, reading: Reading | None) -> bool:
    """Whether `distilled_heads` looks at labels; if not, they may have any form, and nothing can be trained on them."""
    return not has_labels_of_its_own(reading) if name is None else name in MEASURES


def _own(name: str, function: Callable[..., Any]) -> Metric:
    """Return the user's function as a metric that raises DataError unless the function gives a finite number."""

    def metric(outputs: Sequence[Array], labels: Any) -> float:
        found = call_user(name, function, DataError, outputs, labels)
        try:
            value = float(found)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"metric {name} gave {shown(found)}, not a number; it must give one for any outputs")
        return value

    metric.__name__ = getattr(function, "__name__", name)
    return metric


def _part(head: Head, labelled: bool) -> Callable[[Array, NDArray[Any]], float]:
    """Return the metric of a single output."""
    if head.kind == "classes":
        return {"top1": _top1, "top5": _top5, "mean_iou": _mean_iou}[head.measure]
    if head.kind == "numbers":
        return _r2
    yes = head.yes if labelled else None
    measure = _binary_accuracy if head.measure == "binary_accuracy" else _binary_iou
    return functools.partial(measure, head.threshold, yes=yes)


def _top1(scores: Array, labels: NDArray[Any]) -> float:
    """Return the share of images, or places in them, whose largest score is the label's.

    Places whose number is below 0, or not below the number of classes, do not count ("void").

    Args:
        scores: shape (n, ..., classes).
        labels: class numbers, shape (n, ...) or (n, ..., 1); or one-hot labels or another model's scores, shape
            (n, ..., classes), of which the largest counts.
    """
    truth, counted = _classes(scores, labels)
    return _share(scores.argmax(axis=-1) == truth, counted)


def _top5(scores: Array, labels: NDArray[Any]) -> float:
    """Return the share of images, or places in them, whose label's score is among the five largest; see `_top1`.

    Of equal scores those of lower class numbers count as larger.
    """
    best = np.argsort(-scores, axis=-1, kind="stable")[..., :5]
    truth, counted = _classes(scores, labels)
    return _share((best == truth[..., None]).any(axis=-1), counted)


def _share(right: NDArray[Any], counted: NDArray[Any]) -> float:
    """Return the share of what counts that is right; 0 where nothing counts."""
    return float(right[counted].mean()) if counted.any() else 0.0


def _classes(scores: Array, labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return labels as class numbers, and which of them are numbers of a class, both of shape (n, ...).

    Args:
        scores: shape (n, ..., classes).
        labels: see `_top1`.

    Raises:
        DataError: the labels have another shape.
    """
    if labels.shape == scores.shape:
        truth = labels.argmax(axis=-1)
    elif labels.shape in (scores.shape[:-1], (*scores.shape[:-1], 1)):
        truth = labels.reshape(scores.shape[:-1]).astype(np.int64)
    else:
        raise DataError(
            f"labels of shape {labels.shape} for scores of shape {scores.shape}; give one class number each"
        )
    return truth, (truth >= 0) & (truth < scores.shape[-1])


def _mean_iou(scores: Array, labels: NDArray[Any]) -> float:
    """Return the intersection over union of a class, as the mean over the classes that occur; see `_top1`."""
    truth, counted = _classes(scores, labels)
    return mean_iou_of(class_pairs(truth[counted], scores.argmax(axis=-1)[counted], scores.shape[-1]))


def _binary_accuracy(threshold: float, values: Array, labels: NDArray[Any], yes: int | None) -> float:
    """Return the share of values that are on the label's side of the threshold; see `_decisions`."""
    found, truth, counted = _decisions(threshold, values, labels, yes)
    return _share(found == truth, counted)


def _binary_iou(threshold: float, values: Array, labels: NDArray[Any], yes: int | None) -> float:
    found, truth, counted = _decisions(threshold, values, labels, yes)
    return mean_iou_of(class_pairs(truth[counted], found[counted], 2))


def _decisions(
    threshold: float, values: Array, labels: NDArray[Any], yes: int | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return three masks: where values mean yes, where labels mean yes, and which labels count.

    Args:
        threshold: a value above it means yes.
        values: one output.
        labels: its labels, or another model's outputs.
        yes: the label that means yes, beside 0 for no; None if `labels` are another model's outputs.
    """
    truth = _like(values, labels)
    if yes is None:
        return values > threshold, truth > threshold, np.ones(values.shape, bool)
    return values > threshold, truth == yes, (truth == 0) | (truth == yes)


def _r2(values: Array, labels: NDArray[Any]) -> float:
    """Return R squared: 1 is perfect, 0 as good as the labels' mean for every image."""
    truth = _like(values, labels).astype(np.float64)
    return r2_of(float(np.square(values - truth).mean()), truth)


def _like(values: Array, labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the shape of the values, with a last axis of length 1 added or removed where that is needed.

    Raises:
        DataError: the labels have another shape.
    """
    if labels.shape in (values.shape, (*values.shape, 1)) or (*labels.shape, 1) == values.shape:
        return labels.reshape(values.shape)
    raise DataError(f"labels of shape {labels.shape} for outputs of shape {values.shape}; give one for each value")
