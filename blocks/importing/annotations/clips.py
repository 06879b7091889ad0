"""Clips: a folder for each class, in it a folder for each clip, in it the frames, in the order of their names.

The classes lie in the whole folder, or in each of train, val and test. So many frames are taken of each clip as the
reading says (`legodnn.readings.ClassScores.frames`), from evenly spread places; they stay together, one after another.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from legodnn.blocks.importing.annotations.parts import AnnotatedPart, part_folders
from legodnn.errors import DataError
from legodnn.folders import class_folders, image_files
from legodnn.tasks.clips import uniform_frames


def read_clips(root: Path, frames: int) -> tuple[tuple[str, ...], dict[str, AnnotatedPart]]:
    """Return the names of the classes, in their order, and each part with a class number for each frame.

    Args:
        root: the folder.
        frames: frames to take of each clip.

    Raises:
        DataError: there are no classes, or frames lie beside the folders of clips.
    """
    folders = part_folders(root)
    classes = class_folders(folders["train"], DataError).classes
    if not classes:
        raise DataError(f"{folders['train']} has no folders of classes")
    parts = {}
    for part, folder in folders.items():
        class_folders(folder, DataError, classes)  # refuses classes that training does not have
        found = [
            (files, number)
            for number, name in enumerate(classes)
            if (folder / name).is_dir()
            for files in _clips(folder / name)
        ]
        files = tuple(clip[i] for clip, _ in found for i in uniform_frames(len(clip), frames))
        parts[part] = AnnotatedPart(files, np.repeat(np.array([number for _, number in found], np.int64), frames))
    return classes, parts


def _clips(folder: Path) -> list[list[Path]]:
    """Return the frames of each clip of a class."""
    clips: dict[Path, list[Path]] = {}
    for file in image_files(folder, DataError):
        if file.parent == folder:
            raise DataError(f"{file} lies in no folder of a clip")
        clips.setdefault(file.parent, []).append(file)
    return [sorted(files) for _, files in sorted(clips.items())]
