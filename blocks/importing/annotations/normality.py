"""Images that are normal, and some that are not: `train` holds normal images, `test` both, in a folder for each kind.

The kinds of `train` are normal, every other kind of `test` is an anomaly (MVTec AD is laid out so: `good` in both). Its
`ground_truth`, which shows where anomalies are, may lie beside them. Without `val`, half of `test` is for validation,
since a metric needs both kinds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from legodnn.blocks.importing.annotations.parts import AnnotatedPart, part_folders
from legodnn.errors import DataError
from legodnn.folders import image_files

_MASKS = "ground_truth"  # of MVTec AD


def read_normality(root: Path, seed: int) -> dict[str, AnnotatedPart]:
    """Return the parts with labels of shape (n,): 0 normal, 1 an anomaly.

    Args:
        root: the folder.
        seed: by which `test` is halved.

    Raises:
        DataError: there is no train or test, train holds no images, or a part for measuring lacks one of both.
    """
    folders = part_folders(root, beside=(_MASKS,))
    if "test" not in folders:
        raise DataError(f"{root} has no folders train and test: train with normal images, test with anomalies as well")
    kinds = {part: _kinds(folder) for part, folder in folders.items()}
    normal = {*kinds["train"].values()} - {""}  # an empty folder there says nothing
    for file in (file for of_part in kinds.values() for file, kind in of_part.items() if not kind):
        told = " or ".join(sorted(normal)) or "good"
        raise DataError(f"{file} lies in no folder of its kind; put it into {told}, or another if it is no normal one")
    if not normal:
        raise DataError(f"{folders['train']} holds no images; it must hold normal ones, in a folder for each kind")
    parts = {
        part: ([*of_part], np.array([int(kind not in normal) for kind in of_part.values()], np.int64))
        for part, of_part in kinds.items()
    }
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


def _kinds(folder: Path) -> dict[Path, str]:
    """Return by image the folder of its kind, in the order of the images' paths; "" if it lies in none."""
    inside = {file: file.relative_to(folder).parts for file in image_files(folder, DataError)}
    return {file: names[0] if len(names) > 1 else "" for file, names in inside.items()}
