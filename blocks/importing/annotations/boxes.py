"""Boxes around objects as labels, in pixels of the model's input, as `legodnn.readings.AnchorBoxes` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.importing.annotations.parts import AnnotatedPart, placed_in
from legodnn.errors import DataError
from legodnn.image_files import picture_size
from legodnn.images import Frame
from legodnn.tasks.boxes import box_problem


class TrueBox(NamedTuple):
    """A box of an annotation file.

    Attributes:
        sides: left, top, right and bottom, in pixels of the picture.
        label: the name of its class.
        where: the file and line, or the annotation, that it is from.
    """

    sides: tuple[float, float, float, float]
    label: str
    where: str


def boxes_part(boxes: Mapping[Path, Sequence[TrueBox]], classes: Sequence[str], frame: Frame) -> AnnotatedPart:
    """Return a part whose labels are boxes, shape (n, most, 5): left, top, right, bottom, class; -1 fills rows up.

    What a crop cuts away of a picture is cut away of its boxes; boxes whose middle is cut away are left out.

    Args:
        boxes: of each picture.
        classes: their names, in the order of their numbers.
        frame: what pictures are brought to.

    Raises:
        DataError: a picture cannot be read, or a box is empty or outside of it; the message says where the box is from.
    """
    number = {name: i for i, name in enumerate(classes)}
    found = []
    height, width = frame.shape[:2]
    for file, of_picture in boxes.items():
        size = picture_size(file, DataError)
        place = placed_in(frame, size)
        rows = []
        for box in of_picture:
            sides = np.array(box.sides, np.float64)
            if problem := box_problem(sides, *size):
                raise DataError(f"{box.where}: {problem}")
            corners = place.into_input(sides.reshape(2, 2))
            middle = corners.mean(axis=0)
            if (middle >= 0).all() and (middle <= (width, height)).all():
                rows.append([*np.clip(corners, 0, (width, height)).ravel(), number[box.label]])
        found.append(rows)
    labels: Floats = np.full((len(found), max([1, *map(len, found)]), 5), -1.0)
    for row, kept in enumerate(found):
        labels[row, : len(kept)] = np.reshape(kept, (len(kept), 5))
    return AnnotatedPart(tuple(boxes), labels)
