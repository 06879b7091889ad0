"""Scores of a model's outputs against labels, added up image by image: accuracy, intersection over union, R².

Which score fits depends on what the labels are: classes, maps of classes, or numbers. The values are those that
`legodnn.blocks.accuracy.metrics` gives for all images at once.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import unique_values
from legodnn.errors import InputError


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
    """The share of images whose label's score is among the `count` largest; of equal ones the first are larger."""

    def __init__(self, count: int = 1) -> None:
        self.metric, self._count = f"top{count}", count
        self._hits = self._images = 0

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: output of shape (classes,), the label a class number."""
        best = np.argsort(-output, kind="stable")[: self._count]
        self._hits += int(np.ravel(label)[0]) in best.tolist()
        self._images += 1

    def value(self) -> float:
        """Return the score, 0 to 1."""
        return self._hits / self._images


class Binary:
    """The share of images on the right side of a threshold: 0.5 if all outputs are probabilities, 0 if not (logits)."""

    metric = "binary_accuracy"

    def __init__(self) -> None:
        self._outputs: list[float] = []
        self._labels: list[int] = []

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: output of shape (1,), the label 0 or 1."""
        self._outputs.append(float(output.ravel()[0]))
        self._labels.append(int(np.ravel(label)[0]))

    def value(self) -> float:
        """Return the score, 0 to 1."""
        outputs = np.array(self._outputs)
        threshold = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
        return float(((outputs > threshold) == np.array(self._labels)).mean())


class MeanIou:
    """The mean over classes of intersection over union, of maps of classes.

    Classes that neither labels nor outputs have, and labels that are no class, do not count.
    """

    metric = "mean_iou"

    def __init__(self) -> None:
        self._pairs: NDArray[np.int64] | None = None

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: output of shape (..., classes), the label a map of class numbers of shape (...) or (..., 1)."""
        classes, label = output.shape[-1], np.reshape(label, output.shape[:-1])
        counted = (label >= 0) & (label < classes)
        pairs = np.bincount(label[counted] * classes + output.argmax(axis=-1)[counted], minlength=classes * classes)
        self._pairs = pairs if self._pairs is None else self._pairs + pairs

    def value(self) -> float:
        """Return the score, 0 to 1."""
        assert self._pairs is not None
        return _iou(self._pairs)


class MaskIou:
    """The mean intersection over union of the two classes of a mask, with the threshold of `Binary`.

    Args:
        yes: the label of the mask's foreground; 0 is the background, and other labels do not count.
    """

    metric = "mean_iou"

    def __init__(self, yes: int) -> None:
        self._yes = yes
        self._pairs = {threshold: np.zeros(4, np.int64) for threshold in (0.5, 0.0)}
        self._low, self._high = np.inf, -np.inf

    def add(self, output: NDArray[np.float32], label: Any) -> None:
        """Add an image: output of shape (..., 1), the label a mask of shape (...) or (..., 1)."""
        truth = np.reshape(label, output.shape)
        counted = (truth == 0) | (truth == self._yes)
        rows = 2 * (truth == self._yes)[counted].astype(np.int64)
        for threshold, pairs in self._pairs.items():
            pairs += np.bincount(rows + (output > threshold)[counted], minlength=4)
        self._low, self._high = min(self._low, float(output.min())), max(self._high, float(output.max()))

    def value(self) -> float:
        """Return the score, 0 to 1."""
        return _iou(self._pairs[0.5 if self._low >= 0 and self._high <= 1 else 0.0])


def _iou(pairs: NDArray[np.int64]) -> float:
    """The mean intersection over union of counts of pixels by true and found class, shape (classes x classes,)."""
    pairs = pairs.reshape(round(len(pairs) ** 0.5), -1)
    both, union = pairs.diagonal(), pairs.sum(axis=0) + pairs.sum(axis=1) - pairs.diagonal()
    return float((both[union > 0] / union[union > 0]).mean()) if union.any() else 0.0


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
        return 1 - float(np.mean(self._errors)) / max(float(np.var(self._labels, axis=0).mean()), 1e-12)


def check_numbers_of_classes(labels: NDArray[Any], classes: int, name: str) -> None:
    """Raise InputError unless labels, class numbers of any shape, are of the classes that a model has."""
    low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
    if low < 0 or high >= classes:
        raise InputError(
            f"labels of {name} run from {low:g} to {high:g}, and the model has {classes} classes, numbered from 0; "
            "correct them, or leave y out"
        )


def score_for(output: NDArray[np.float32], labels: NDArray[Any], name: str) -> Score:
    """Return an empty score that fits one image's output and all images' labels.

    Args:
        output: one output of the model.
        labels: shape (images, ...).
        name: what messages call what the labels belong to.

    Raises:
        InputError: they do not fit together.
    """
    one = labels.shape[1:]
    if output.shape == (1,) and one in ((), (1,)):
        return Binary() if labels.dtype.kind in "iu" and set(unique_values(labels).tolist()) <= {0, 1} else R2()
    whole = labels.dtype.kind in "iu"
    if whole and output.ndim > 1 and output.shape[-1] == 1 and one in (output.shape, output.shape[:-1]):
        values = set(unique_values(labels).tolist())
        return MaskIou(1 if values <= {0, 1, 255} and 1 in values else 255) if values <= {0, 1, 255} else R2()
    if whole and output.shape[-1:] > (1,) and one in (output.shape[:-1], (*output.shape[:-1], 1)):
        if output.ndim > 1:
            return MeanIou()  # other numbers mark places that do not count
        check_numbers_of_classes(labels, len(output), name)
        return TopScores()
    if one == output.shape:
        return R2()
    raise InputError(
        f"each label of {name} has shape {one}, the output has {output.shape}: give class numbers, or what the output "
        "should be, or leave y out"
    )
