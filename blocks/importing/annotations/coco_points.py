"""Key points of COCO's JSON files: each annotated object with known points is cut out as a picture of its own.

The file lies as `coco` has it. One of its categories has `keypoints`, their names. What is cut out is the object's box,
brought to the proportions of the model's input and then enlarged by a quarter, as networks of poses are trained
(Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, 2018). It is black outside of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.importing.annotations.coco import CocoObject, coco_documents, coco_objects, coco_pictures
from legodnn.blocks.importing.annotations.parts import AnnotatedPart
from legodnn.blocks.importing.annotations.points import check_points, placed_points
from legodnn.errors import DataError
from legodnn.image_files import picture_size
from legodnn.images import Cutout, Frame
from legodnn.tasks.boxes import box_problem

_ENLARGED = 1.25


def read_coco_points(root: Path, frame: Frame) -> tuple[tuple[str, ...], dict[str, AnnotatedPart]]:
    """Return the names of the points, in their order, and each part with labels of shape (n, points, 3).

    Args:
        root: the folder.
        frame: what is cut out is brought to.

    Raises:
        DataError: a file is missing or is none of COCO's, no category or more than one has key points, or an object or
            its points do not fit their picture; with file and annotation.
    """
    documents = coco_documents(root)
    found = {part: _category(*each) for part, each in documents.items()}
    if len({names for _, names in found.values()}) > 1:
        raise DataError(f"{root}: the files of its parts have different key points; give all the same, in one order")
    parts = {part: _part(*documents[part], number, names, frame) for part, (number, names) in found.items()}
    return next(iter(found.values()))[1], parts


def _category(file: Path, document: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    """Return the id of the category that has key points, and their names."""
    having = [c for c in document["categories"] if c.get("keypoints")]
    if len(having) != 1:
        raise DataError(f"{file}: {len(having)} categories have keypoints; there must be one, with their names")
    names = having[0]["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{file}: the keypoints of category {having[0]['name']} are not a list of names")
    return having[0]["id"], tuple(names)


def _part(
    file: Path, document: Mapping[str, Any], category: int, names: tuple[str, ...], frame: Frame
) -> AnnotatedPart:
    cutouts, labels = [], []
    categories, size_of = {c["id"] for c in document["categories"]}, cache(picture_size)
    for found in coco_objects(file, document, coco_pictures(file, document), categories):
        if found.entry["category_id"] != category:
            continue
        points = _points(found, len(names))
        if not (points[:, 2] > 0).any():
            continue
        size = size_of(found.picture, DataError)
        if problem := box_problem(np.array(found.sides, np.float64), *size):
            raise DataError(f"{found.where}: {problem}")
        check_points(points, names, size, found.where)
        cutouts.append(Cutout(found.picture, _around(found.sides, frame)))
        left, top, right, bottom = cutouts[-1].box
        labels.append(placed_points(points - (left, top, 0), (bottom - top, right - left), frame))
    return AnnotatedPart(tuple(cutouts), np.array(labels).reshape(len(labels), len(names), 3))


def _points(found: CocoObject, count: int) -> Floats:
    """Return x, y and visibility of an object's points, shape (points, 3); 0 for those that are not labelled."""
    numbers = found.entry.get("keypoints")
    if (
        not isinstance(numbers, list)
        or len(numbers) != 3 * count
        or not all(isinstance(n, int | float) and abs(n) < 1e9 for n in numbers)
    ):
        raise DataError(f"{found.where}: keypoints are x, y and visibility of each of {count} points")
    return np.array(numbers, np.float64).reshape(count, 3)


def _around(sides: tuple[float, float, float, float], frame: Frame) -> tuple[int, int, int, int]:
    """Return what is cut out for a box: left, top, right and bottom, in pixels of the picture."""
    left, top, right, bottom = sides
    shape = frame.shape[1] / frame.shape[0]
    width = _ENLARGED * max(right - left, (bottom - top) * shape)
    height = _ENLARGED * max(bottom - top, (right - left) / shape)
    x, y = (left + right) / 2, (top + bottom) / 2
    return floor(x - width / 2), floor(y - height / 2), ceil(x + width / 2), ceil(y + height / 2)
