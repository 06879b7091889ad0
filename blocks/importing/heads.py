"""Heads: how each output of a model is read, as scores of classes, as yes or no, or as numbers.

It is decided once, from the output's shape and last activation (`output_scale`) and from the shape and values of its
labels (`labels`). The metric, the loss that trains the original, and the loss that compares descendants follow from it.

    output                   labels                               read as
    one column or channel    0 and 1; of masks also 0 and 255     yes or no
    one column or channel    other numbers                        numbers
    several                  one class number each, or one-hot    classes
    several                  0s and 1s, not one-hot               yes or no
    several                  other numbers                        numbers
    any                      none                                 softmax: classes, sigmoid: yes or no, or numbers

In masks numbers below 0 are void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.labels import kinds_by_labels
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.importing.output_scale import OutputScale, scale_of
from legodnn.errors import DataError
from legodnn.label_kinds import LabelKind, chosen_kind

_WANTED = {
    "top1": "scores of at least two classes, and a class number for each (or one-hot labels)",
    "top5": "scores of more than five classes, and a class number for each (or one-hot labels)",
    "binary_accuracy": "labels 0 and 1 of the outputs' shape",
    "mean_iou": "a class number for each place, or, for one channel, labels 0 and 1 (or 0 and 255), below 0 where void",
    "r2": "labels of the outputs' shape",
}


@dataclass(frozen=True)
class Head:
    """How one output is read.

    Attributes:
        kind: 'classes': the last axis holds scores of classes; 'binary': every value says yes or no; or 'numbers'.
        measure: the metric, a name in `MEASURES`.
        scale: 'softmax': probabilities over the last axis; 'sigmoid': values from 0 to 1; 'linear': logits, or plain
            numbers.
        yes: the label that says yes.
    """

    kind: LabelKind
    measure: str
    scale: OutputScale
    yes: int = 1

    @property
    def threshold(self) -> float:
        """The value from which on a binary output says yes."""
        return 0.5 if self.scale == "sigmoid" else 0.0


def heads_of(model: keras.Model, data: Dataset, measure: str | None = None, classifier: bool = False) -> list[Head]:
    """Return how each output of a model is read.

    Args:
        model: a Functional model.
        data: its images and labels. Labels are a tuple, with one array for each output, where the model has several.
            They count only if the validation images have some.
        measure: the metric that the outputs are read for, a name in `MEASURES`; None: the one that fits.
        classifier: whether outputs without an activation are scores of classes where no labels tell.

    Raises:
        DataError: the labels do not fit the outputs, or the metric does not fit them.
    """
    model = functional(model)
    named = {"training": data.train, "validation": data.val, "test": data.test}
    labels = {name: as_list(split.y) for name, split in named.items() if split.y is not None and data.val.y is not None}
    for name, found in labels.items():
        if len(found) != len(model.outputs):
            raise DataError(
                f"{data.name}, {name} images: {model.name} has {len(model.outputs)} outputs, the labels are "
                f"{'one array' if len(found) == 1 else f'{len(found)} arrays'}: give a tuple of labels, one for each "
                "output; or a metric of your own, module:function; or no labels, to measure agreement with the original"
            )
    heads = []
    for i, output in enumerate(model.outputs):
        shape, scale = tuple(output.shape[1:]), scale_of(model, i, data.val.x)
        own = {f"{data.name}, {name} images": np.asarray(found[i]) for name, found in labels.items()}
        known = classifier or (len(shape) == 1 and shape[-1] == len(data.labels))
        where = model.name if len(model.outputs) == 1 else f"output {i + 1} of {model.name}"
        kinds, yes = kinds_by_labels(shape, scale, own, where) if own else (_kinds_by_scale(shape, scale, known), 1)
        heads.append(_chosen(kinds, shape, scale, yes, measure, where))
    return heads


def _chosen(
    kinds: Sequence[LabelKind], shape: Sequence[int], scale: OutputScale, yes: int, measure: str | None, where: str
) -> Head:
    """Return a head of the first kind that the metric can judge; without a metric, of the first kind of all."""
    chosen = chosen_kind(kinds, tuple(shape), measure)
    if chosen is None:
        assert measure
        raise DataError(f"metric {measure} wants {_WANTED[measure]}, which {where} and its labels do not have")
    return Head(*chosen, scale, yes)


def _kinds_by_scale(shape: Sequence[int], scale: OutputScale, classifier: bool) -> list[LabelKind]:
    """Return the kinds that an output without labels can be, the likeliest first."""
    several = len(shape) > 0 and shape[-1] > 1
    if scale == "softmax" or (scale == "linear" and classifier and several):
        return ["classes", "numbers"]
    if scale == "sigmoid":
        return ["binary", "numbers", *(["classes"] if several else [])]  # type: ignore[list-item]
    return ["numbers", *(["classes"] if several else []), "binary"]  # type: ignore[list-item]
