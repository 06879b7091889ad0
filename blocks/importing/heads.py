"""How a model's outputs are to be read: as scores of classes, as yes or no, or as numbers.

Decided once, from an output's shape and last activation and from the shape and values of its labels. What an output is
worth (`metrics`), what the original is trained by (`training`) and what descendants are compared by (`joint`) follow.

    output                       labels                                 read as
    one column or channel        0 and 1; of masks also 0 and 255       yes or no
    one column or channel        other numbers                          numbers
    several                      one class number each, or one-hot      classes
    several                      0s and 1s, not one-hot                 yes or no
    several                      other numbers                          numbers
    any                          none                                   softmax: classes, sigmoid: yes or no, or numbers
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import LayerCall, as_list, calls
from legodnn.blocks.importing.opening import functional
from legodnn.errors import DataError
from legodnn.pixels import PixelArrays

HeadKind = Literal["classes", "binary", "numbers"]
HeadScale = Literal["softmax", "sigmoid", "linear"]
Labels = NDArray[Any]

# The metrics by name, and what each can be of.
MEASURES: dict[str, tuple[HeadKind, ...]] = {
    "top1": ("classes",),
    "binary_accuracy": ("binary",),
    "mean_iou": ("classes", "binary"),
    "r2": ("numbers",),
}
_WANTED = {
    "top1": "scores of at least two classes, and a class number for each (or one-hot labels)",
    "binary_accuracy": "labels 0 and 1 of the outputs' shape",
    "mean_iou": "a class number for each place, or, for one channel, labels 0 and 1 (or 0 and 255)",
    "r2": "labels of the outputs' shape",
}
# Operations after which scores of classes still are, and values from 0 to 1 still are.
_PASSING = frozenset(
    [
        "Identity",
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "Reshape",
        "Flatten",
        "Squeeze",
        "ExpandDims",
        "Cast",
        "Permute",
        "Transpose",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "AveragePooling1D",
        "AveragePooling2D",
        "UpSampling1D",
        "UpSampling2D",
        "Resizing",
        "Cropping1D",
        "Cropping2D",
        "ActivityRegularization",
        "Average",
        "Concatenate",
        "Clip",
    ]
)
_SCALES: dict[str, HeadScale] = {
    **dict.fromkeys(("softmax", "Softmax"), "softmax"),
    **dict.fromkeys(("sigmoid", "hard_sigmoid", "Sigmoid", "HardSigmoid"), "sigmoid"),
}
_SEEN_IMAGES = 32


@dataclass(frozen=True)
class Head:
    """How one output is read.

    Attributes:
        kind: classes: its last axis holds scores of classes; binary: every value says yes or no; numbers.
        measure: the metric, a name in `MEASURES`.
        scale: what its values are: softmax (probabilities over the last axis), sigmoid (from 0 to 1), or linear:
            logits of classes and of yes or no, or plain numbers.
        yes: the label that says yes.
    """

    kind: HeadKind
    measure: str
    scale: HeadScale
    yes: int = 1

    @property
    def threshold(self) -> float:
        """From where on a value says yes."""
        return 0.5 if self.scale == "sigmoid" else 0.0


def heads_of(model: keras.Model, data: Dataset, measure: str | None = None, classifier: bool = False) -> list[Head]:
    """How each output of a model is read; labels of every split are looked at if the validation images have any.

    Args:
        model: a Functional model.
        data: its images and labels; a tuple of labels, one for each output, where a model has several.
        measure: the metric to read them for, a name in `MEASURES`; None: what fits.
        classifier: outputs without an activation are scores of classes, where there are no labels to tell.

    Raises:
        DataError: labels and outputs do not go together, or not for this metric.
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
        kinds, yes = _labelled(shape, scale, own, where) if own else (_unlabelled(shape, scale, known), 1)
        heads.append(_chosen(kinds, shape, scale, yes, measure, where))
    return heads


def _chosen(
    kinds: Sequence[HeadKind], shape: Sequence[int], scale: HeadScale, yes: int, measure: str | None, where: str
) -> Head:
    """The first kind that the metric can be of, or, without one, the first, with the metric that is usual for it."""
    images = len(shape) == 3
    usual = {"classes": "mean_iou" if images else "top1", "binary": "mean_iou" if images else "binary_accuracy"}
    kind = next((k for k in kinds if measure is None or k in MEASURES[measure]), None)
    if kind is None:
        assert measure
        raise DataError(f"metric {measure} wants {_WANTED[measure]}, which {where} and its labels do not have")
    return Head(kind, measure or usual.get(kind, "r2"), scale, yes)


def _unlabelled(shape: Sequence[int], scale: HeadScale, classifier: bool) -> list[HeadKind]:
    several = len(shape) > 0 and shape[-1] > 1
    if scale == "softmax" or (scale == "linear" and classifier and several):
        return ["classes", "numbers"]
    if scale == "sigmoid":
        return ["binary", "numbers", *(["classes"] if several else [])]  # type: ignore[list-item]
    return ["numbers", *(["classes"] if several else []), "binary"]  # type: ignore[list-item]


def _labelled(
    shape: tuple[int, ...], scale: HeadScale, labels: dict[str, Labels], where: str
) -> tuple[list[HeadKind], int]:
    """What the output can be, the likeliest first, and the label that says yes."""
    for name, y in labels.items():
        if y.dtype.kind not in "biuf":
            raise DataError(f"{name}: labels hold {y.dtype}, not numbers")
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise DataError(f"{name}: labels hold NaN or infinity")
        if _fits(shape, y.shape[1:]) is None:
            raise DataError(
                f"{name}: labels of shape {y.shape[1:]} for each do not fit {where}, which gives {shape}: give a class "
                "number for each (for each place), or labels of the outputs' shape; or name a metric of your own, "
                "module:function"
            )
    fits = {_fits(shape, y.shape[1:]) for y in labels.values()}
    if len(fits) > 1:
        raise DataError(f"{', '.join(labels)}: labels of different shapes: {[y.shape for y in labels.values()]}")
    if fits == {"number"}:
        return _numbered(shape, labels, where), 1
    values = _few_values(list(labels.values()))
    if len(shape) == 3 and shape[-1] == 1 and values and 255 in values and values <= {0, 1, 255}:
        return ["binary", "numbers"], 1 if 1 in values else 255
    columns = shape[-1] if shape else 1
    if values and values <= {0, 1}:
        one_hot = columns > 1 and all((y.sum(axis=-1) == 1).all() for y in labels.values())
        return (["classes", "binary", "numbers"] if one_hot else ["binary", "numbers"]), 1
    if scale != "linear" and any(y.min() < 0 or y.max() > 1 for y in labels.values()):
        name, y = next((n, y) for n, y in labels.items() if y.min() < 0 or y.max() > 1)
        raise DataError(
            f"{name}: labels run from {y.min():g} to {y.max():g}, but {where} gives values from 0 to 1: label 0 and 1"
        )
    if columns > 1 and all((y >= 0).all() and np.allclose(y.sum(axis=-1), 1, atol=1e-3) for y in labels.values()):
        return ["classes", "numbers"], 1  # one-hot labels that were smoothed
    return ["numbers"], 1


def _fits(shape: tuple[int, ...], label: tuple[int, ...]) -> Literal["value", "number"] | None:
    """Whether labels have a value for each value of the output, or a number for each of its scores; None: neither."""
    columns, places = (shape[-1] if shape else 1), shape[:-1]
    if label == shape or (columns == 1 and label in (places, (*places, 1))):
        return "value"
    return "number" if columns > 1 and label in (places, (*places, 1)) else None


def _numbered(shape: tuple[int, ...], labels: dict[str, Labels], where: str) -> list[HeadKind]:
    """Class numbers; those of pixels may lie outside, which marks what does not count."""
    for name, y in labels.items():
        if y.dtype.kind == "f" and (y != np.floor(y)).any():
            raise DataError(
                f"{name}: labels are {y.dtype} and not whole, but {where} gives scores of {shape[-1]} classes"
            )
        low, high = int(y.min()), int(y.max())
        if len(shape) < 3 and (low < 0 or high >= shape[-1]):
            raise DataError(f"{name}: labels run from {low} to {high}, but {where} has {shape[-1]} outputs")
    return ["classes"]


def _few_values(labels: Sequence[Labels]) -> set[int] | None:
    """The labels' values if they are but 0, 1 and 255."""
    found: set[int] = set()
    for y in labels:
        for value in (0, 1, 255):
            if (y == value).any():
                found.add(value)
        if not np.isin(y, (0, 1, 255)).all():
            return None
    return found


def scale_of(model: keras.Model, number: int, x: PixelArrays) -> HeadScale:
    """What the values of an output are, by the last activation before it.

    Args:
        model: a Functional model.
        number: of the output.
        x: images, shape (n, ...): what operations of the user's own give is told by what they give for these.
    """
    made = {id(t): call for call in calls(model) for t in call.outputs}
    return _traced(model.outputs[number], made) or _seen(model, number, x)


def _traced(tensor: Any, made: Mapping[int, LayerCall]) -> HeadScale | None:
    """None: an operation of the user's own made the tensor."""
    call = made.get(id(tensor))
    if call is None:
        return "linear"
    activation = getattr(call.operation, "activation", None)
    name = call.kind if activation is None else getattr(activation, "__name__", type(activation).__name__)
    axis = getattr(call.operation, "axis", -1) if name == "Softmax" else -1
    if name in _SCALES:
        return _SCALES[name] if axis in (-1, len(tensor.shape) - 1) else "sigmoid"
    if call.kind in _PASSING or (call.kind == "Activation" and name == "linear"):
        found = {_traced(t, made) for t in call.inputs}
        scale = found.pop() if len(found) == 1 else "linear"
        # Where the last axis becomes another one, scores along it are no distribution any more.
        return "sigmoid" if scale == "softmax" and tensor.shape[-1] != call.inputs[0].shape[-1] else scale
    parts = (call.operation, *([] if activation is None else [activation]))
    own = call.kind == "Lambda" or any(not _module(part).startswith("keras.") for part in parts)
    return None if own else "linear"


def _module(thing: Any) -> str:
    """Where a function, or an object's class, is from."""
    return str(getattr(thing, "__module__", None) or type(thing).__module__)


def _seen(model: keras.Model, number: int, x: PixelArrays) -> HeadScale:
    values = np.asarray(as_list(model.predict_on_batch(x[:_SEEN_IMAGES]))[number], np.float64)
    if not ((values >= 0).all() and (values <= 1).all()):
        return "linear"
    whole = values.ndim > 1 and values.shape[-1] > 1 and np.allclose(values.sum(axis=-1), 1, atol=1e-3)
    return "softmax" if whole else "sigmoid"
