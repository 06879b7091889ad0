"""Key points of a table: `points.csv` beside the images that it names, in the folder or in each of train, val and test.

Its header is `image` and, for each point, NAME_x and NAME_y: pixels of the picture; both are empty where a point is not
known. Points that a crop cuts away are not known.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.importing.annotations.parts import AnnotatedPart, named_picture, part_folders, placed_in
from legodnn.errors import DataError
from legodnn.image_files import picture_size
from legodnn.images import Frame

_TABLE = "points.csv"


def read_points(root: Path, frame: Frame) -> tuple[tuple[str, ...], dict[str, AnnotatedPart]]:
    """Return the names of the points, in their order, and each part with labels of shape (n, points, 3).

    Args:
        root: the folder.
        frame: what pictures are brought to.

    Raises:
        DataError: a table is missing or has another header, or a point is outside of its picture; with file and line.
    """
    tables = {part: _table(folder / _TABLE, frame) for part, folder in part_folders(root).items()}
    names = {points for points, _ in tables.values()}
    if len(names) > 1:
        raise DataError(f"{root}: the tables of its parts have different points; give all the same header")
    return names.pop(), {part: found for part, (_, found) in tables.items()}


def _table(file: Path, frame: Frame) -> tuple[tuple[str, ...], AnnotatedPart]:
    try:
        rows = list(csv.reader(file.read_text("utf-8-sig").splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"cannot read {file}: {e}") from None
    header = rows[0] if rows else []
    names = tuple(column.removesuffix("_x") for column in header[1::2])
    if not names or header != ["image", *(f"{name}_{axis}" for name in names for axis in "xy")]:
        found = ",".join(header)
        raise DataError(f"{file}, line 1: the header is image, NAME_x, NAME_y, ... for each point, not {found:.200}")
    files, labels = [], []
    for line, row in enumerate(rows[1:], start=2):
        if row:
            where = f"{file}, line {line}"
            files.append(named_picture(file.parent, row[0], where))
            labels.append(_label(where, files[-1], row, names, frame))
    return names, AnnotatedPart(tuple(files), np.array(labels).reshape(len(labels), len(names), 3))


def _label(where: str, file: Path, row: list[str], names: tuple[str, ...], frame: Frame) -> Floats:
    if len(row) != 1 + 2 * len(names):
        raise DataError(f"{where} has {len(row)} columns, the header {1 + 2 * len(names)}")
    points = np.zeros((len(names), 3))
    for point, name in enumerate(names):
        texts = row[1 + 2 * point : 3 + 2 * point]
        if texts == ["", ""]:
            continue
        try:
            points[point] = [*map(float, texts), 1]
        except ValueError:
            raise DataError(f"{where}: {name} is at ({', '.join(texts)}), which are not two numbers") from None
    size = picture_size(file, DataError)
    check_points(points, names, size, where)
    return placed_points(points, size, frame)


def check_points(points: Floats, names: Sequence[str], picture: tuple[int, int], where: str) -> None:
    """Raise DataError, with where it is from, if a known point is outside of its picture.

    Args:
        points: x, y and whether it is known (> 0), in pixels of the picture, shape (points, 3).
        names: of the points.
        picture: its height and width.
        where: the file and line, or the annotation, that the points are from.
    """
    height, width = picture
    for name, (x, y, known) in zip(names, points, strict=True):
        if known > 0 and not (0 <= x <= width and 0 <= y <= height):
            raise DataError(f"{where}: {name} is at ({x:g}, {y:g}), outside of the image's {width} x {height}")


def placed_points(points: Floats, picture: tuple[int, int], frame: Frame) -> Floats:
    """Return points as labels: x, y and 1, in pixels of the model's input, or zeros if not known or cut away.

    Args:
        points: likewise in pixels of the picture, shape (points, 3).
        picture: its height and width.
        frame: what it is brought to.
    """
    places = placed_in(frame, picture).into_input(points[:, :2])
    inside = ((places >= 0) & (places <= (frame.shape[1], frame.shape[0]))).all(axis=1)
    known = (points[:, 2] > 0) & inside
    return np.where(known[:, None], np.concatenate([places, np.ones((len(points), 1))], axis=1), 0.0)
