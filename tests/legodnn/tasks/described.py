"""Stores that describe outputs of any kind. Their one file is no model, since nothing runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from legodnn.files import new_folder, sha256_bytes
from legodnn.manifest import (
    MANIFEST,
    AccuracyModel,
    BuildInfo,
    InputSpec,
    Link,
    Manifest,
    ModelInfo,
    Option,
    Segment,
    TensorSpec,
)
from legodnn.readings import Reading
from legodnn.schema import to_json
from legodnn.store import Store
from legodnn.tensor_spec import ImageFit


def described_store(
    folder: Path,
    reading: Reading | None,
    shapes: Sequence[tuple[int, ...]],
    labels: tuple[str, ...] = (),
    image: tuple[int, int, int] = (96, 160, 3),
    fit: ImageFit = "stretch",
) -> Store:
    """Write a store of one fixed segment that reads an image and gives outputs y0, y1, ... of these shapes."""
    names = tuple(f"y{i}" for i in range(len(shapes)))
    content = b"no model"
    option = Option(
        name="s0", sparsity=0.0, file="a.tflite", sha256=sha256_bytes(content), bytes=len(content), params=0, macs=0
    )
    manifest = Manifest(
        model=ModelInfo(name="m", task=reading.task if reading else "other", labels=labels, reading=reading),
        inputs=(InputSpec(name="image", shape=image, fit=fit),),
        outputs=names,
        tensors=tuple(TensorSpec(name=n, shape=shape) for n, shape in zip(names, shapes, strict=True)),
        segments=(Segment(name="all", kind="fixed", inputs=("image",), outputs=names, options=(option,)),),
        accuracy=AccuracyModel(
            metric="m", data="d", original=1.0, link=Link(x=(0.0, 1.0), y=(1.0, 0.0)), error=0.0, samples=0
        ),
        built=BuildInfo(created="", versions={}, seed=0, recipe={}),
    )
    with new_folder(folder / "store") as made:
        (made / "a.tflite").write_bytes(content)
        (made / MANIFEST).write_bytes(to_json(manifest).encode())
    return Store(folder / "store")
