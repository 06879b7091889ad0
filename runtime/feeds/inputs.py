"""Inputs for models, read from files of arrays or from a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.array_files import read_arrays
from legodnn.arrays import Array
from legodnn.errors import InputError
from legodnn.files import is_folder
from legodnn.folders import image_files, labels_of
from legodnn.images import read_images
from legodnn.manifest import InputSpec
from legodnn.pixels import Pixels, as_input
from legodnn.progress import Progress, no_progress


class ImageSequence(Protocol):
    """A sequence of images, each as the model takes it: an array, or an object that makes them on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Array: ...


@dataclass(frozen=True, eq=False)
class Inputs:
    """ImageSequence for one model, and their labels.

    Attributes:
        x: the images, each as the model takes it.
        y: one label for each image (see `scores`): a class number or a map of these, int64, or other numbers. None if
            labels are not known.
    """

    x: ImageSequence
    y: NDArray[Any] | None = None


def read_inputs(
    path: str | Path, spec: InputSpec, labels: Sequence[str] = (), progress: Progress = no_progress
) -> Inputs:
    """Read inputs for one model from an .npz (`x`, and `y` if labels are known), an .npy file, or a folder of images.

    Image files are read as they were when the store was built. Arrays of uint8 are pixels and scaled as the input
    specification says; other numbers are taken as they are. If all images lie in folders whose names are labels, these
    are their labels.

    Args:
        path: the file or folder.
        spec: the model's input.
        labels: names of the model's classes.
        progress: shows how far a large folder of images has been read.

    Raises:
        InputError: unreadable, or not arrays of the model's input shape.
        DependencyError: a folder of images is given and Pillow is not installed.
    """
    x, y = _folder(Path(path), spec, labels, progress) if is_folder(Path(path)) else _arrays(path)
    if x.ndim == 0 or x.shape[1:] != spec.shape or not len(x) or x.dtype.kind not in "biuf":
        raise InputError(f"{path} holds {x.dtype} {x.shape}, but the model takes images of shape {spec.shape}")
    if y is not None and (y.ndim == 0 or len(y) != len(x)):
        raise InputError(f"{path} holds {len(x)} images but labels of shape {y.shape}")
    if y is not None and y.dtype.kind not in "biuf":
        raise InputError(f"{path} holds labels of type {y.dtype}; give numbers, or leave y out")
    if y is not None and y.dtype.kind in "biu":
        y = y.astype(np.int64)
    return Inputs(Pixels(x, spec.scaling) if x.dtype == np.uint8 else as_input(x, spec.scaling), y)


def as_model_takes(pixels: NDArray[np.generic], spec: InputSpec) -> Array:
    """Scale and normalise pixels, 0 to 255, as the input specification says."""
    return np.ascontiguousarray(spec.scaling(pixels))


def _arrays(path: str | Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    remedy = "give an .npy, an .npz of `x` and perhaps `y`, or a folder of images"
    content = read_arrays(Path(path), InputError, remedy, names=("x", "y"), lone="x")
    if "x" not in content:
        raise InputError(f"cannot read inputs from {path}: it has no `x`; {remedy}")
    return content["x"], content.get("y")


def _folder(
    path: Path, spec: InputSpec, labels: Sequence[str], progress: Progress
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    files = image_files(path, InputError)
    if not files:
        raise InputError(f"{path} holds 0 images; the model takes arrays of shape {spec.shape}")
    numbers = labels_of(path, files, labels)
    pixels = read_images(files, spec.shape, InputError, progress)
    return pixels, None if numbers is None else np.array(numbers, np.int64)
