"""What a model's outputs are worth: top-1, mean intersection over union, R squared, or any function that a user gives.

A metric takes the model's outputs and the labels, and gives a number, the larger the better. Where there are no
labels, the undivided original's outputs stand in for them, so that every metric here then says how far a composition
agrees with the original: share of equal classes, overlap of equal regions, one minus the relative squared error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.data import Dataset
from legodnn.blocks.users import user_function
from legodnn.errors import DataError

Array = NDArray[np.float32]
Metric = Callable[[Sequence[Array], Any], float]


def top1(outputs: Sequence[Array], labels: Any) -> float:
    """Share of images whose largest score is the label's.

    Args:
        outputs: the first has shape (n, ..., classes).
        labels: class numbers, shape (n, ...), or another model's outputs, whose largest scores then count.
    """
    return float((outputs[0].argmax(axis=-1) == _classes(outputs[0], labels)).mean())


def mean_iou(outputs: Sequence[Array], labels: Any) -> float:
    """Mean over classes of intersection over union; classes that occur in neither are left out.

    Args:
        outputs: the first has shape (n, ..., classes).
        labels: class numbers, shape (n, ...), or another model's outputs. Numbers below 0, or from the number of
            classes on, mark what does not count ("void").
    """
    classes, scores = outputs[0].shape[-1], outputs[0]
    truth = np.asarray(_classes(scores, labels)).astype(np.int64)
    counted = (truth >= 0) & (truth < classes)
    pairs = np.bincount(
        truth[counted] * classes + scores.argmax(axis=-1)[counted], minlength=classes * classes
    ).reshape(classes, classes)
    both, union = pairs.diagonal(), pairs.sum(axis=0) + pairs.sum(axis=1) - pairs.diagonal()
    return float((both[union > 0] / union[union > 0]).mean()) if union.any() else 0.0


def r2(outputs: Sequence[Array], labels: Any) -> float:
    """One minus the squared error over the variance of the labels: 1 is perfect, 0 as good as a constant.

    Args:
        outputs: each of shape (n, ...).
        labels: what they should be: an array or a list of them. Mean over the outputs.
    """
    targets = _as_outputs(labels)
    if [np.shape(t) for t in targets] != [o.shape for o in outputs]:
        raise DataError(f"labels of shape {[np.shape(t) for t in targets]} for outputs {[o.shape for o in outputs]}")
    errors = [
        float(np.square(o - t).mean()) / max(float(np.var(t)), 1e-12) for o, t in zip(outputs, targets, strict=True)
    ]
    return 1 - sum(errors) / len(errors)


METRICS: dict[str, Metric] = {"top1": top1, "mean_iou": mean_iou, "r2": r2}


def _as_outputs(labels: Any) -> list[Any]:
    return list(labels) if isinstance(labels, list | tuple) else [labels]


def _classes(scores: Array, labels: Any) -> Any:
    """Class numbers for scores of shape (n, ..., classes); DataError if the labels are of another shape."""
    first = np.asarray(_as_outputs(labels)[0])
    if first.shape == scores.shape:
        return first.argmax(axis=-1)
    if first.shape != scores.shape[:-1]:
        raise DataError(f"labels of shape {first.shape} for scores of shape {scores.shape}; give one class number each")
    return first


def metric_of(name: str | None, data: Dataset, model: keras.Model) -> Metric:
    """A metric by name, or what fits labels and outputs.

    Args:
        name: of `METRICS`; `module:function`, looked for in the current folder too; or None.
        data: whose labels (of the validation images) are compared with.
        model: whose outputs are.

    Raises:
        DataError: there is no such metric, or labels and outputs do not go together.
    """
    if name in METRICS:
        return METRICS[name]
    if name is not None:
        found = user_function(name, DataError)
        return cast(Metric, found)
    shapes = [tuple(t.shape[1:]) for t in model.outputs]
    y = data.val.y
    if y is None:
        return top1 if len(shapes[0]) == 1 else r2
    if y.dtype.kind in "iu" and y.shape[1:] == shapes[0][:-1]:
        return top1 if y.ndim == 1 else mean_iou
    if y.shape[1:] == shapes[0]:
        return r2
    raise DataError(
        f"labels of {data.name} have shape {y.shape[1:]}, {model.name} gives {shapes}: name a metric of your own, "
        "module:function, in the recipe"
    )
