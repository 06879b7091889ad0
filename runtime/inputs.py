"""Inputs for models, read from files: arrays, or a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import read_arrays
from legodnn.errors import DependencyError, InputError
from legodnn.files import is_folder
from legodnn.runtime.executor import Array
from legodnn.store import InputSpec

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm")


class Images(Protocol):
    """An array of images, or what gives them one by one."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Array: ...


@dataclass(frozen=True, eq=False)
class Inputs:
    """Images for one model, each as the model takes it, and labels where they are known."""

    x: Images
    y: NDArray[np.int64] | None = None


def read_inputs(path: str | Path, spec: InputSpec, labels: Sequence[str] = ()) -> Inputs:
    """Read inputs for one model from an .npz (`x`, and `y` if labels are known), an .npy file, or a folder of images.

    uint8 images are scaled and normalised as the input specification says, and files of images resized. If all images
    lie in folders that are called as labels are, that is what they show.

    Args:
        path: the file or folder.
        spec: the model's input.
        labels: names of the model's classes.

    Raises:
        InputError: unreadable, or not arrays of the model's input shape.
        DependencyError: a folder of images is given and Pillow is not installed.
    """
    x, y = _folder(Path(path), spec, labels) if is_folder(Path(path)) else _arrays(path)
    if x.dtype == np.uint8:
        x = as_model_takes(x, spec)
    if x.ndim == 0 or x.shape[1:] != spec.shape or not len(x) or x.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {x.dtype} {x.shape}, but the model takes images of shape {spec.shape}")
    if y is not None and y.shape != (len(x),):
        raise InputError(f"{path} holds {len(x)} images but labels of shape {y.shape}")
    return Inputs(np.ascontiguousarray(x, np.float32), y)


def as_model_takes(pixels: NDArray[np.generic], spec: InputSpec) -> Array:
    """Pixels 0..255, scaled and normalised as the input specification says."""
    low, high = spec.range
    x = low + pixels.astype(np.float32) * np.float32((high - low) / 255)
    if spec.mean:
        x = (x - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(x, np.float32)


def _arrays(path: str | Path) -> tuple[NDArray[np.generic], NDArray[np.int64] | None]:
    remedy = "give an .npy, an .npz of `x` and perhaps `y`, or a folder of images"
    content = read_arrays(Path(path), InputError, remedy, names=("x", "y"), lone="x")
    if "x" not in content:
        raise InputError(f"cannot read inputs from {path}: it has no `x`; {remedy}")
    y = content.get("y")
    if y is None:
        return content["x"], None
    with np.errstate(invalid="ignore"):
        whole = y.astype(np.int64) if y.dtype.kind in "biuf" else None
    if whole is None or not np.array_equal(whole, y):
        raise InputError(f"the labels `y` in {path} are {y.dtype}, not whole numbers, the classes")
    return content["x"], whole


def _folder(path: Path, spec: InputSpec, labels: Sequence[str]) -> tuple[NDArray[np.generic], NDArray[np.int64] | None]:
    try:
        from PIL import Image
    except ImportError:
        raise DependencyError("reading images needs Pillow; pip install 'legodnn[images]'") from None
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in _IMAGES)
    if not files or len(spec.shape) != 3 or spec.shape[-1] not in (1, 3):
        raise InputError(f"{path} holds {len(files)} images; the model takes arrays of shape {spec.shape}")
    height, width, channels = spec.shape
    pixels = []
    for file in files:
        try:
            with Image.open(file) as image:
                small = image.convert("L" if channels == 1 else "RGB").resize((width, height))
        except Exception as e:  # decoders of damaged files raise anything
            raise InputError(f"cannot read {file} ({e}); replace or remove it") from None
        pixels.append(np.asarray(small, np.uint8).reshape(spec.shape))
    numbers = {label: i for i, label in enumerate(labels)}
    known = all(file.parent.name in numbers for file in files)
    return np.stack(pixels), np.array([numbers[f.parent.name] for f in files], np.int64) if known else None
