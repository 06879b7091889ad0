"""Clips: a folder for each class, in it a folder for each clip, in it the frames, in the order of their names.

The classes lie in the whole folder, or in each of train, val and test. So many frames are taken of each clip as the
reading says (`legodnn.readings.ClassScores.frames`), from evenly spread places; they stay together, one after another.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from legodnn.blocks.importing.annotations.parts import AnnotatedPart, part_folders
from legodnn.errors import DataError
from legodnn.folders import ImageFolder, class_folders
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
    train = class_folders(folders["train"], DataError)
    if not train.classes:
        raise DataError(f"{folders['train']} has no folders of classes; put the frames of each clip into CLASS/CLIP/")
    parts = {}
    for part, folder in folders.items():
        images = train if part == "train" else class_folders(folder, DataError, train.classes)
        clips = _clips(folder, images)
        files = tuple(clip[i] for _, clip in clips for i in uniform_frames(len(clip), frames))
        parts[part] = AnnotatedPart(files, np.repeat(np.array([number for number, _ in clips], np.int64), frames))
    return train.classes, parts


def _clips(folder: Path, images: ImageFolder) -> list[tuple[int, list[Path]]]:
    """Return the class number and the frames of each clip."""
    clips: dict[tuple[int, Path], list[Path]] = {}
    for file, number in zip(images.files, images.numbers, strict=True):
        if file.parent.parent == folder:
            raise DataError(f"{file} lies in no folder of a clip; put the frames of each clip into CLASS/CLIP/")
        clips.setdefault((number, file.parent), []).append(file)
    return [(number, sorted(files)) for (number, _), files in sorted(clips.items())]
