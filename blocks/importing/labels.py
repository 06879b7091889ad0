"""What labels say about outputs, and whether they fit them; what does not fit is refused before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.output_scale import OutputScale
from legodnn.errors import DataError
from legodnn.label_kinds import LabelKind, kinds_of_values, labels_fit

Labels = NDArray[Any]


def check_classes(model: keras.Model, data: Dataset, metric: str | None = None) -> None:
    """Compare a data set's classes with the outputs of a classifier.

    Labels of another form than one class number for each image are left to the metric, and so are all labels that a
    metric of the user's own reads.

    Args:
        model: a model of one or several outputs; the labels may be meant for any of them.
        data: the data set.
        metric: the recipe's metric.

    Raises:
        DataError: the model has another number of outputs than there are classes, or a class number is none of them.
    """
    given = [split.y for split in (data.train, data.val, data.test) if split.y is not None]
    y = [part for part in given if not isinstance(part, tuple) and part.ndim == 1 and part.dtype.kind in "iu"]
    scores = [int(t.shape[-1]) for t in model.outputs if len(t.shape) == 2]
    if not y or len(y) < len(given) or not scores or metric not in (None, "top1", "top5"):
        return
    numbers, names = np.unique(np.concatenate(y)), data.labels
    outputs = f"{model.name} has {' and '.join(map(str, scores))} output{'s' * (scores != [1])}"
    if names and not any(len(names) == (2 if count == 1 else count) for count in scores):
        empty = [name for i, name in enumerate(names) if i not in numbers]
        which = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise DataError(
            f"{data.name} has {len(names)} classes ({which}), but {outputs}: there must be one for each, "
            "in the order of names" + (f"; no image shows {', '.join(empty[:20])}" if empty else "")
        )
    # A single output may stand for a number, such as an age or a temperature.
    if max(scores) > 1 and (numbers[0] < 0 or numbers[-1] >= max(scores)):
        raise DataError(f"{data.name}: labels run from {numbers[0]} to {numbers[-1]}, but {outputs}")


def kinds_by_labels(
    shape: tuple[int, ...], scale: OutputScale, labels: Mapping[str, Labels], where: str
) -> tuple[list[LabelKind], int]:
    """Return what an output can be by its labels.

    Args:
        shape: the output's shape for one image.
        scale: the output's scale.
        labels: the labels of each split, shape (n, ...), by what messages call the split.
        where: what messages call the output.

    Returns:
        The kinds that it can be, the likeliest first, and the label that says yes where the kind is 'binary'.

    Raises:
        DataError: labels are not finite numbers, or do not fit the output.
    """
    for name, y in labels.items():
        if y.dtype.kind not in "biuf":
            raise DataError(f"{name}: labels hold {y.dtype}, not numbers")
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise DataError(f"{name}: labels hold NaN or infinity; leave those images out")
        if labels_fit(shape, y.shape[1:]) is None:
            raise DataError(
                f"{name}: labels of shape {y.shape[1:]} for each do not fit {where}, which gives {shape}: give a class "
                "number for each (for each place), or labels of the outputs' shape; or name a metric of your own, "
                "module:function"
            )
    fits = {labels_fit(shape, y.shape[1:]) for y in labels.values()}
    if len(fits) > 1:
        raise DataError(f"{', '.join(labels)}: labels of different shapes: {[y.shape for y in labels.values()]}")
    if fits == {"number"}:
        _check_class_numbers(shape, labels, where)
        return ["classes"], 1
    kinds, yes = kinds_of_values(shape, [*labels.values()])
    if kinds == ["numbers"] and scale != "linear" and any(y.min() < 0 or y.max() > 1 for y in labels.values()):
        name, y = next((n, y) for n, y in labels.items() if y.min() < 0 or y.max() > 1)
        raise DataError(
            f"{name}: labels run from {y.min():g} to {y.max():g}, but {where} gives values from 0 to 1: label 0 and 1"
        )
    return kinds, yes


def _check_class_numbers(shape: tuple[int, ...], labels: Mapping[str, Labels], where: str) -> None:
    """Refuse class numbers that are not whole, or outside the classes. In masks the latter mark ignored pixels."""
    for name, y in labels.items():
        if y.dtype.kind == "f" and (y != np.floor(y)).any():
            raise DataError(
                f"{name}: labels are {y.dtype} and not whole, but {where} gives scores of {shape[-1]} classes"
            )
        low, high = int(y.min()), int(y.max())
        if len(shape) < 3 and (low < 0 or high >= shape[-1]):
            raise DataError(f"{name}: labels run from {low} to {high}, but {where} has {shape[-1]} outputs")
