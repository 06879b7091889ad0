"""Data sets for the offline stage: images and perhaps labels, split in three, with what a device must know of them.

`load("digits")` is built in (scikit-learn's 1,797 handwritten digits); `cifar10:DIR` reads the original batch files,
`cifar10` downloads them through Keras; `images:DIR` reads a folder of images, one subfolder for each class if there
are labels; `npz:FILE` reads arrays; `module:function` calls a function of the user's own.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import read_arrays
from legodnn.blocks.recipe import Recipe
from legodnn.blocks.users import user_function
from legodnn.errors import DataError, DependencyError

Array = NDArray[np.float32]

_CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SOURCES = "digits, cifar10, cifar10:DIR, images:DIR, npz:FILE or module:function"
_SPLITS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True, eq=False)
class Split:
    """Images, shape (n, height, width, channels), float32 as the model takes them, and what is known of each.

    `y` has n rows: class numbers, shape (n,), int64, or whatever the metric in use compares outputs with; None if
    there are no labels.
    """

    x: Array
    y: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.x)

    def first(self, count: int) -> Split:
        """The first `count` images (they are in random order)."""
        return Split(self.x[:count], None if self.y is None else self.y[:count])


@dataclass(frozen=True)
class Scaling:
    """How a model's input is made from pixels: 0..255 to `range`, minus `mean`, over `std` (empty: not done)."""

    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, pixels: NDArray[Any]) -> Array:
        """The model's input for pixels from 0 to 255, shape (..., channels)."""
        low, high = self.range
        x: Array = pixels.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, pixels.shape[-1]):
                raise DataError(f"input_{name} has {len(values)} values, the images have {pixels.shape[-1]} channels")
        if self.mean:
            x -= np.array(self.mean, np.float32)
        if self.std:
            x /= np.array(self.std, np.float32)
        return x


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set. `train` trains, `val` serves every choice and fit, `test` is for reporting alone."""

    name: str
    labels: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    scaling: Scaling = Scaling()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train.x.shape[1:]
        return height, width, channels


def load(source: str, seed: int = 0, image_size: int = 32, scaling: Scaling | None = None) -> Dataset:
    """Load a data set.

    Args:
        source: one of
            - `digits`;
            - `cifar10`, `cifar10:DIR`;
            - `images:DIR`: one subfolder of images for each class, or images alone, which then have no labels;
            - `npz:FILE`: arrays x and perhaps y, or x_train, x_val, x_test and perhaps y_train, ...; images of type
              uint8 are pixels, others are taken as the model's input;
            - `module:function`: called without arguments, gives a `Dataset`. The module is looked for in the current
              folder too.
        seed: of the splits.
        image_size: height and width that digits and image folders are scaled to.
        scaling: what is made of pixels; None: the data set's own, (0, 1) for most.

    Raises:
        DataError: unknown source, unreadable files, or too few images.
    """
    kind, _, place = source.partition(":")
    readers: dict[str, Callable[[], Dataset]] = {
        "digits": lambda: _digits(seed, image_size, scaling),
        "cifar10": lambda: _cifar10(Path(place) if place else None, seed, scaling),
        "images": lambda: _images(Path(place), seed, image_size, scaling),
        "npz": lambda: _npz(Path(place), seed, scaling),
    }
    if (not place and kind in ("images", "npz")) or (place and kind == "digits") or (not place and kind not in readers):
        raise DataError(f"unknown data {source!r}; use {_SOURCES}")
    data = readers[kind]() if kind in readers else _function(source)
    for key, name in _SPLITS.items():
        _check(source, name, getattr(data, key), data.image_shape)
    return data


def data_of(recipe: Recipe) -> Dataset:
    """The data set that a recipe asks for, its images as the recipe's model takes them."""
    scaling = None
    if recipe.input_range or recipe.input_mean or recipe.input_std:
        scaling = Scaling(recipe.input_range or (0.0, 1.0), recipe.input_mean or (), recipe.input_std or ())
    return load(recipe.data, recipe.seed, recipe.image_size, scaling)


def _check(source: str, name: str, split: Split, shape: tuple[int, ...]) -> None:
    if len(split) < 10:
        raise DataError(f"{source} leaves only {len(split)} {name} images; at least 10 are needed")
    if split.x.shape[1:] != shape or split.x.dtype != np.float32:
        raise DataError(f"{source}: {name} images are {split.x.dtype} {split.x.shape[1:]}, not float32 {shape}")
    if split.y is not None and len(split.y) != len(split):
        raise DataError(f"{source}: {len(split)} {name} images, but {len(split.y)} labels")
    if not np.isfinite(split.x).all():
        raise DataError(f"{source}: some {name} images hold NaN or infinity")


def _splits(x: Array, y: NDArray[Any] | None, seed: int, test: float, val: float) -> tuple[Split, Split, Split]:
    """Shuffle and divide into (train, val, test), the last two of these shares of the whole."""
    order = np.random.default_rng(seed).permutation(len(x))
    a, b = round(len(x) * test), round(len(x) * (test + val))
    parts = (order[b:], order[a:b], order[:a])
    train, validation, tested = (Split(np.ascontiguousarray(x[i]), None if y is None else y[i]) for i in parts)
    return train, validation, tested


def _digits(seed: int, image_size: int, scaling: Scaling | None) -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DependencyError("the digits need scikit-learn; pip install 'legodnn[train]'") from None
    scaling = scaling or Scaling()
    raw = load_digits()
    small = (raw.images[..., None] * (255 / 16)).astype(np.float32)
    scaled = keras.ops.image.resize(small, (image_size, image_size), interpolation="bilinear")
    x = scaling(keras.ops.convert_to_numpy(scaled))
    train, val, test = _splits(x, raw.target.astype(np.int64), seed, test=0.2, val=0.15)
    return Dataset("digits", tuple("0123456789"), train, val, test, scaling)


def _cifar10(folder: Path | None, seed: int, scaling: Scaling | None) -> Dataset:
    if folder is None:
        (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
    else:
        parts = [_cifar10_batch(folder / f"data_batch_{i}") for i in range(1, 6)]
        x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        x_test, y_test = _cifar10_batch(folder / "test_batch")
    scaling = scaling or Scaling(mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
    train, val, _ = _splits(scaling(x), y.reshape(-1).astype(np.int64), seed, test=0, val=0.1)
    test = Split(scaling(x_test), y_test.reshape(-1).astype(np.int64))
    return Dataset("cifar10", _CIFAR10_LABELS, train, val, test, scaling)


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


def _images(folder: Path, seed: int, image_size: int, scaling: Scaling | None) -> Dataset:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; it must hold images, in one subfolder for each class if labelled")
    try:
        import tensorflow as tf
    except ImportError:
        raise DependencyError("folders of images are read by TensorFlow; pip install 'legodnn[train]'") from None
    labelled = any(child.is_dir() for child in folder.iterdir())
    try:
        found = keras.utils.image_dataset_from_directory(
            str(folder),
            labels="inferred" if labelled else None,
            image_size=(image_size, image_size),
            batch_size=None,
            shuffle=False,
            verbose=False,
        )
    except ValueError as e:
        raise DataError(f"cannot read images from {folder}: {str(e).splitlines()[0]}") from None
    pixels, labels = [], []
    try:
        for item in found:
            image, label = item if labelled else (item, 0)
            pixels.append(np.asarray(image))
            labels.append(int(label))
    except tf.errors.OpError:
        raise DataError(
            f"{found.file_paths[len(pixels)]} is not an image that can be read; replace or remove it"
        ) from None
    scaling = scaling or Scaling()
    y = np.array(labels, np.int64) if labelled else None
    train, val, test = _splits(scaling(np.stack(pixels)), y, seed, test=0.2, val=0.15)
    return Dataset(folder.name, tuple(found.class_names) if labelled else (), train, val, test, scaling)


def _npz(path: Path, seed: int, scaling: Scaling | None) -> Dataset:
    arrays = read_arrays(path, DataError, "it must be an .npz file without objects")
    scaling = scaling or Scaling()

    def part(suffix: str) -> Split:
        x, y = arrays[f"x{suffix}"], arrays.get(f"y{suffix}")
        if x.ndim != 4 or not len(x):
            raise DataError(f"{path}: x{suffix} has shape {x.shape}, not (images, height, width, channels)")
        if x.dtype.kind not in "biuf":
            raise DataError(f"{path}: x{suffix} holds {x.dtype}, not numbers")
        if y is not None and (y.ndim == 0 or len(y) != len(x)):
            raise DataError(f"{path}: x{suffix} holds {len(x)} images, y{suffix} has shape {y.shape}")
        y = y.astype(np.int64) if y is not None and y.dtype.kind in "iu" else y
        return Split(scaling(x) if x.dtype == np.uint8 else x.astype(np.float32), y)

    if "x" in arrays:
        whole = part("")
        train, val, test = _splits(whole.x, whole.y, seed, test=0.2, val=0.15)
    elif missing := [f"x_{name}" for name in _SPLITS if f"x_{name}" not in arrays]:
        raise DataError(f"{path} holds neither x nor {missing[0]}; it has {', '.join(sorted(arrays)) or 'nothing'}")
    else:
        train, val, test = (part(f"_{name}") for name in _SPLITS)
    return Dataset(path.stem, (), train, val, test, scaling)


def _function(source: str) -> Dataset:
    data = user_function(source, DataError, f"use {_SOURCES}")()
    if not isinstance(data, Dataset):
        raise DataError(f"{source} gave {type(data).__name__}, not a legodnn.blocks.data.Dataset")
    return data
