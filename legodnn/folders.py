"""What a folder of images holds: its files, its classes, and its division into training, validation and test.

Building and devices see the same files. Hidden files are skipped, and so is what file systems and tools leave behind;
links are followed. Every subfolder is a class, however deep its images lie, and classes are numbered in the order of
their names, as by Keras and torchvision. This module knows nothing about pixels; `legodnn.images` reads the files.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from legodnn.errors import LegoError

_READ = frozenset({".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".webp"})
# Images of formats that are not read. They are refused, since skipping them would silently lose a part of the data.
_UNREAD = frozenset({".avif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff"})
# Folders that file systems, archives and tools put beside images; names that begin with a dot are skipped as well.
_SERVICE = frozenset({"__MACOSX", "__pycache__", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"})
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class ImageFolder:
    """The images of one folder.

    Attributes:
        files: the image files, those of one class together.
        classes: the names of the classes, in the order of their numbers; empty if the images have no classes.
        numbers: the class number of each file; empty if the images have no classes.
    """

    files: tuple[Path, ...]
    classes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


def is_image_file(path: Path) -> bool:
    """Return whether a path is an image file by its name, of a format that is read or of another one, and no folder."""
    return path.suffix.lower() in _READ | _UNREAD and path.is_file()


def image_files(folder: Path, error: type[LegoError]) -> list[Path]:
    """Return all image files in a folder and its subfolders, in the order of their paths.

    Raises:
        error: a folder cannot be read, leads into itself, or holds images of a format that is not read.
    """
    found: list[Path] = []
    left: list[tuple[Path, tuple[str, ...]]] = [(folder, ())]
    while left:
        inside, above = left.pop()
        place = os.path.realpath(inside)
        if place in above:
            raise error(f"{inside} is a link to a folder that it lies in; remove it")
        folders, files = _visible(inside, error)
        left += [(entry, (*above, place)) for entry in folders]
        if unread := [file for file in files if file.suffix.lower() in _UNREAD]:
            raise error(f"{unread[0]} is of a format that is not read; make it a PNG or JPEG, or remove it")
        found += [file for file in files if file.suffix.lower() in _READ]
    return sorted(found)


def split_folders(folder: Path, error: type[LegoError], beside: Collection[str] = ()) -> dict[str, Path]:
    """Return a data set's folders for 'train', 'val' and 'test', as far as it has them; empty if it is not divided.

    They are called train or training; val, valid or validation; test or testing, in capitals or not.

    Args:
        folder: the folder.
        error: the type to raise.
        beside: names of folders that may lie beside them, and are left alone.

    Raises:
        error: two folders are for the same split, other folders or images lie beside them, or there are two or more
            without train.
    """
    found, files = _visible(folder, error)
    folders = [entry for entry in found if entry.name not in beside]
    named = [(entry, _SPLITS[entry.name.lower()]) for entry in folders if entry.name.lower() in _SPLITS]
    kinds = [kind for _, kind in named]
    # A class may be called train or test. But two such names, or a single folder of such a name, are the splits.
    if len(set(kinds)) > 1 and "train" not in kinds:
        raise error(
            f"{folder} holds {_listed(e.name for e, _ in named)}, parts of a data set, but no train: add it, or give "
            "one of them alone; classes must have other names"
        )
    if "train" not in kinds or (len(set(kinds)) == 1 and len(folders) > len(named)):
        return {}
    if len(set(kinds)) < len(kinds):
        raise error(f"{folder} holds {_listed(e.name for e, _ in named)}, two for the same part; keep one")
    if others := [e for e in folders if e.name.lower() not in _SPLITS] + [f for f in files if _is_image(f)]:
        raise error(
            f"{folder} holds {_listed(e.name for e, _ in named)}, and {others[0].name} beside them: "
            "name a folder of classes alone, or move what belongs to no part"
        )
    return {kind: entry for entry, kind in named}


def class_folders(folder: Path, error: type[LegoError], classes: tuple[str, ...] | None = None) -> ImageFolder:
    """Return the images of a folder, with its subfolders as classes; without subfolders, images that have no class.

    A subfolder without images is a class too, as with Keras, because leaving it out would shift the others' numbers.

    Args:
        folder: the folder.
        error: the type to raise.
        classes: the names of the classes in the order of their numbers, where another split of the data set has set
            them; () if its images have none.

    Raises:
        error: there are no images, images beside the subfolders, a single class, splits inside of classes, or classes
            that are not among `classes`.
    """
    folders, beside = _visible(folder, error)
    files = {entry.name: image_files(entry, error) for entry in folders}
    loose = [file for file in beside if _is_image(file)]
    if not loose and not any(files.values()):
        raise error(f"cannot read images from {folder}: it holds none ({', '.join(sorted(_READ))})")
    if loose and folders:
        raise error(
            f"{folder} holds images ({loose[0].name}) beside subfolders ({folders[0].name}): put each into the "
            "subfolder of its class, or all into one folder if they have no labels"
        )
    if classes is None:
        _check_classes(folder, folders, error)
        classes = tuple(files)
    elif bool(classes) != bool(folders):
        labelled = "has no subfolders for classes" if classes else "has subfolders"
        raise error(f"{folder} {labelled}, unlike the training images beside it: make both alike, or remove it")
    if unknown := sorted(set(files) - set(classes)):
        raise error(f"{folder} holds {unknown[0]}, which is no class of the training images ({_listed(classes)})")
    if not folders:
        return ImageFolder(tuple(image_files(folder, error)))
    number = {name: i for i, name in enumerate(classes)}
    labelled_files = [(file, number[name]) for name, found in files.items() for file in found]
    return ImageFolder(tuple(f for f, _ in labelled_files), classes, tuple(n for _, n in labelled_files))


def labels_of(folder: Path, files: Sequence[Path], labels: Sequence[str]) -> list[int] | None:
    """Return the class number of each file, if all lie in folders that are named after labels; otherwise None.

    The nearest such folder counts, `folder` itself included. So `folder` may be a whole data set, a split, or a class.

    Args:
        folder: the folder that the files lie in, at any depth.
        files: the files.
        labels: the names of the classes, in the order of their numbers.
    """
    number = {label: i for i, label in enumerate(labels)}
    root, found = Path(os.path.realpath(folder)).name, []
    for file in files:
        names = (root, *file.relative_to(folder).parts[:-1])
        label = next((name for name in reversed(names) if name in number), None)
        if label is None:
            return None
        found.append(number[label])
    return found


def _check_classes(folder: Path, folders: list[Path], error: type[LegoError]) -> None:
    for entry in folders:
        if len(split_folders(entry, error)) > 1:
            raise error(f"{entry} is divided in parts: name it, or put classes into parts, not parts into classes")
    if len(folders) == 1:
        raise error(
            f"{folder} holds one class alone, {folders[0].name}: give one subfolder for each class, or images alone "
            "if they have no labels"
        )


def _visible(folder: Path, error: type[LegoError]) -> tuple[list[Path], list[Path]]:
    """Return the subfolders and the files of a folder that are not skipped, each in the order of names."""
    folders: list[Path] = []
    files: list[Path] = []
    try:
        for entry in sorted(folder.iterdir()):
            if not entry.name.startswith(".") and entry.name not in _SERVICE:
                (folders if entry.is_dir() else files).append(entry)
    except OSError as e:
        raise error(f"cannot read {folder}: {e.strerror or e}") from None
    return folders, files


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _READ | _UNREAD


def _listed(names: Iterable[str]) -> str:
    """Return names for a message: the first ten, and how many more there are."""
    every = list(names)
    return ", ".join(every[:10]) + (f" and {len(every) - 10} more" if len(every) > 10 else "")
