"""What labels say about an output: scores of classes, yes or no, or numbers. Builds and devices go by the same rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LabelKind = Literal["classes", "binary", "numbers"]

# The metrics by name, and the kinds of outputs that each can judge.
MEASURES: dict[str, tuple[LabelKind, ...]] = {
    "top1": ("classes",),
    "top5": ("classes",),
    "binary_accuracy": ("binary",),
    "mean_iou": ("classes", "binary"),
    "r2": ("numbers",),
}


def labels_fit(shape: tuple[int, ...], label: tuple[int, ...]) -> Literal["value", "number"] | None:
    """Return whether labels have a value for each value of an output, or a class number for each set of scores.

    Args:
        shape: the output's for one image.
        label: the shape of one image's label.

    Returns:
        None if they have neither.
    """
    columns, places = (shape[-1] if shape else 1), shape[:-1]
    if label == shape or (columns == 1 and label in (places, (*places, 1))):
        return "value"
    return "number" if columns > 1 and label in (places, (*places, 1)) else None


def kinds_of_values(shape: tuple[int, ...], labels: Sequence[NDArray[Any]]) -> tuple[list[LabelKind], int]:
    """Return what an output can be by labels that have a value for each of its values.

    Args:
        shape: the output's for one image.
        labels: arrays of shape (n, ...), of finite numbers.

    Returns:
        The kinds that it can be, the likeliest first, and the label that says yes where the kind is 'binary'.
    """
    mask = len(shape) == 3 and shape[-1] == 1
    values = _few_values([_without_void(y) if mask else y for y in labels])
    if mask and values and 255 in values and values <= {0, 1, 255}:
        return ["binary", "numbers"], 1 if 1 in values else 255
    columns = shape[-1] if shape else 1
    if values and values <= {0, 1}:
        one_hot = columns > 1 and all((y.sum(axis=-1) == 1).all() for y in labels)
        return (["classes", "binary", "numbers"] if one_hot else ["binary", "numbers"]), 1
    if columns > 1 and all((y >= 0).all() and np.allclose(y.sum(axis=-1), 1, atol=1e-3) for y in labels):
        return ["classes", "numbers"], 1  # smoothed one-hot labels
    return ["numbers"], 1


def chosen_kind(
    kinds: Sequence[LabelKind], shape: tuple[int, ...], measure: str | None
) -> tuple[LabelKind, str] | None:
    """Return the first kind that a metric can judge, and the metric; without a metric, the first and what fits it.

    Args:
        kinds: what an output can be, the likeliest first.
        shape: the output's for one image.
        measure: a name in `MEASURES`, or None.

    Returns:
        None if the metric can judge none of them.
    """
    kind = next((k for k in kinds if measure is None or k in MEASURES[measure]), None)
    if kind is None or (measure == "top5" and shape[-1] <= 5):
        return None
    images = len(shape) == 3
    usual = {"classes": "mean_iou" if images else "top1", "binary": "mean_iou" if images else "binary_accuracy"}
    return kind, measure or usual.get(kind, "r2")


def _without_void(mask: NDArray[Any]) -> NDArray[Any]:
    """Return the values of masks without those below 0, which mark void places where 0 is a class."""
    return mask[mask >= 0] if (mask == 0).any() else mask


def _few_values(labels: Sequence[NDArray[Any]]) -> set[int] | None:
    """Return the values among 0, 1 and 255 that labels have; None if they have others too."""
    found: set[int] = set()
    for y in labels:
        for value in (0, 1, 255):
            if (y == value).any():
                found.add(value)
        if not np.isin(y, (0, 1, 255)).all():
            return None
    return found
