"""Inputs for models, read from files of arrays, from an image, or from a folder of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.array_files import read_arrays
from legodnn.arrays import AnyArray
from legodnn.errors import InputError
from legodnn.files import is_folder
from legodnn.folders import image_files, is_image_file, labels_of
from legodnn.images import frame_of, read_images
from legodnn.manifest import InputSpec
from legodnn.progress import Progress, no_progress


class InputSequence(Protocol):
    """A sequence of what a model takes at once: an array, or arrays by input name; perhaps made when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> AnyArray | Mapping[str, AnyArray]: ...


@dataclass(frozen=True, eq=False)
class Inputs:
    """What one model is to be run on, and the labels.

    Attributes:
        x: the inputs, each as the model takes it.
        y: one label for each input (see `model_scores`): a class number or a map of these, int64, or other numbers;
            None if labels are not known.
        names: of image files, their paths in the folder; empty for other inputs.
    """

    x: InputSequence
    y: NDArray[Any] | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class InputArray:
    """Values of one input of a model, each made of an array's row when it is asked for.

    Attributes:
        raw: the array. Rows of uint8 for an input that is a picture are pixels, and are scaled; rows of the input's own
            type are taken as they are; others are numbers (see `TensorSpec.from_numbers`).
        spec: the input.
    """

    raw: NDArray[Any]
    spec: InputSpec

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, number: int) -> AnyArray:
        row = self.raw[number]
        if row.dtype == np.uint8 and self.spec.layout == "HWC":
            return self.spec.from_pixels(row)
        if row.dtype == self.spec.dtype:
            return np.asarray(row, order="C")  # unlike ascontiguousarray, a single number stays one
        return self.spec.from_numbers(row)


@dataclass(frozen=True, eq=False)
class NamedInputs:
    """Several inputs of a model: `inputs` by name, all of them equally long."""

    inputs: Mapping[str, InputArray]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def __getitem__(self, number: int) -> dict[str, AnyArray]:
        return {name: values[number] for name, values in self.inputs.items()}


def read_inputs(
    path: str | Path, specs: Sequence[InputSpec], labels: Sequence[str] = (), progress: Progress = no_progress
) -> Inputs:
    """Read inputs for one model from an .npz (`x`, and `y` if labels are known), an .npy file, an image or a folder.

    Image files are read as they were when the store was built. Arrays of uint8 are pixels and scaled as the input
    specification says; other numbers are taken as they are. Of a data set in parts, as builds take it, the part for
    testing is read (`x_test`, `y_test`). If all images lie in folders whose names are labels, these are their labels.
    For a model with several inputs, an .npz has an array for each, by its name (or NAME_test).

    Args:
        path: the file or folder.
        specs: the model's inputs.
        labels: names of the model's classes.
        progress: shows how far a large folder of images has been read.

    Raises:
        InputError: unreadable, or not arrays of the model's input shapes.
        DependencyError: images are given and Pillow is not installed.
    """
    if is_folder(Path(path)) or is_image_file(Path(path)):
        arrays, y, names = _images(Path(path), specs, labels, progress)
        return _checked(arrays, y, names, path, specs)
    one = len(specs) == 1
    several = [f"{spec.name}{part}" for spec in specs for part in ("", "_test")]
    wanted = (*(_ONE if one else several), "y", "y_test")
    content = read_arrays(Path(path), InputError, _remedy(specs), names=wanted, lone="x" if one else None)
    return inputs_of_arrays(content, path, specs)


def inputs_of_arrays(content: Mapping[str, NDArray[Any]], name: str | Path, specs: Sequence[InputSpec]) -> Inputs:
    """Return inputs for one model from arrays by name, as an .npz has them (see `read_inputs`).

    Args:
        content: the arrays.
        name: what messages call the whole.
        specs: the model's inputs.

    Raises:
        InputError: an array is missing, or not of the model's input shape.
    """
    if len(specs) > 1:
        names = [spec.name for spec in specs]
        suffix = "_test" if all(f"{each}_test" in content for each in names) and names[0] not in content else ""
        if missing := [each for each in names if each + suffix not in content]:
            raise InputError(f"cannot read inputs from {name}: it has no {missing[0]!r}; {_remedy(specs)}")
        y = None if "y" in names else content.get(f"y{suffix}")
        return _checked([content[each + suffix] for each in names], y, (), name, specs)
    part = next((each for each in _ONE if each in content), None)
    if part is None:
        raise InputError(f"cannot read inputs from {name}: it has neither `x` nor `x_test`; {_remedy(specs)}")
    return _checked([content[part]], content.get(part.replace("x", "y", 1)), (), name, specs)


_ONE = ("x", "x_test")  # what the array of a single input is called, in the order of preference


def _remedy(specs: Sequence[InputSpec]) -> str:
    if len(specs) > 1:
        return f"give an .npz with the arrays {', '.join(spec.name for spec in specs)}, and perhaps y"
    return "give an .npy, an .npz of `x` and perhaps `y`, an image, or a folder of images"


def _checked(
    arrays: Sequence[NDArray[Any]],
    y: NDArray[Any] | None,
    names: tuple[str, ...],
    path: str | Path,
    specs: Sequence[InputSpec],
) -> Inputs:
    """Return inputs, after checking that arrays and labels are what the model takes."""
    count = len(arrays[0]) if arrays[0].ndim else 0
    for x, spec in zip(arrays, specs, strict=True):
        what = "images" if spec.layout == "HWC" else "arrays"
        if x.ndim and not len(x):
            raise InputError(
                f"{path} has no {what} in it for {spec.name!r} ({x.dtype} {x.shape}); give at least one of shape "
                f"{spec.shape}"
            )
        if x.ndim == 0 or x.shape[1:] != spec.shape or x.dtype.kind not in "biuf":
            raise InputError(
                f"{path} holds {x.dtype} {x.shape}, but the model takes {what} of shape {spec.shape} as {spec.name!r}"
            )
        if len(x) != count:
            raise InputError(f"{path} holds {count} of {specs[0].name!r}, but {len(x)} of {spec.name!r}")
    if y is not None and (y.ndim == 0 or len(y) != count):
        raise InputError(f"{path} holds {count} images but labels of shape {y.shape}")
    if y is not None and y.dtype.kind not in "biuf":
        raise InputError(f"{path} holds labels of type {y.dtype}; give numbers, or leave y out")
    if y is not None and y.dtype.kind == "f" and not np.isfinite(y).all():
        raise InputError(f"{path} holds labels that are NaN or infinity; give finite numbers, or leave y out")
    if y is not None and y.dtype.kind in "biu":
        y = y.astype(np.int64)
    named = {spec.name: InputArray(x, spec) for x, spec in zip(arrays, specs, strict=True)}
    return Inputs(NamedInputs(named) if len(specs) > 1 else named[specs[0].name], y, names)


def _images(
    path: Path, specs: Sequence[InputSpec], labels: Sequence[str], progress: Progress
) -> tuple[list[NDArray[Any]], NDArray[Any] | None, tuple[str, ...]]:
    folder = is_folder(path)
    if len(specs) > 1:
        raise InputError(
            f"{path} is {'a folder of images' if folder else 'an image'}, and the model has the inputs "
            f"{', '.join(s.name for s in specs)}; give an .npz with an array for each"
        )
    if not folder:
        return [read_images([path], frame_of(specs[0]), InputError)], None, (path.name,)
    files = image_files(path, InputError)
    if not files:
        raise InputError(f"{path} holds 0 images; the model takes arrays of shape {specs[0].shape}")
    numbers = labels_of(path, files, labels)
    pixels = read_images(files, frame_of(specs[0]), InputError, progress)
    names = tuple(file.relative_to(path).as_posix() for file in files)
    return [pixels], None if numbers is None else np.array(numbers, np.int64), names
