"""Masks: a picture of class numbers for each image.

A part of the data is a folder with `images` and `masks` inside, or, as CamVid has it, folders PART and PARTannot side
by side. A mask has its image's name (its ending may differ), its size, and one channel, whose values are class numbers;
255 is void. `classes.txt` in the whole folder names the classes, one a line; the last one may be called void.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.annotations.parts import AnnotatedPart, files_by_name, part_folders, placed_in
from legodnn.class_names import read_class_names
from legodnn.errors import DataError
from legodnn.folders import image_files
from legodnn.image_files import picture_size
from legodnn.images import Frame, read_indices

_VOID, _CLASSES = 255, "classes.txt"


def read_masks(root: Path, frame: Frame) -> tuple[tuple[str, ...], dict[str, AnnotatedPart]]:
    """Return the names of the classes, and each part with labels of shape (n, height, width), int16, -1 where void.

    Args:
        root: the folder.
        frame: what pictures are brought to; a label shows the class of the mask's nearest pixel.

    Raises:
        DataError: a mask is missing, of another size, no picture of numbers, or has a value beyond the classes; two
            files differ by their ending alone; or there is nothing in them but class 0 and void.
    """
    names = _class_names(root)
    void = len(names) - 1 if names[-1:] == ("void",) else None
    parts = {}
    for part, (images, masks) in _pairs(root).items():
        named, mask_of = _named(images), _named(masks)
        files = tuple(named.values())
        labels = np.empty((len(files), *frame.shape[:2]), np.int16)
        for row, (name, file) in enumerate(named.items()):
            mask = mask_of.get(name)
            if mask is None:
                raise DataError(f"{file} has no mask in {masks}; put one of the same name there, or remove the image")
            labels[row] = _label(file, mask, frame, names, void)
        parts[part] = AnnotatedPart(files, labels)
    _check_classes(root, [part.labels for part in parts.values() if part.labels is not None])
    return names[:void] if void is not None else names, parts


def _named(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by their paths in it, without ending."""
    return files_by_name(
        image_files(folder, DataError), lambda file: file.relative_to(folder).with_suffix("").as_posix()
    )


def _check_classes(root: Path, labels: Sequence[NDArray[Any]]) -> None:
    """Refuse masks of a foreground that is void: many tools write 255 for it."""
    if any((y < 0).any() for y in labels) and all((y <= 0).all() for y in labels):
        raise DataError(
            f"the masks of {root} hold nothing but 0 and what is void, as {_VOID} is: write 1 for a foreground, or "
            "give npz:FILE, where 0 and 255 in masks of one channel are no and yes"
        )


def _pairs(root: Path) -> dict[str, tuple[Path, Path]]:
    """Return the folders of images and of masks of each part."""
    beside = {part: (root / part, root / f"{part}annot") for part in ("train", "val", "test")}
    if beside["train"][1].is_dir():
        pairs = {part: pair for part, pair in beside.items() if any(folder.is_dir() for folder in pair)}
    else:
        pairs = {part: (folder / "images", folder / "masks") for part, folder in part_folders(root).items()}
    for images, masks in pairs.values():
        if missing := [folder for folder in (images, masks) if not folder.is_dir()]:
            raise DataError(f"{missing[0]} is missing: there must be images and masks, or train and trainannot")
    return pairs


def _class_names(root: Path) -> tuple[str, ...]:
    if not os.path.lexists(root / _CLASSES):
        return ()
    names = read_class_names(root / _CLASSES, DataError)
    if len(set(names)) < len(names):
        raise DataError(f"{root / _CLASSES} names a class twice; it has a line for each number in masks, from 0 on")
    return names


def _label(file: Path, mask: Path, frame: Frame, names: Sequence[str], void: int | None) -> NDArray[np.int16]:
    """Return the class of each place of a model's input, -1 where it is void."""
    numbers = read_indices(mask, DataError)
    if numbers.shape != (size := picture_size(file, DataError)):
        raise DataError(f"{mask} is of {numbers.shape[1]}x{numbers.shape[0]} pixels, its image of {size[1]}x{size[0]}")
    beyond = (numbers >= len(names)) & (numbers != _VOID)
    if names and beyond.any():
        row, column = np.argwhere(beyond)[0].tolist()
        raise DataError(
            f"{mask}: {numbers[row, column]} at row {row + 1}, column {column + 1} is none of the {len(names)} classes "
            f"in {_CLASSES}; {_VOID} marks what does not count, and so does a last class called void"
        )
    height, width = frame.shape[:2]
    middles = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    column_of, row_of = np.moveaxis(np.floor(placed_in(frame, size).into_picture(middles)).astype(int), -1, 0)
    inside = (row_of >= 0) & (row_of < size[0]) & (column_of >= 0) & (column_of < size[1])
    label = np.full((height, width), -1, np.int16)
    label[inside] = numbers[row_of[inside], column_of[inside]]
    label[(label == _VOID) | (label == (-1 if void is None else void))] = -1
    return label
