"""Scores of a model's outputs against labels, added up image by image: accuracy, intersection over union, R².

Which score fits depends on what the labels are: classes, yes and no, or numbers (`legodnn.label_kinds`). The values are
those that `legodnn.blocks.accuracy.metrics` gives for all images at once.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.errors import InputError
from legodnn.label_kinds import MEASURES, LabelKind, chosen_kind, kinds_of_values, labels_fit
from legodnn.metric_values import class_pairs, mean_iou_of, r2_of


class Score(Protocol):
    """A score of all images that have been added; larger is better. `metric` is what stores call it."""

    metric: str

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add one image.

        Args:
            output: what the model gave.
            label: what it should have given.
        """

    def value(self) -> float:
        """Return the score of all images that have been added, at least one."""


class TopScores:
    """The share of images, or places in them, whose label's score is among the `count` largest.

    Of equal scores the first are larger. Labels that are no class, as of void places in maps, do not count.
    """

    def __init__(self, count: int = 1) -> None:
        self.metric, self._count = f"top{count}", count
        self._hits = self._all = 0

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: output of shape (..., classes), the label as `_classes` takes it."""
        classes = _classes(output, label)
        best = np.argsort(-output, axis=-1, kind="stable")[..., : self._count]
        self._hits += int((best == classes[..., None]).any(axis=-1).sum())
        self._all += int(((classes >= 0) & (classes < output.shape[-1])).sum())

    def value(self) -> float:
        """Return the score, 0 to 1."""
        return self._hits / self._all if self._all else 0.0


class MeanIou:
    """The mean over classes of intersection over union, of maps of classes.

    Classes that neither labels nor outputs have, and labels that are no class, do not count.
    """

    metric = "mean_iou"

    def __init__(self) -> None:
        self._pairs: NDArray[np.int64] | None = None

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: output of shape (..., classes), the label as `_classes` takes it."""
        classes, label = output.shape[-1], _classes(output, label)
        counted = (label >= 0) & (label < classes)
        pairs = class_pairs(label[counted], output.argmax(axis=-1)[counted], classes)
        self._pairs = pairs if self._pairs is None else self._pairs + pairs

    def value(self) -> float:
        """Return the score, 0 to 1."""
        assert self._pairs is not None
        return mean_iou_of(self._pairs)


def _classes(output: NDArray[np.float32], label: Any) -> NDArray[np.int64]:
    """Return class numbers of shape (...) for an output of shape (..., classes).

    Args:
        output: scores.
        label: class numbers of shape (...) or (..., 1), or one-hot labels of the output's shape.
    """
    label = np.asarray(label)
    found = label.argmax(axis=-1) if label.shape == output.shape else label.reshape(output.shape[:-1])
    return np.asarray(found, np.int64)


class _Decisions:
    """How often values on either side of a threshold are 0 or the label that means yes; other labels do not count.

    The threshold is 0.5 if all outputs are from 0 to 1, as probabilities are, and 0 if not (logits).
    """

    def __init__(self, yes: int = 1) -> None:
        self._yes = yes
        self._pairs = {threshold: np.zeros(4, np.int64) for threshold in (0.5, 0.0)}
        self._low, self._high = np.inf, -np.inf

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: an output, and a label for each of its values."""
        truth = np.reshape(label, output.shape)
        counted = (truth == 0) | (truth == self._yes)
        for threshold, pairs in self._pairs.items():
            pairs += class_pairs((truth == self._yes)[counted], (output > threshold)[counted], 2)
        self._low, self._high = min(self._low, float(output.min())), max(self._high, float(output.max()))

    def pairs(self) -> NDArray[np.int64]:
        """Return how often labels meant no and values no; no and yes; yes and no; yes and yes."""
        return self._pairs[0.5 if self._low >= 0 and self._high <= 1 else 0.0]


class Binary(_Decisions):
    """The share of values on the label's side of a threshold."""

    metric = "binary_accuracy"

    def value(self) -> float:
        """Return the score, 0 to 1."""
        pairs = self.pairs()
        return float((pairs[0] + pairs[3]) / pairs.sum()) if pairs.any() else 0.0


class MaskIou(_Decisions):
    """The mean intersection over union of the two classes of a mask."""

    metric = "mean_iou"

    def value(self) -> float:
        """Return the score, 0 to 1."""
        return mean_iou_of(self.pairs())


class R2:
    """The coefficient of determination, R²: one minus the squared error, relative to that of the labels' mean."""

    metric = "r2"

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._labels: list[NDArray[np.float64]] = []

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: output and label of the same shape, or of as many numbers."""
        self._labels.append(np.asarray(label, np.float64).reshape(output.shape))
        self._errors.append(float(np.square(output - self._labels[-1]).mean()))

    def value(self) -> float:
        """Return R²: at most 1; 0 is as good as the labels' mean."""
        return r2_of(float(np.mean(self._errors)), self._labels)


def check_numbers_of_classes(labels: NDArray[Any], classes: int, name: str) -> None:
    """Raise InputError unless labels, class numbers of any shape, are of the classes that a model has."""
    low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
    if low < 0 or high >= classes:
        raise InputError(
            f"labels of {name} run from {low:g} to {high:g}, and the model has {classes} classes, numbered from 0; "
            "correct them, or leave y out"
        )


def score_for(output: NDArray[np.float32], labels: NDArray[Any], name: str, metric: str | None = None) -> Score:
    """Return an empty score that fits one image's output and all images' labels, as a build would choose it.

    Args:
        output: one output of the model.
        labels: shape (images, ...), finite numbers.
        name: what messages call what the labels belong to.
        metric: what the store was measured by; it counts if it can judge these labels.

    Raises:
        InputError: they do not fit together.
    """
    one, yes = labels.shape[1:], 1
    kinds: list[LabelKind] = ["classes"]
    fit = labels_fit(output.shape, one)
    if fit == "value":
        kinds, yes = kinds_of_values(output.shape, [labels])
    elif fit is None or not (labels == np.floor(labels)).all():
        raise InputError(
            f"each label of {name} has shape {one} ({labels.dtype}), the output has {output.shape}: give class "
            "numbers, or what the output should be, or leave y out"
        )
    elif output.ndim < 3:  # in maps other numbers mark places that do not count
        check_numbers_of_classes(labels, output.shape[-1], name)
    chosen = chosen_kind(kinds, output.shape, metric if metric in MEASURES else None)
    kind, measure = chosen or chosen_kind(kinds, output.shape, None) or ("numbers", "r2")
    if kind == "numbers":
        return R2()
    if kind == "binary":
        return MaskIou(yes) if measure == "mean_iou" else Binary(yes)
    return MeanIou() if measure == "mean_iou" else TopScores(5 if measure == "top5" else 1)
