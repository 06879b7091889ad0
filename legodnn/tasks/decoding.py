"""What a model found, as objects, from the arrays that it gave.

outputs = runtime.infer("cells", x)
for box in legodnn.tasks.decode(runtime.stores["cells"], outputs, picture=(480, 640)):
    print(box.label, box.score, box.left, box.top, box.right, box.bottom)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import AnyArray, Floats
from legodnn.checked_outputs import output_numbers
from legodnn.errors import InputError, StoreError
from legodnn.manifest import Manifest
from legodnn.placement import Placement, placed
from legodnn.readings import AnchorBoxes, Anomaly, ClassMap, ClassScores, Reading
from legodnn.store import Store
from legodnn.tasks.anchor_boxes import found_boxes, sigmoid
from legodnn.tasks.anomalies import anomaly_scores
from legodnn.tasks.clips import clip_scores
from legodnn.tasks.key_points import found_points

_MOST_CLASSES = 5


@dataclass(frozen=True)
class FoundClass:
    """A class that an image or clip may show.

    Attributes:
        number: the class number.
        label: the name of the class; its number where classes have no names.
        score: a probability, from 0 to 1.
    """

    number: int
    label: str
    score: float


@dataclass(frozen=True)
class FoundBox:
    """An object and the box around it, in pixels from the top left corner.

    Attributes:
        left: of the box; it is at most `right`.
        top: of the box; it is at most `bottom`.
        right: of the box.
        bottom: of the box.
        number: the class number.
        label: the name of the class; its number where classes have no names.
        score: from 0 to 1.
    """

    left: float
    top: float
    right: float
    bottom: float
    number: int
    label: str
    score: float


@dataclass(frozen=True, eq=False)
class FoundAreas:
    """Which class each place of a picture shows.

    Attributes:
        classes: class numbers, shape (height, width); of a foreground 1, of what lies behind it 0.
        labels: the names of the classes that occur, by their numbers.
    """

    classes: NDArray[np.uint16]
    labels: Mapping[int, str]


@dataclass(frozen=True)
class FoundPoint:
    """A key point, in pixels from the top left corner.

    Attributes:
        name: of the point.
        x: to the right.
        y: down.
        score: the value of its heat map there; 1 of points that are given by coordinates.
    """

    name: str
    x: float
    y: float
    score: float


@dataclass(frozen=True)
class FoundAnomaly:
    """How far an image is from what is normal.

    Attributes:
        score: the larger, the less normal.
        anomaly: whether it reaches the threshold; None where the store has no threshold.
    """

    score: float
    anomaly: bool | None


Decoded = tuple[FoundClass, ...] | tuple[FoundBox, ...] | FoundAreas | tuple[FoundPoint, ...] | FoundAnomaly


def store_reading(store: Store) -> Reading:
    """Return how a store's outputs are read.

    Raises:
        StoreError: the store does not say it.
    """
    reading = store.manifest.model.reading
    if reading is None:
        raise StoreError(
            f"{store.path} does not say how its outputs are read; "
            "build it with a `reading` in the recipe (docs/tasks.md)"
        )
    return reading


def decode(store: Store, outputs: AnyArray | Mapping[str, AnyArray], picture: tuple[int, int] | None = None) -> Decoded:
    """Return what a model found in one image, by the reading in its store's manifest.

    Args:
        store: the model's store.
        outputs: what `Runtime.infer` returned; for a clip, what it returned for its frames, as the rows of one array.
        picture: height and width of the picture that the input was made of: places are then in its pixels, as if it had
            been resized back. None: they are in pixels of the model's input, and maps of classes are as the model gives
            them.

    Returns:
        By the reading's kind: for class_scores the five likeliest classes (or fewer), for anchor_boxes boxes, both with
        the highest score first; for class_map areas; for heat_maps and coordinates points; for anomaly a score.

    Raises:
        StoreError: the store does not say how outputs are read.
        InputError: the outputs are not of this model, or hold NaN or infinity; or `picture` is no height and width.
    """
    manifest, reading = store.manifest, store_reading(store)
    if isinstance(reading, ClassScores) and isinstance(outputs, np.ndarray) and outputs.ndim == 2:
        if len(outputs) != reading.frames:
            raise InputError(f"{manifest.model.name} takes clips of {reading.frames} frames, not of {len(outputs)}")
        outputs = clip_scores(outputs, reading.frames)[0]
    if picture is not None and not (len(picture) == 2 and all(side > 0 for side in picture)):
        raise InputError(f"`picture` is {picture}; give height and width, two numbers above 0")
    arrays = _arrays(manifest, outputs)
    height, width, where = _places(manifest, picture)
    labels = manifest.model.labels
    if isinstance(reading, ClassScores):
        return _classes(reading, arrays[0], labels)
    if isinstance(reading, ClassMap):
        return _areas(reading, arrays[0], labels, (height, width), picture, where)
    if isinstance(reading, AnchorBoxes):
        found = found_boxes(reading, arrays, height, width)
        left, top, right, bottom = _back(found.boxes.reshape(-1, 2), picture, where).reshape(-1, 4).T.tolist()
        labelled = [_label(labels, number) for number in found.classes.tolist()]
        columns = left, top, right, bottom, found.classes.tolist(), labelled, found.scores.tolist()
        return tuple(map(FoundBox, *columns))
    if isinstance(reading, Anomaly):
        score = float(anomaly_scores(arrays[0][None])[0])
        return FoundAnomaly(score, None if reading.threshold is None else score >= reading.threshold)
    points = found_points(reading, arrays[0], height, width)
    places = _back(points[:, :2], picture, where).tolist()
    scores = points[:, 2].tolist()
    return tuple(FoundPoint(n, x, y, s) for n, (x, y), s in zip(reading.points, places, scores, strict=True))


def _arrays(manifest: Manifest, outputs: AnyArray | Mapping[str, AnyArray]) -> list[AnyArray]:
    """Return the outputs as numbers, in the model's order; InputError if they are not the model's, or not finite."""
    named = outputs if isinstance(outputs, Mapping) else {manifest.outputs[0]: outputs}
    if set(named) != set(manifest.outputs):
        raise InputError(f"{manifest.model.name} gives {', '.join(manifest.outputs)}, not {', '.join(named)}")
    for name, output in named.items():
        wanted, is_array = manifest.specs[name].shape, isinstance(output, np.ndarray)
        if not is_array or output.dtype.kind not in "iuf" or output.shape != wanted:
            found = f"{output.dtype} {output.shape}" if is_array else type(output).__name__
            raise InputError(f"{manifest.model.name} gives {name} of shape {wanted}, not {found}")
    return output_numbers(manifest, named)


def _places(manifest: Manifest, picture: tuple[int, int] | None) -> tuple[int, int, Placement | None]:
    """Return height and width of the model's input, and how the picture lies in it; 1 and 1 where it is no picture."""
    spec = manifest.inputs[0]
    if len(spec.shape) != 3 or spec.layout != "HWC":
        return 1, 1, None
    height, width, _ = spec.shape
    return height, width, placed(picture, (height, width), spec.fit) if picture else None


def _back(points: Floats, picture: tuple[int, int] | None, where: Placement | None) -> Floats:
    """Return points of the model's input as points of the picture, and inside of it."""
    if where is None or picture is None:
        return points
    return np.clip(where.into_picture(points), 0, (picture[1], picture[0]))


def _label(labels: Sequence[str], number: int) -> str:
    return labels[number] if number < len(labels) else str(number)


def _classes(reading: ClassScores, scores: AnyArray, labels: Sequence[str]) -> tuple[FoundClass, ...]:
    values = scores.astype(np.float64)
    if reading.scale == "sigmoid_logits" or (reading.scale == "linear" and len(values) == 1):
        values = sigmoid(values)
    elif reading.scale == "linear":
        values = np.exp(values - values.max())
        values /= values.sum()
    if len(values) == 1 and len(labels) != 1:  # see `ClassScores`
        values = np.append(1 - values, values)
    best = np.argsort(-values, kind="stable")[:_MOST_CLASSES].tolist()
    return tuple(FoundClass(number, _label(labels, number), float(values[number])) for number in best)


def _areas(
    reading: ClassMap,
    scores: AnyArray,
    labels: Sequence[str],
    size: tuple[int, int],
    picture: tuple[int, int] | None,
    where: Placement | None,
) -> FoundAreas:
    one = scores.shape[-1] == 1
    classes = (scores[..., 0] > reading.threshold if one else scores.argmax(axis=-1)).astype(np.uint16)
    if picture and where:
        # Each pixel of the picture shows the class of the element that its middle falls into.
        rows, columns = (np.arange(length) + 0.5 for length in picture)
        down = where.into_input(np.stack([rows, rows], axis=-1))[:, 1] * classes.shape[0] / size[0]
        across = where.into_input(np.stack([columns, columns], axis=-1))[:, 0] * classes.shape[1] / size[1]
        limits = classes.shape[0] - 1, classes.shape[1] - 1
        classes = classes[np.ix_(*(np.clip(p, 0, n).astype(int) for p, n in zip((down, across), limits, strict=True)))]
    return FoundAreas(classes, {number: _label(labels, number) for number in np.unique(classes).tolist()})
