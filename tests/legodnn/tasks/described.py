"""Stores that describe outputs of any kind. Their one file is of another model, since nothing runs it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from legodnn.readings import Reading
from legodnn.store import Store
from legodnn.tensor_spec import ImageFit
from tests.data import tiny_stores
from tests.legodnn.damaged_stores import Document, edit


def described_store(
    folder: Path,
    reading: Reading | None,
    shapes: Sequence[tuple[int, ...]],
    labels: tuple[str, ...] = (),
    fit: ImageFit = "stretch",
) -> Store:
    """Write a store of one segment that reads an image of 96 x 160 and gives outputs y0, y1, ... of these shapes."""
    names = [f"y{i}" for i in range(len(shapes))]

    def change(document: Document) -> None:
        segment = {**document["segments"][-1], "inputs": ["image"], "outputs": names}
        document.update(
            model={"name": "m", "task": "none", "labels": labels, "reading": reading and reading.model_dump()},
            inputs=[{"name": "image", "shape": (96, 160, 3), "fit": fit}],
            outputs=names,
            tensors=[{"name": name, "shape": shape} for name, shape in zip(names, shapes, strict=True)],
            segments=[segment],
        )

    path = shutil.copytree(tiny_stores.HERE / "tiny", folder / "store")
    edit(path, change)
    return Store(path)
