"""From annotated image files to a data set: pictures are brought to the model's size, and missing parts are taken off.

The readers beside this module find files and labels; places of labels are moved as their pictures are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.data import SHARES, Dataset, Split, divided, shuffled
from legodnn.errors import DataError
from legodnn.folders import split_folders
from legodnn.images import Cutout, Frame, read_images
from legodnn.pixels import Pixels, Scaling
from legodnn.placement import Placement, placed
from legodnn.printable import shown
from legodnn.progress import Progress


@dataclass(frozen=True, eq=False)
class AnnotatedPart:
    """A part of a data set: its pictures, and a label for each in the same order.

    Attributes:
        files: image files, or parts of their pictures.
        labels: None where there are none.
    """

    files: tuple[Path | Cutout, ...]
    labels: NDArray[Any] | None


def part_folders(root: Path, beside: Collection[str] = ()) -> dict[str, Path]:
    """Return the folders train, val and test by these names, or the whole folder as train; DataError if it is none.

    Folders that are called as `beside` says may lie beside them, and are left alone.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; it must hold images and what they are labelled with (docs/tasks.md)")
    return split_folders(root, DataError, beside) or {"train": root}


def files_by_name(files: Iterable[Path], name: Callable[[Path], str]) -> dict[str, Path]:
    """Return files by the names that others refer to them by; DataError if two have the same."""
    found: dict[str, Path] = {}
    for file in files:
        if (other := found.setdefault(name(file), file)) is not file:
            raise DataError(
                f"{other} and {file} are both called {name(file)}, which labels refer to; rename one with its labels, "
                "or remove it"
            )
    return found


def named_picture(folder: Path, name: str, where: str) -> Path:
    """Return the picture that a table or document names; DataError, with where that is, if it is not in its folder."""
    path = folder / name
    try:
        beside = path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name that no file can have: too long, or with a null byte
        beside = False
    if not beside:
        raise DataError(f"{where} names {shown(name)}, which is not beside it; put it there, or remove the entry")
    return path


def placed_in(frame: Frame, picture: tuple[int, int]) -> Placement:
    """Return how a picture of this height and width lies in the model's input."""
    height, width, _ = frame.shape
    return placed(picture, (height, width), frame.fit)


def annotated_dataset(
    root: Path,
    classes: tuple[str, ...],
    parts: Mapping[str, AnnotatedPart],
    frame: Frame,
    scaling: Scaling,
    seed: int,
    progress: Progress,
    rows: int = 1,
) -> Dataset:
    """Read the pictures of parts, shuffle them, and take val and test from train where they are missing.

    All that is labelled in one picture gets into the same part.

    Args:
        root: the folder, whose name the data set has.
        classes: the names of the classes.
        parts: by name: train, and perhaps val and test.
        frame: what pictures are brought to.
        scaling: what becomes of pixels.
        seed: of shuffling.
        progress: shows how far a large number of pictures has been read.
        rows: so many rows in a row stay together, as the frames of a clip.
    """
    files = [file for part in parts.values() for file in part.files]
    if not files:
        raise DataError(f"{root} holds no annotated images; docs/tasks.md says what it must hold")
    pixels = Pixels(read_images(files, frame, DataError, progress), scaling)
    found: dict[str, Split] = {}
    start = 0
    for name, part in parts.items():
        found[name] = Split(pixels.take(np.arange(start, start + len(part.files))), part.labels)
        start += len(part.files)
    missing = {name: share for name, share in SHARES.items() if name not in found}
    whole = divided(found.pop("train"), seed, missing, rows, _pictures(parts["train"].files) if rows == 1 else None)
    whole |= {name: shuffled(part, seed, rows) for name, part in found.items()}
    data = Dataset(root.name, classes, whole["train"], whole["val"], whole["test"], scaling)
    return replace(data, fit=frame.fit, fill=frame.fill)


def _pictures(files: Sequence[Path | Cutout]) -> NDArray[np.int64] | None:
    """Return the number of the picture that each is or is cut out of; None if no picture occurs again."""
    numbers: dict[Path, int] = {}
    pictures = (file.file if isinstance(file, Cutout) else file for file in files)
    found = np.array([numbers.setdefault(picture, len(numbers)) for picture in pictures], np.int64)
    return found if len(numbers) < len(files) else None
