"""Readings are refused where outputs or classes do not fit them, and say what a model is for."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from legodnn.readings import READING, AnchorBoxes, Anomaly, ClassMap, ClassScores, Coordinates, HeatMaps, Reading

BOXES = AnchorBoxes(anchors=(((8.0, 8.0), (16.0, 8.0)), ((32.0, 32.0),)))
FACE = ("left eye", "right eye", "nose")


@pytest.mark.parametrize(
    ("reading", "shapes", "classes", "task"),
    [
        (ClassScores(), [(10,)], 10, "classification"),
        (ClassScores(frames=8), [(10,)], 0, "action"),
        (ClassMap(scale="softmax"), [(45, 60, 12)], 12, "segmentation"),
        (ClassMap(scale="sigmoid"), [(45, 60, 1)], 2, "segmentation"),
        (BOXES, [(6, 8, 16), (3, 4, 8)], 3, "detection"),
        (HeatMaps(points=FACE, limbs=((0, 2), (1, 2))), [(24, 24, 3)], 0, "pose"),
        (Coordinates(points=FACE), [(6,)], 0, "pose"),
        (Anomaly(threshold=0.5), [(32, 32, 3)], 0, "anomaly"),
        (Anomaly(), [(1,)], 0, "anomaly"),
    ],
)
def test_what_fits(reading: Reading, shapes: list[tuple[int, ...]], classes: int, task: str) -> None:
    assert reading.problem(shapes, classes) is None
    assert reading.task == task
    assert READING.validate_json(READING.dump_json(reading)) == reading


@pytest.mark.parametrize(
    ("reading", "shapes", "classes", "message"),
    [
        (ClassScores(), [(4, 10)], 10, "one vector"),
        (ClassScores(), [(10,), (10,)], 10, "one vector"),
        (ClassScores(), [(10,)], 9, "scores of 10 classes, and 9 classes have names"),
        (ClassMap(), [(10,)], 0, "height, width and classes"),
        (ClassMap(), [(4, 4, 12)], 11, "12 classes"),
        (BOXES, [(6, 8, 16)], 3, "anchors are given for 2 outputs, there are 1"),
        (BOXES, [(6, 8, 16), (3, 4, 9)], 3, "must be as many in each"),
        (BOXES, [(6, 8, 17), (3, 4, 8)], 3, r"2 anchors it is rows x columns x \(2 times 5"),
        (BOXES, [(6, 8, 10), (3, 4, 5)], 0, "2 times 5"),
        (BOXES, [(16,), (8,)], 3, "2 times 5"),
        (BOXES, [(6, 8, 16), (3, 4, 8)], 4, "4 classes have names"),
        (HeatMaps(points=FACE), [(24, 24, 4)], 0, "a map for each of 3 points"),
        (Coordinates(points=FACE), [(3,)], 0, "x and y of 3 points"),
        (Anomaly(), [(7,)], 0, "one score or one map"),
    ],
)
def test_what_does_not_fit_is_told(reading: Reading, shapes: list[tuple[int, ...]], classes: int, message: str) -> None:
    assert re.search(message, reading.problem(shapes, classes) or "")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"kind": "circles"}', "circles"),
        ('{"kind": "anchor_boxes", "anchors": []}', "at least 1 item"),
        ('{"kind": "anchor_boxes", "anchors": [[[0, 3]]]}', "greater than 0"),
        ('{"kind": "heat_maps", "points": ["a", "a"]}', "the same name"),
        ('{"kind": "coordinates", "points": ["a", "b"], "limbs": [[0, 2]]}', "0 to 1"),
        ('{"kind": "coordinates", "points": ["a", "b"], "sigmas": [0.1]}', "there are 2 key points, and 1 sigmas"),
        ('{"kind": "heat_maps", "points": ["a"], "sigmas": [0]}', "greater than 0"),
        ('{"kind": "class_scores", "frames": 0}', "greater than or equal to 1"),
    ],
)
def test_nonsense_is_refused(document: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        READING.validate_json(document)
