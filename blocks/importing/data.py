"""Data sets for the offline stage: images and perhaps labels, split in three, with what a device must know of them.

`load("digits")` is built in (scikit-learn's 1,797 handwritten digits); `cifar10:DIR` reads the original batch files,
`cifar10` downloads them through Keras; `images:DIR` reads a folder of images, one subfolder for each class if there
are labels, divided in parts or not; `npz:FILE` reads arrays; `module:function` calls a function of the user's own.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.array_files import read_arrays
from legodnn.arrays import Array
from legodnn.blocks.importing.user_function import call_user, user_function
from legodnn.errors import DataError, DependencyError
from legodnn.folders import ImageFolder, class_folders, split_folders
from legodnn.images import read_images
from legodnn.pixels import PixelArrays, Pixels, as_input
from legodnn.pixels import Scaling as Scaling  # for data sets of one's own
from legodnn.recipe import Recipe

_CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SOURCES = "digits, cifar10, cifar10:DIR, images:DIR, npz:FILE or module:function"
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_SHARES = {"test": 0.2, "val": 0.15}


@dataclass(frozen=True, eq=False)
class Split:
    """Images, shape (n, height, width, channels), float32 as the model takes them, and what is known of each.

    `x` is an array, or pixels that are scaled when they are asked for. `y` has n rows: class numbers, shape (n,),
    int64, or whatever the metric in use compares outputs with; a tuple of such arrays, one for each output, where a
    model has several; None if there are no labels.
    """

    x: PixelArrays
    y: NDArray[Any] | tuple[NDArray[Any], ...] | None

    def __len__(self) -> int:
        return len(self.x)

    def first(self, count: int) -> Split:
        """The first `count` images (they are in random order)."""
        return self.take(slice(count))

    def take(self, rows: NDArray[np.int64] | slice) -> Split:
        """Some of the images, in this order."""
        x = self.x.take(rows) if isinstance(self.x, Pixels) else np.ascontiguousarray(self.x[rows])
        y = tuple(part[rows] for part in self.y) if isinstance(self.y, tuple) else self.y
        return Split(x, y[rows] if isinstance(y, np.ndarray) else y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set. `train` trains, `val` serves every choice and fit, `test` is for reporting alone."""

    name: str
    labels: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    scaling: Scaling = field(default_factory=Scaling)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train.x.shape[1:]
        return height, width, channels


def load(
    source: str,
    seed: int = 0,
    image_size: int | tuple[int, int] = 32,
    scaling: Scaling | None = None,
    channels: int = 3,
) -> Dataset:
    """Load a data set.

    Args:
        source: one of
            - `digits`;
            - `cifar10`, `cifar10:DIR`;
            - `images:DIR`: one subfolder of images for each class, or images alone, which then have no labels; or two
              or three folders of the kind, called train, val and test. What is not given is taken from train.
            - `npz:FILE`: arrays x and perhaps y, or x_train, x_val, x_test and perhaps y_train, ...; images of type
              uint8 are pixels, others are taken as the model's input;
            - `module:function`: called without arguments, gives a `Dataset`. The module is looked for in the current
              folder too.
        seed: of the splits.
        image_size: height and width that digits and image folders are scaled to; one number for both.
        scaling: what is made of pixels; None: the data set's own, (0, 1) for most.
        channels: of images from folders: 1 (gray), 3 (RGB) or 4 (RGBA).

    Raises:
        DataError: unknown source, unreadable files, or too few images.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    kind, _, place = source.partition(":")
    readers: dict[str, Callable[[], Dataset]] = {
        "digits": lambda: _digits(seed, size, scaling),
        "cifar10": lambda: _cifar10(Path(place) if place else None, seed, scaling),
        "images": lambda: _images(Path(place), seed, (*size, channels), scaling or Scaling()),
        "npz": lambda: _npz(Path(place), seed, scaling or Scaling()),
    }
    if (not place and kind in ("images", "npz")) or (place and kind == "digits") or (not place and kind not in readers):
        raise DataError(f"unknown data {source!r}; use {_SOURCES}")
    data = readers[kind]() if kind in readers else _function(source, scaling)
    for key, name in _SPLITS.items():
        _check(source, name, getattr(data, key), data.image_shape)
    if problem := data.scaling.problem(data.image_shape[-1]):
        raise DataError(f"{source}: input_{problem}")
    return data


def data_of(recipe: Recipe, shape: tuple[int | None, ...] = ()) -> Dataset:
    """The data set that a recipe asks for, its images as the recipe's model takes them.

    Args:
        recipe: what it says of size and scaling holds; without `input_range`, `input_mean` and `input_std` pixels
            become what the data set says, with one of them the others are (0, 1), 0 and 1.
        shape: of the model's input, which decides on channels, and on height and width where the recipe gives none.
    """
    scaling = None
    if recipe.input_range or recipe.input_mean or recipe.input_std:
        scaling = Scaling(recipe.input_range or (0.0, 1.0), recipe.input_mean or (), recipe.input_std or ())
    height, width, channels = shape if len(shape) == 3 else (None, None, None)
    size: int | tuple[int, int] = recipe.image_size or (height and width and (height, width)) or 32
    return load(recipe.data, recipe.seed, size, scaling, channels or 3)


def _check(source: str, name: str, split: Split, shape: tuple[int, ...]) -> None:
    if len(split) < 10:
        raise DataError(f"{source} leaves only {len(split)} {name} images; at least 10 are needed")
    if split.x.shape[1:] != shape or split.x.dtype != np.float32:
        raise DataError(f"{source}: {name} images are {split.x.dtype} {split.x.shape[1:]}, not float32 {shape}")
    for y in split.y if isinstance(split.y, tuple) else [] if split.y is None else [split.y]:
        if len(y) != len(split):
            raise DataError(f"{source}: {len(split)} {name} images, but {len(y)} labels")
    if not isinstance(split.x, Pixels) and not np.isfinite(split.x).all():
        raise DataError(f"{source}: some {name} images hold NaN or infinity")


def _split(whole: Split, seed: int, **shares: float) -> dict[str, Split]:
    """Shuffle and divide: parts of these shares of the whole by name, and the rest as `train`."""
    order, parts = np.random.default_rng(seed).permutation(len(whole)), {}
    start, share = 0, 0.0
    for name in shares:
        share += shares[name]
        end = round(len(whole) * share)
        parts[name] = whole.take(order[start:end])
        start = end
    return {"train": whole.take(order[start:]), **parts}


def _scaled(source: str, pixels: NDArray[Any], scaling: Scaling) -> Array:
    try:
        return scaling(pixels)
    except ValueError as e:
        raise DataError(f"{source}: input_{e}") from None


def _digits(seed: int, size: tuple[int, int], scaling: Scaling | None) -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DependencyError("the digits need scikit-learn; pip install 'legodnn[train]'") from None
    scaling = scaling or Scaling()
    raw = load_digits()
    small = (raw.images[..., None] * (255 / 16)).astype(np.float32)
    scaled = keras.ops.image.resize(small, size, interpolation="bilinear")
    whole = Split(_scaled("digits", keras.ops.convert_to_numpy(scaled), scaling), raw.target.astype(np.int64))
    return Dataset("digits", tuple("0123456789"), **_split(whole, seed, **_SHARES), scaling=scaling)


def _cifar10(folder: Path | None, seed: int, scaling: Scaling | None) -> Dataset:
    if folder is None:
        (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
    else:
        parts = [_cifar10_batch(folder / f"data_batch_{i}") for i in range(1, 6)]
        x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        x_test, y_test = _cifar10_batch(folder / "test_batch")
    scaling = scaling or Scaling(mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
    whole, test = (
        Split(_scaled("cifar10", pixels, scaling), labels.reshape(-1).astype(np.int64))
        for pixels, labels in ((x, y), (x_test, y_test))
    )
    return Dataset("cifar10", _CIFAR10_LABELS, **_split(whole, seed, val=0.1), test=test, scaling=scaling)


class _ArraysOnly(pickle.Unpickler):
    """Reads the pickled arrays of CIFAR-10's own files and refuses anything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
        if (module, name) not in allowed and name != "_reconstruct":
            raise pickle.UnpicklingError(f"{module}.{name} is not expected in a CIFAR-10 file")
        if name == "_reconstruct":
            return np.ndarray(0).__reduce__()[0]
        return super().find_class(module, name)


def _cifar10_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        with path.open("rb") as f:
            batch = _ArraysOnly(f, encoding="bytes").load()
        images, labels = np.asarray(batch[b"data"]).reshape(-1, 3, 32, 32), np.array(batch[b"labels"], np.int64)
        if images.dtype != np.uint8 or labels.shape != (len(images),):
            raise ValueError(f"{images.dtype} images {images.shape} with labels {labels.shape}")
        return images.transpose(0, 2, 3, 1), labels
    except Exception as e:  # a damaged pickle can raise any
        raise DataError(
            f"{path} is not a CIFAR-10 batch file ({e}); the folder must hold data_batch_1 to 5 and test_batch"
        ) from None


def _images(root: Path, seed: int, shape: tuple[int, int, int], scaling: Scaling) -> Dataset:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; it must hold images, in one subfolder for each class if labelled")
    folders = split_folders(root, DataError) or {"train": root}
    found = {"train": class_folders(folders["train"], DataError)}
    classes = found["train"].classes
    for name in [name for name in folders if name != "train"]:
        found[name] = class_folders(folders[name], DataError, classes)
    _say_empty(root, found.values(), classes)
    files = [file for part in found.values() for file in part.files]
    pixels = Pixels(read_images(files, shape, DataError), scaling)
    parts: dict[str, Split] = {}
    start = 0
    for name, part in found.items():
        rows = np.arange(start, start + len(part.files))
        parts[name] = Split(pixels.take(rows), np.array(part.numbers, np.int64) if classes else None)
        start += len(part.files)
    from_train = {name: share for name, share in _SHARES.items() if name not in found}
    divided = _split(parts["train"], seed, **from_train)
    given = {name: _split(parts[name], seed)["train"] for name in found if name != "train"}  # shuffled
    return Dataset(root.name, classes, **divided, **given, scaling=scaling)


def _npz(path: Path, seed: int, scaling: Scaling) -> Dataset:
    arrays = read_arrays(path, DataError, "it must be an .npz file without objects")

    def part(suffix: str) -> Split:
        x, y = arrays[f"x{suffix}"], arrays.get(f"y{suffix}")
        if x.ndim != 4 or not len(x):
            raise DataError(f"{path}: x{suffix} has shape {x.shape}, not (images, height, width, channels)")
        if x.dtype.kind not in "biuf":
            raise DataError(f"{path}: x{suffix} holds {x.dtype}, not numbers")
        if y is not None and (y.ndim == 0 or len(y) != len(x)):
            raise DataError(f"{path}: x{suffix} holds {len(x)} images, y{suffix} has shape {y.shape}")
        y = y.astype(np.int64) if y is not None and y.dtype.kind in "iu" else y
        return Split(Pixels(x, scaling) if x.dtype == np.uint8 else as_input(x, scaling), y)

    if "x" in arrays:
        parts = _split(part(""), seed, **_SHARES)
    elif missing := [f"x_{name}" for name in _SPLITS if f"x_{name}" not in arrays]:
        raise DataError(f"{path} holds neither x nor {missing[0]}; it has {', '.join(sorted(arrays)) or 'nothing'}")
    else:
        parts = {name: part(f"_{name}") for name in _SPLITS}
    _say_other_range(path, parts["train"].x, scaling)
    return Dataset(path.stem, (), **parts, scaling=scaling)


def _function(source: str, scaling: Scaling | None) -> Dataset:
    data = call_user(source, user_function(source, DataError, f"use {_SOURCES}"), DataError)
    if not isinstance(data, Dataset):
        raise DataError(f"{source} gave {type(data).__name__}, not a legodnn.blocks.importing.data.Dataset")
    if scaling and scaling != data.scaling:
        raise DataError(
            f"{source} gives images as the model takes them and says {data.scaling}; the recipe's input_range, "
            f"input_mean and input_std say {scaling}: leave them out, or give Dataset(..., scaling=...) the same"
        )
    return data


def _say_empty(root: Path, parts: Iterable[ImageFolder], classes: tuple[str, ...]) -> None:
    """A line where classes have no image: their numbers are kept, as Keras keeps them."""
    seen = {number for part in parts for number in part.numbers}
    if empty := [name for i, name in enumerate(classes) if i not in seen]:
        print(f"legodnn: {root} holds no image of {', '.join(empty)}; that stays a class", file=sys.stderr)


def _say_other_range(path: Path, x: PixelArrays, scaling: Scaling) -> None:
    """A line where arrays are not what pixels would become: then a device makes other inputs of images."""
    channels = x.shape[-1]
    if isinstance(x, Pixels) or scaling.problem(channels):
        return
    ends = scaling(np.array([[0] * channels, [255] * channels], np.uint8))
    low, high, span = float(ends.min()), float(ends.max()), float(np.ptp(ends))
    least, most = float(x.min()), float(x.max())
    if low - 0.01 * span <= least and most <= high + 0.01 * span and most - least >= 0.05 * span:
        return
    print(
        f"legodnn: {path} holds numbers from {least:.3g} to {most:.3g}, but on a device pixels of images become "
        f"{low:.3g} to {high:.3g}: give uint8, or say input_range, input_mean and input_std in the recipe",
        file=sys.stderr,
    )
