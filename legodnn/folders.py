"""What a folder of images holds: its files, its classes, its division into training, validation and test.

Building and devices see the same files: hidden ones and what file systems and tools leave behind are passed over, links
are followed. A subfolder is a class, however deep its images lie; classes are numbered as Keras and torchvision do, in
the order of their names. Knows nothing of pixels: reading files is left to `legodnn.images`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from legodnn.errors import LegoError

_READ = frozenset({".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".webp"})
# Images too, but not for us: passing them over would lose a part of the data without a word.
_UNREAD = frozenset({".avif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff"})
# What file systems, archives and tools put beside images, apart from all that starts with a dot.
_SERVICE = frozenset({"__MACOSX", "__pycache__", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"})
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class ImageFolder:
    """Images of one folder.

    Attributes:
        files: in order, those of a class together.
        classes: names of the classes, by number; empty if the images have none.
        numbers: the class of each file; as many as files, or none.
    """

    files: tuple[Path, ...]
    classes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


def image_files(folder: Path, error: type[LegoError]) -> list[Path]:
    """All image files in a folder and its subfolders, in the order of their paths.

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


def split_folders(folder: Path, error: type[LegoError]) -> dict[str, Path]:
    """The subfolders for `train`, `val` and `test` of a data set's root, as far as there are any; empty if it is none.

    Called train or training; val, valid or validation; test or testing, in capitals or not.

    Raises:
        error: there are two for the same, or other folders or images beside them.
    """
    folders, files = _visible(folder, error)
    named = [(entry, _SPLITS[entry.name.lower()]) for entry in folders if entry.name.lower() in _SPLITS]
    kinds = [kind for _, kind in named]
    # A class may be called train, or test; two such names, or that alone, are no coincidence.
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
    """The images of a folder with the classes that its subfolders are; without subfolders, images alone.

    A subfolder without images is a class too, as it is for Keras: leaving it out would shift the numbers of the others.

    Args:
        folder: to look through.
        error: the type to raise.
        classes: names in the order of their numbers, where another part of the data set has set them; () for none.

    Raises:
        error: no images, images beside the subfolders, one class alone, parts inside of classes, or other classes.
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
    """The class of each of a folder's files, if all lie in folders that are called as labels are; else None.

    The nearest folder counts, `folder` itself included: so it may be a whole data set, a part of it, or a class.
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
    """The subfolders and the files that are to be seen in a folder, in the order of names."""
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
    """Names for a message, not all if they are many."""
    every = list(names)
    return ", ".join(every[:10]) + (f" and {len(every) - 10} more" if len(every) > 10 else "")
