"""Whether labels can be what a model gives: refused before anything is trained or measured, with both counts."""

from __future__ import annotations

import keras
import numpy as np

from legodnn.blocks.importing.data import Dataset
from legodnn.errors import DataError


def check_classes(model: keras.Model, data: Dataset, metric: str | None = None) -> None:
    """Raise DataError if class numbers are no outputs of a classifier, or its outputs are not the classes there are.

    Said nothing of: labels of another form than one class number for each image, which are the metric's to judge, and
    those that are compared by a metric of the user's own.

    Args:
        model: of one or several outputs, any of which may be meant.
        data: whose labels are looked at.
        metric: the recipe's.
    """
    given = [split.y for split in (data.train, data.val, data.test) if split.y is not None]
    y = [part for part in given if not isinstance(part, tuple) and part.ndim == 1 and part.dtype.kind in "iu"]
    scores = [int(t.shape[-1]) for t in model.outputs if len(t.shape) == 2]
    if not y or len(y) < len(given) or not scores or metric not in (None, "top1"):
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
    # One output may be a number that is to be told, such as an age.
    if numbers[0] < 0 or (max(scores) > 1 and numbers[-1] >= max(scores)):
        raise DataError(f"{data.name}: labels run from {numbers[0]} to {numbers[-1]}, but {outputs}")
