"""Scores of a model's outputs against labels, by what its store says that outputs hold.

Where a store has a reading with a metric of its own (boxes, key points, anomalies, clips), the score is that metric, as
`legodnn.blocks.accuracy.task_metrics` gives it for a build; else the one that fits the labels of a single output
(`scores`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import AnyArray
from legodnn.checked_outputs import output_numbers
from legodnn.errors import InputError
from legodnn.manifest import Manifest
from legodnn.readings import AnchorBoxes, Anomaly, ClassScores, Coordinates, HeatMaps, Reading
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.scores import Score, check_numbers_of_classes, score_for
from legodnn.store import Store
from legodnn.tasks.anchor_boxes import LEAST_RATED_SCORE, found_boxes
from legodnn.tasks.anomalies import anomaly_scores, auroc
from legodnn.tasks.average_precision import mean_average_precision
from legodnn.tasks.clips import clip_accuracy
from legodnn.tasks.key_points import found_points, rated_points


class ModelScore(Protocol):
    """A score of all inferences that have been added; larger is better."""

    def add(self, outputs: Mapping[str, AnyArray], label: Any, number: int) -> None:
        """Add an inference.

        Args:
            outputs: what the model gave, by name, as it gave it.
            label: the input's.
            number: the input's, which tells what clip it is of; inputs may come in any order.

        Raises:
            InputError: there is NaN or infinity in the outputs, which no score takes.
        """

    def value(self) -> float | None:
        """Return the score of all inferences that have been added, at least one; None if they make up no clip."""


def model_score(store: Store, inputs: Inputs, name: str) -> ModelScore | None:
    """Return an empty score for a store's model on these inputs.

    Args:
        store: the model's store.
        inputs: their labels decide, and are checked.
        name: what messages call the model.

    Returns:
        None if there are no labels, or nothing is known of how outputs and labels are compared: there are several
        outputs that no reading puts together; or the labels are the folders of images, and outputs are no classes, or
        not every clip lies in one folder. Nor are there scores where the frames make up no clip.

    Raises:
        InputError: labels do not fit the outputs.
    """
    manifest, y = store.manifest, inputs.y
    if y is None:
        return None
    reading = manifest.model.reading
    if isinstance(reading, AnchorBoxes | HeatMaps | Coordinates | Anomaly):
        if inputs.names:
            return None
        if problem := _problem(reading, y):
            raise InputError(f"labels of {name}: {problem}; or leave y out")
        if isinstance(reading, AnchorBoxes):  # rows of class -1 fill up
            numbers = manifest.specs[manifest.outputs[0]].shape[-1] // len(reading.anchors[0])
            check_numbers_of_classes(np.maximum(y[..., 4], 0), numbers - 5, name)
        return _Collected(manifest, *_rating(reading, manifest))
    if isinstance(reading, ClassScores) and reading.frames > 1:
        return _clip_score(manifest, inputs, y, name, reading.frames)
    if len(manifest.outputs) > 1:
        return None
    shape = manifest.specs[manifest.outputs[0]].shape
    return _OfOneOutput(manifest, score_for(np.zeros(shape, np.float32), y, name, manifest.accuracy.metric))


class _OfOneOutput:
    """A score of a single output."""

    def __init__(self, manifest: Manifest, score: Score) -> None:
        self._manifest, self._score = manifest, score

    def add(self, outputs: Mapping[str, AnyArray], label: Any, number: int) -> None:
        (numbers,) = output_numbers(self._manifest, outputs)
        self._score.add(numbers, label)

    def value(self) -> float:
        return self._score.value()


_Found = Callable[[Sequence[AnyArray]], Any]
_Rated = Callable[[list[Any], list[Any]], float]


class _Collected:
    """A score that takes all inferences together: what was found in each is kept, and rated in the end.

    Of `frames` inputs in a row that make a clip, those count that have all been added.
    """

    def __init__(self, manifest: Manifest, found_in: _Found, rated: _Rated, frames: int = 1) -> None:
        self._manifest, self._found_in, self._rated, self._frames = manifest, found_in, rated, frames
        self._added: dict[int, tuple[Any, Any]] = {}

    def add(self, outputs: Mapping[str, AnyArray], label: Any, number: int) -> None:
        self._added[number] = self._found_in(output_numbers(self._manifest, outputs)), label

    def value(self) -> float | None:
        there = Counter(number // self._frames for number in self._added)
        whole = [self._added[n] for n in sorted(self._added) if there[n // self._frames] == self._frames]
        return self._rated([found for found, _ in whole], [label for _, label in whole]) if whole else None


def _problem(reading: Reading, y: NDArray[Any]) -> str | None:
    """Return why labels do not fit a reading; None if they do."""
    if isinstance(reading, AnchorBoxes):
        fits, wanted = y.shape[1:][1:] == (5,), "boxes (m, 5): left, top, right, bottom, class"
    elif isinstance(reading, HeatMaps | Coordinates):
        fits, wanted = y.shape[1:] == (len(reading.points), 3), f"points ({len(reading.points)}, 3): x, y, known"
    else:
        fits, wanted = y.size == len(y) and bool(np.isin(y, (0, 1)).all()), "0 (normal) or 1 (an anomaly)"
    return None if fits else f"each must be {wanted}; they have shape {y.shape[1:]}"


def _rating(reading: AnchorBoxes | HeatMaps | Coordinates | Anomaly, manifest: Manifest) -> tuple[_Found, _Rated]:
    """Return what is kept of the outputs for one input, and how all of it is rated."""
    if isinstance(reading, Anomaly):
        return (
            lambda outputs: float(anomaly_scores(outputs[0][None])[0]),
            lambda found, labels: auroc(np.array(found), np.ravel(labels)),
        )
    height, width, *_ = manifest.inputs[0].shape
    if isinstance(reading, AnchorBoxes):
        return (
            lambda grids: found_boxes(reading, grids, height, width, LEAST_RATED_SCORE),
            lambda found, labels: mean_average_precision(found, [boxes[boxes[:, 4] >= 0] for boxes in labels]),
        )
    return (
        lambda outputs: found_points(reading, outputs[0], height, width),
        lambda found, labels: rated_points(reading, np.array(found), np.array(labels, np.float64)),
    )


def _clip_score(manifest: Manifest, inputs: Inputs, y: NDArray[Any], name: str, frames: int) -> ModelScore | None:
    """Return an empty score of clips, of so many inputs in a row each; None if no clip is whole, or folders tell none.

    Raises:
        InputError: labels are no classes of the model, or those of a clip's frames differ.
    """
    (classes,) = manifest.specs[manifest.outputs[0]].shape
    if y.size == len(y) and (y == np.floor(y)).all():
        y = y.reshape(-1)
        check_numbers_of_classes(y, classes, name)
    elif y.shape[1:] != (classes,):
        raise InputError(
            f"each label of {name} has shape {y.shape[1:]} ({y.dtype}): give the class number of each frame's clip, or "
            f"one-hot labels of {classes} classes, or leave y out"
        )
    whole = len(y) // frames * frames
    folders = [PurePosixPath(picture).parent for picture in inputs.names[:whole]]
    if not whole or any(len({*folders[first : first + frames]}) > 1 for first in range(0, whole, frames)):
        return None
    clips = y[:whole].reshape(-1, frames, *y.shape[1:])
    if (clips != clips[:, :1]).any():
        raise InputError(
            f"{frames} inputs of {name} in a row make a clip, but some are labelled with different classes: give the "
            "frames of a clip in a row, or leave y out"
        )
    return _Collected(
        manifest,
        lambda outputs: outputs[0],
        lambda found, labels: clip_accuracy(np.array(found), np.reshape(labels, (-1, *y.shape[1:])), frames),
        frames,
    )
