"""Metrics of outputs that a recipe's `reading` describes, and checks of the labels that go with them.

    reading                   labels of an image                                            metric
    anchor_boxes              (m, 5): left, top, right, bottom, class; rows of class -1     mean_average_precision
                              fill up where images have fewer boxes
    heat_maps, coordinates    (points, 3): x, y, and 1 where the point is known, else 0     pck; with sigmas oks
    anomaly                   0 for normal, 1 for an anomaly                                auroc
    class_scores of clips     the class number of its clip, frame after frame               clip_accuracy

Places are in pixels of the model's input. Other readings are rated as `importing.heads` finds. Without labels, what the
undivided original finds stands in for them; anomalies have no such metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array, Floats
from legodnn.blocks.importing.data import Dataset, SeveralInputs, Split, is_picture
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.heads import Head
from legodnn.errors import DataError
from legodnn.readings import AnchorBoxes, Anomaly, ClassMap, ClassScores, Coordinates, HeatMaps, Reading
from legodnn.tasks.anchor_boxes import LEAST_RATED_SCORE, found_boxes
from legodnn.tasks.anomalies import anomaly_scores, auroc
from legodnn.tasks.average_precision import mean_average_precision
from legodnn.tasks.boxes import box_problem
from legodnn.tasks.clips import clip_accuracy
from legodnn.tasks.key_points import found_points, rated_points

TaskMetric = Callable[[Sequence[Array], Any], float]


def task_metric(reading: Reading | None, val: Split) -> TaskMetric | None:
    """Return the metric that goes with a reading; None where outputs are rated as without a reading.

    Args:
        reading: of the recipe.
        val: the validation images, whose labels outputs are compared with.

    Raises:
        DataError: outputs are places in an image, and the model does not take one image; or frames that make a clip
            are labelled with different classes.
    """
    labelled = val.y is not None
    if isinstance(reading, AnchorBoxes):
        return _mean_average_precision(reading, *_image_size(val), labelled)
    if isinstance(reading, HeatMaps | Coordinates):
        return _key_points(reading, *_image_size(val), labelled)
    if isinstance(reading, Anomaly) and labelled:
        return _named("auroc", lambda outputs, labels: auroc(anomaly_scores(outputs[0]), np.asarray(labels)))
    if isinstance(reading, ClassScores) and reading.frames > 1:
        return _clip_accuracy(reading.frames, val.y)
    return None


def _image_size(split: Split) -> tuple[int, int]:
    """Return height and width of the images in whose pixels places are; DataError if there is not one for each row."""
    if isinstance(split.x, SeveralInputs) or not is_picture(split.x.shape[1:]):
        raise DataError("boxes and key points are places in an image, and the model does not take one image")
    height, width, _ = split.x.shape[1:]
    return height, width


def _named(name: str, metric: TaskMetric) -> TaskMetric:
    metric.__name__ = name
    return metric


def _mean_average_precision(reading: AnchorBoxes, height: int, width: int, labelled: bool) -> TaskMetric:
    def truth_of(labels: Any) -> list[Floats]:
        if labelled:
            return [boxes[boxes[:, 4] >= 0].astype(np.float64) for boxes in labels]
        found = [found_boxes(reading, grids, height, width) for grids in zip(*labels, strict=True)]
        return [np.concatenate([each.boxes, each.classes[:, None]], axis=1) for each in found]

    def metric(outputs: Sequence[Array], labels: Any) -> float:
        found = [found_boxes(reading, grids, height, width, LEAST_RATED_SCORE) for grids in zip(*outputs, strict=True)]
        return mean_average_precision(found, truth_of(labels))

    return _named("mean_average_precision", metric)


def _key_points(reading: HeatMaps | Coordinates, height: int, width: int, labelled: bool) -> TaskMetric:
    def truth_of(labels: Any) -> Floats:
        if labelled:
            return np.asarray(labels, np.float64)
        points = found_points(reading, labels[0], height, width)
        points[..., 2] = 1.0
        return points

    def metric(outputs: Sequence[Array], labels: Any) -> float:
        found, truth = found_points(reading, outputs[0], height, width), truth_of(labels)
        return rated_points(reading, found, truth)

    return _named("oks" if reading.sigmas else "pck", metric)


def _clip_accuracy(frames: int, labels_of_val: Any) -> TaskMetric:
    if labels_of_val is not None:
        y = np.asarray(as_list(labels_of_val)[0])
        clips = np.reshape(y[: len(y) // frames * frames], (-1, frames, *y.shape[1:]))
        if (clips != clips[:, :1]).any():
            raise DataError(
                f"{frames} validation images in a row make a clip, but some are of different classes: give the frames "
                "of a clip in a row; or clips:DIR"
            )
    return _named(
        "clip_accuracy",
        lambda outputs, labels: clip_accuracy(outputs[0], np.asarray(as_list(labels)[0]), frames),
    )


def has_labels_of_its_own(reading: Reading | None) -> bool:
    """Whether labels of this reading have a form that says nothing about the outputs' (see the module)."""
    return isinstance(reading, AnchorBoxes | HeatMaps | Coordinates | Anomaly)


def reading_of(heads: Sequence[Head], shapes: Sequence[tuple[int, ...]], classes: int) -> Reading | None:
    """Return the reading that heads mean: scores or a map of classes; None where they are no such thing.

    Args:
        heads: how outputs are read.
        shapes: of the outputs, without the number of images.
        classes: the number of classes that have names.
    """
    if len(heads) != 1 or heads[0].kind == "numbers":
        return None
    (head,), (shape,) = heads, shapes
    reading: ClassScores | ClassMap = ClassMap(scale=head.scale)
    if len(shape) == 1:
        tags = head.kind == "binary" and head.scale == "linear" and shape[0] > 1  # which do not exclude one another
        reading = ClassScores(scale="sigmoid_logits" if tags else head.scale)
    return None if reading.problem(shapes, classes) else reading


def check_task_labels(reading: Reading | None, data: Dataset, shapes: Sequence[tuple[int, ...]]) -> None:
    """Check that outputs and labels can be read as a recipe says.

    Args:
        reading: of the recipe.
        data: the data set; places of labels are in pixels of its images.
        shapes: of the model's outputs, without the number of images.

    Raises:
        DataError: they cannot. The message names the split, and what is wrong; the data is shuffled.
    """
    if reading is None:
        return
    if problem := reading.problem(shapes, len(data.labels)):
        raise DataError(f"reading {reading.kind} does not fit the model: {problem}")
    for name, split in (("training", data.train), ("validation", data.val), ("test", data.test)):
        if split.y is None or not has_labels_of_its_own(reading):
            continue
        y = split.y
        if isinstance(y, tuple) or y.dtype.kind not in "iuf" or not np.isfinite(y).all():
            raise DataError(f"{data.name}: {name} labels are not one array of finite numbers")
        if problem := _first_problem(reading, y, data, shapes):
            raise DataError(f"{data.name}: label of a {name} image: {problem}")


def _first_problem(reading: Reading, y: NDArray[Any], data: Dataset, shapes: Sequence[tuple[int, ...]]) -> str | None:
    """Return what is wrong with the first label that is."""
    if isinstance(reading, AnchorBoxes):
        height, width = _image_size(data.train)
        if y.ndim != 3 or y.shape[2] != 5:
            return f"boxes have the shape (m, 5) for each image, not {y.shape[1:]}"
        classes = shapes[0][-1] // len(reading.anchors[0]) - 5
        for boxes in y:
            for box in boxes[boxes[:, 4] >= 0]:
                if problem := box_problem(box[:4], height, width):
                    return problem
                if box[4] >= classes or box[4] != int(box[4]):
                    return f"class {box[4]:g} is none of the {classes} that the model has"
    elif isinstance(reading, HeatMaps | Coordinates):
        height, width = _image_size(data.train)
        if data.labels and data.labels != reading.points:
            return f"points are {', '.join(data.labels)}, the reading says {', '.join(reading.points)}"
        if y.shape[1:] != (len(reading.points), 3):
            return f"points have the shape {(len(reading.points), 3)} for each image, not {y.shape[1:]}"
        limits = np.array([width, height])
        outside = ((y[..., :2] < 0) | (y[..., :2] > limits)).any(axis=-1) & (y[..., 2] > 0)
        if outside.any():
            row, point = np.argwhere(outside)[0].tolist()
            x, down = y[row, point, :2]
            return f"{reading.points[point]} at ({x:g}, {down:g}) is outside of the image's {width} x {height}"
    elif y.ndim != 1 or not np.isin(y, (0, 1)).all():
        return "anomalies are labelled 0 (normal) or 1, one number for each image"
    return None
