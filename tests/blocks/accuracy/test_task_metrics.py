"""Outputs that a recipe's reading describes are rated by its metric, and labels that do not fit are refused by name."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.accuracy.chance import rate_original
from legodnn.blocks.accuracy.metrics import distilled_heads, metric_of
from legodnn.blocks.accuracy.task_metrics import check_task_labels, reading_of, task_metric
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.heads import Head
from legodnn.errors import DataError
from legodnn.readings import AnchorBoxes, Anomaly, ClassMap, ClassScores, Coordinates, HeatMaps, Reading
from legodnn.tasks.key_points import heat_maps_of

HEIGHT, WIDTH, COUNT = 48, 64, 12
BOXES = AnchorBoxes(anchors=(((16.0, 16.0),), ((24.0, 12.0),)))
POINTS = HeatMaps(points=("eye", "nose"))
PLACES = Coordinates(points=("eye", "nose"))


def with_boxes() -> tuple[list[np.ndarray], np.ndarray]:
    """Grids that show one box in each image, and its label; rows of class -1 fill up the labels."""
    rng = np.random.default_rng(0)
    grids = [np.full((COUNT, 6, 8, 7), -15, np.float32), np.full((COUNT, 3, 4, 7), -15, np.float32)]
    labels = np.full((COUNT, 3, 5), -1.0)
    for i in range(COUNT):
        row, column, label = rng.integers(0, 6), rng.integers(0, 8), rng.integers(0, 2)
        grids[0][i, row, column] = [0, 0, 0, 0, 9, *np.where(np.arange(2) == label, 9, -9)]
        x, y = (column + 0.5) * 8, (row + 0.5) * 8
        box = np.clip([x - 8, y - 8, x + 8, y + 8], 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        labels[i, 1] = [*box, label]
    return grids, labels


def with_points() -> tuple[np.ndarray, np.ndarray]:
    places = np.random.default_rng(0).uniform([[4, 4], [40, 4]], [[24, 44], [60, 44]], (COUNT, 2, 2))
    points = np.concatenate([places, np.ones((COUNT, 2, 1))], axis=-1)
    return heat_maps_of(points, 24, 32, HEIGHT, WIDTH), points


def cases() -> dict[str, tuple[Reading, list[np.ndarray], np.ndarray]]:
    maps, points = with_points()
    coordinates = (points[..., :2] / (WIDTH, HEIGHT)).reshape(COUNT, 4)
    grids, boxes = with_boxes()
    odd = np.arange(COUNT) % 3 == 0
    differences = np.random.default_rng(0).normal(0, np.where(odd, 3, 1)[:, None, None, None], (COUNT, 8, 8, 3))
    scores = np.repeat(np.eye(4, dtype=np.float32)[np.arange(4)], 3, axis=0)
    return {
        "mean_average_precision": (BOXES, grids, boxes),
        "pck": (POINTS, [maps], points),
        "pck, coordinates": (PLACES, [coordinates], points),
        "oks": (PLACES.model_copy(update={"sigmas": (0.1, 0.1)}), [coordinates], points),
        "auroc": (Anomaly(), [differences.astype(np.float32)], odd.astype(np.int64)),
        "clip_accuracy": (ClassScores(frames=3), [scores], np.repeat(np.arange(4), 3)),
    }


def split(labels: Any) -> Split:
    return Split(np.zeros((COUNT, HEIGHT, WIDTH, 3), np.float32), labels)


@pytest.mark.parametrize("case", list(cases()))
def test_right_outputs_are_rated_1_with_labels_and_without_and_useless_ones_less(case: str) -> None:
    reading, outputs, labels = cases()[case]
    metric = metric_of(None, split(labels), [], reading)
    assert metric.__name__ == case.split(",")[0]
    assert metric(outputs, labels) == 1
    rating = rate_original(metric, outputs, split(labels))
    assert rating.original == 1
    assert rating.above_chance
    if case != "auroc":  # of which there is none without labels
        assert metric_of(None, split(None), [], reading)(outputs, outputs) == 1
        assert rate_original(metric_of(None, split(None), [], reading), outputs, split(None)).above_chance


def test_a_metric_that_is_named_comes_first_and_scores_are_rated_as_without_a_reading() -> None:
    head = [Head("classes", "top1", "linear")]
    assert metric_of("top1", split(None), head, ClassScores(frames=3)).__name__ == "top1"
    assert metric_of(None, split(None), head, ClassScores()).__name__ == "top1"
    numbers = [Head("numbers", "r2", "linear")]
    assert metric_of(None, split(None), numbers, Anomaly()).__name__ == "r2"


def test_frames_of_a_clip_that_are_of_different_classes_are_refused() -> None:
    labels = np.repeat(np.arange(4), 3)
    labels[7] = 0
    head = [Head("classes", "top1", "linear")]
    for y in (labels, (labels,), labels[:, None], np.eye(4)[labels]):
        with pytest.raises(DataError, match="3 validation images in a row make a clip, but some are of"):
            metric_of(None, split(y), head, ClassScores(frames=3))
    assert metric_of("top1", split(labels), head, ClassScores(frames=3)).__name__ == "top1"


def test_boxes_are_compared_with_the_originals_as_numbers() -> None:
    image = keras.Input((HEIGHT, WIDTH, 3))
    outputs = [layers.Conv2D(7, 1, 8)(image), layers.Conv2D(7, 1, 16, activation="sigmoid")(image)]
    _, labels = with_boxes()
    data = Dataset("cells", ("a", "b"), split(labels), split(labels), split(labels))
    heads = distilled_heads(None, data, keras.Model(image, outputs), reading=BOXES)
    assert [(head.kind, head.scale) for head in heads] == [("numbers", "linear"), ("numbers", "sigmoid")]


def changed(labels: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    labels = labels.astype(np.float64)
    labels[place] = value
    return labels


@pytest.mark.parametrize(
    ("reading", "labels", "message"),
    [
        (BOXES, with_boxes()[1][..., :4], r"image: boxes have the shape \(m, 5\)"),
        (BOXES, changed(with_boxes()[1], (4, 1, 2), 80), "image: the box .* is outside of the image's 64 x 48"),
        (BOXES, changed(with_boxes()[1], (5, 1, 0), 63), "image: the box .* is empty"),
        (BOXES, changed(with_boxes()[1], (6, 1, 4), 2), "image: class 2 is none of the 2"),
        (BOXES, changed(with_boxes()[1], (6, 1, 4), np.nan), "finite numbers"),
        (POINTS, with_points()[1][:, :1], r"points have the shape \(2, 3\)"),
        (POINTS, changed(with_points()[1], (7, 1, 1), 49), "image: nose at .* is outside"),
        (Anomaly(), np.arange(COUNT), r"0 \(normal\) or 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused_by_the_images_number(
    reading: Reading, labels: np.ndarray, message: str
) -> None:
    right = {"anchor_boxes": with_boxes()[1], "heat_maps": with_points()[1], "anomaly": np.zeros(COUNT, int)}
    shapes = {"anchor_boxes": [(6, 8, 7), (3, 4, 7)], "heat_maps": [(24, 32, 2)], "anomaly": [(8, 8, 3)]}[reading.kind]
    good = split(right[reading.kind])
    check_task_labels(reading, Dataset("d", (), good, good, split(None)), shapes)
    with pytest.raises(DataError, match=f"d: .*validation.*{message}|d: validation labels.*{message}"):
        check_task_labels(reading, Dataset("d", (), good, split(labels), good), shapes)


@pytest.mark.parametrize(
    "x", [np.zeros((COUNT, 8), np.float32), {"a": np.zeros((COUNT, 8, 8, 3), np.float32)}], ids=["numbers", "by name"]
)
def test_places_need_one_image_to_lie_in_and_anomalies_do_not(x: Any) -> None:
    shapes = {"heat_maps": [(24, 32, 2)], "anchor_boxes": [(6, 8, 7), (3, 4, 7)]}
    for reading, labels in ((POINTS, with_points()[1]), (BOXES, with_boxes()[1])):
        part = Split(x, labels)
        with pytest.raises(DataError, match="places in an image"):
            check_task_labels(reading, Dataset("d", (), part, part, part), shapes[reading.kind])
        with pytest.raises(DataError, match="places in an image"):
            task_metric(reading, Split(x, None))
    part = Split(x, np.arange(COUNT) % 2)
    check_task_labels(Anomaly(), Dataset("d", (), part, part, part), [(1,)])


def test_outputs_that_do_not_fit_are_refused() -> None:
    data = Dataset("d", (), split(None), split(None), split(None))
    with pytest.raises(DataError, match="reading anchor_boxes does not fit the model: anchors are given for 2 outputs"):
        check_task_labels(BOXES, data, [(6, 8, 7)])


@pytest.mark.parametrize(
    ("head", "shape", "classes", "expected"),
    [
        (Head("classes", "top1", "softmax"), (4,), 4, ClassScores(scale="softmax")),
        (Head("classes", "mean_iou", "linear"), (8, 8, 4), 4, ClassMap()),
        (Head("binary", "mean_iou", "sigmoid"), (8, 8, 1), 0, ClassMap(scale="sigmoid")),
        (Head("binary", "binary_accuracy", "sigmoid"), (1,), 2, ClassScores(scale="sigmoid")),  # no and yes
        (Head("binary", "binary_accuracy", "sigmoid"), (1,), 3, None),
        (Head("binary", "binary_accuracy", "linear"), (1,), 2, ClassScores()),
        (Head("binary", "binary_accuracy", "sigmoid"), (3,), 3, ClassScores(scale="sigmoid")),  # tags
        (Head("binary", "binary_accuracy", "linear"), (3,), 3, ClassScores(scale="sigmoid_logits")),
        (Head("classes", "top1", "linear"), (5, 4), 0, None),
        (Head("numbers", "r2", "linear"), (4,), 0, None),
    ],
)
def test_heads_mean_readings(head: Head, shape: tuple[int, ...], classes: int, expected: Reading | None) -> None:
    assert reading_of([head], [shape], classes) == expected
    assert reading_of([head, head], [shape, shape], classes) is None
