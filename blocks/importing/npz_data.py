"""Data sets from `.npz` files: an array for each input of a model, and perhaps labels, whole or in three splits."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from legodnn.array_files import read_arrays
from legodnn.arrays import Shape
from legodnn.blocks.importing.data import (
    SHARES,
    SPLITS,
    Dataset,
    SeveralInputs,
    Split,
    divided,
    input_arrays,
    is_picture,
    shuffled,
)
from legodnn.errors import DataError
from legodnn.pixels import PixelArrays, Pixels, Scaling, as_input

log = logging.getLogger("legodnn.blocks")


def read_npz(path: Path, seed: int, scaling: Scaling, inputs: Mapping[str, Shape] | None, frames: int = 1) -> Dataset:
    """Read the data set of an `.npz` file; arguments and errors are those of `data_sources.load_data`."""
    arrays = read_arrays(path, DataError, "it must be an .npz file without objects")
    names = list(inputs) if inputs and len(inputs) > 1 else ["x"]

    def one(name: str) -> PixelArrays:
        x = arrays[name]
        if not inputs and (x.ndim != 4 or not len(x)):
            raise DataError(f"{path}: {name} has shape {x.shape}, not (images, height, width, channels)")
        if x.ndim == 0:
            raise DataError(f"{path}: {name} is a single value; it must have a row for every example")
        if x.dtype.kind not in "biuf":
            raise DataError(f"{path}: {name} holds {x.dtype}, not numbers")
        if not is_picture(x.shape[1:]):  # on a device, too, these are taken as they are
            return np.ascontiguousarray(x, np.float32)
        return Pixels(x, scaling) if x.dtype == np.uint8 else as_input(x, scaling)

    def part(suffix: str) -> Split:
        found = {name: one(f"{name}{suffix}") for name in names}
        x = found["x"] if names == ["x"] else SeveralInputs(found)
        y = None if "y" in names else arrays.get(f"y{suffix}")
        if y is not None and (y.ndim == 0 or len(y) != len(x)):
            raise DataError(f"{path}: {names[0]}{suffix} holds {len(x)} images, y{suffix} has shape {y.shape}")
        return Split(x, y.astype(np.int64) if y is not None and y.dtype.kind in "iu" else y)

    if all(name in arrays for name in names):
        parts = divided(part(""), seed, SHARES, frames)
    elif missing := [f"{name}_{key}" for key in SPLITS for name in names if f"{name}_{key}" not in arrays]:
        whole = next(name for name in names if name not in arrays)
        raise DataError(
            f"{path} holds neither {whole} nor {missing[0]}; it has {', '.join(sorted(arrays)) or 'nothing'}"
        )
    else:
        parts = {key: shuffled(part(f"_{key}"), seed, frames) for key in SPLITS}
    _check_names(path, arrays, names)
    for x in input_arrays(parts["train"].x):
        if is_picture(x.shape[1:]):
            _warn_of_other_range(path, x, scaling)
    return Dataset(path.stem, (), parts["train"], parts["val"], parts["test"], scaling)


def _check_names(path: Path, arrays: Iterable[str], names: Sequence[str]) -> None:
    """Refuse arrays that nothing reads, and labels that nothing is measured on: both are labels that would be lost.

    Args:
        path: the file.
        arrays: the names of its arrays, which hold all inputs.
        names: the inputs.
    """
    whole = set(names) <= set(arrays)
    read = [*names, *([] if "y" in names else ["y"])]
    known = [f"{name}{ending}" for ending in ([""] if whole else [f"_{key}" for key in SPLITS]) for name in read]
    if unknown := sorted(set(arrays) - set(known)):
        raise DataError(
            f"{path} holds {', '.join(unknown)}, which nothing reads: inputs and labels are called {', '.join(known)}; "
            "rename what is one of them, and leave out the rest"
        )
    labels = [name for name in known if name in arrays and name.startswith("y_") and "y" not in names]
    if labels and "y_val" not in labels:
        raise DataError(
            f"{path} holds labels {', '.join(labels)}, but not y_val, on which all is measured: add it, or leave "
            "all out"
        )


def _warn_of_other_range(path: Path, x: PixelArrays, scaling: Scaling) -> None:
    """Warn if arrays have another range than scaled pixels: a device would then make other inputs of images."""
    channels = x.shape[-1]
    if isinstance(x, Pixels) or scaling.problem(channels):
        return
    ends = scaling(np.array([[0] * channels, [255] * channels], np.uint8))
    low, high, span = float(ends.min()), float(ends.max()), float(np.ptp(ends))
    least, most = float(x.min()), float(x.max())
    if low - 0.01 * span <= least and most <= high + 0.01 * span and most - least >= 0.05 * span:
        return
    log.warning(
        "%s holds numbers from %.3g to %.3g, but on a device pixels of images become %.3g to %.3g: give uint8, or say "
        "input_range, input_mean and input_std in the recipe",
        *(path, least, most, low, high),
    )
