"""Images that are normal, and some that are not: `train` holds normal images, `test` both, in a folder for each kind.

The kinds of `train` are normal, every other kind of `test` is an anomaly (MVTec AD is laid out so: `good` in both).
Without `val`, half of `test` is for validation, since a metric needs both kinds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from legodnn.arrays import Ints
from legodnn.blocks.importing.annotations.parts import AnnotatedPart, part_folders
from legodnn.errors import DataError
from legodnn.folders import image_files


def read_normality(root: Path, seed: int) -> dict[str, AnnotatedPart]:
    """Return the parts with labels of shape (n,): 0 normal, 1 an anomaly.

    Args:
        root: the folder.
        seed: by which `test` is halved.

    Raises:
        DataError: there is no train or test, or a part for measuring lacks one of both.
    """
    folders = part_folders(root)
    if "test" not in folders:
        raise DataError(f"{root} has no folders train and test: train with normal images, test with anomalies as well")
    normal = {entry.name for entry in folders["train"].iterdir() if entry.is_dir()}
    parts = {part: _part(folder, normal) for part, folder in folders.items()}
    for part, (_, labels) in parts.items():
        if part != "train" and len(set(labels.tolist())) < 2:
            raise DataError(f"{folders[part]} must hold normal images ({', '.join(sorted(normal))}) and anomalies")
    if "val" not in parts:
        files, labels = parts["test"]
        order = np.random.default_rng(seed).permutation(len(files))
        order = order[np.argsort(labels[order], kind="stable")]  # so that both halves get as many of each kind
        for part, rows in (("val", order[::2]), ("test", order[1::2])):
            parts[part] = [files[i] for i in rows], labels[rows]
    return {part: AnnotatedPart(tuple(files), labels) for part, (files, labels) in parts.items()}


def _part(folder: Path, normal: set[str]) -> tuple[list[Path], Ints]:
    """Return the images of a part, and for each 0 if it is of a normal kind, else 1."""
    files = image_files(folder, DataError)
    kinds = [file.relative_to(folder).parts[0] for file in files]
    if loose := [file for file, kind in zip(files, kinds, strict=True) if kind == file.name]:
        told = " or ".join(sorted(normal)) or "good"
        raise DataError(
            f"{loose[0]} lies in no folder of its kind; put it into {told}, or another if it is no normal one"
        )
    return files, np.array([int(kind not in normal) for kind in kinds], np.int64)
