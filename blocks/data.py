"""Data sets for the offline stage: arrays of images and labels, split in three, with what a device must know of them.

`load("digits")` is built in (scikit-learn's 1,797 handwritten digits); `cifar10:DIR` reads the original batch files,
`cifar10` downloads them through Keras; `images:DIR` reads a folder with one subfolder of images for each class.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from legodnn.errors import DataError, DependencyError

Array = NDArray[np.float32]
Labels = NDArray[np.int64]

_CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Split:
    """Images, shape (n, height, width, channels), float32 as the model takes them, and labels, shape (n,)."""

    x: Array
    y: Labels

    def __len__(self) -> int:
        return len(self.x)

    def first(self, count: int) -> Split:
        """The first `count` images (they are in random order)."""
        return Split(self.x[:count], self.y[:count])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set. `train` trains, `val` serves every choice and fit, `test` is for reporting alone.

    `range`, `mean` and `std` say how the arrays were made from pixels (see `legodnn.store.InputSpec`).
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train.x.shape[1:]
        return height, width, channels


def load(source: str, seed: int = 0, image_size: int = 32) -> Dataset:
    """Load a data set.

    Args:
        source: 'digits', 'cifar10', 'cifar10:DIR' or 'images:DIR'.
        seed: of the splits.
        image_size: height and width that digits and image folders are scaled to.

    Raises:
        DataError: unknown source, unreadable files, or too few images.
    """
    kind, _, folder = source.partition(":")
    readers: dict[str, Callable[[], Dataset]] = {
        "digits": lambda: _digits(seed, image_size),
        "cifar10": lambda: _cifar10(Path(folder) if folder else None, seed),
        "images": lambda: _images(Path(folder), seed, image_size),
    }
    if kind not in readers or (kind == "images" and not folder) or (kind == "digits" and folder):
        raise DataError(f"unknown data {source!r}; use digits, cifar10, cifar10:DIR or images:DIR")
    data = readers[kind]()
    for name, split in (("training", data.train), ("validation", data.val), ("test", data.test)):
        if len(split) < 10:
            raise DataError(f"{source} leaves only {len(split)} {name} images; at least 10 are needed")
    return data


def _splits(x: Array, y: Labels, seed: int, test: float, val: float) -> tuple[Split, Split, Split]:
    """Shuffle and divide into (train, val, test), the last two of these shares of the whole."""
    order = np.random.default_rng(seed).permutation(len(x))
    a, b = round(len(x) * test), round(len(x) * (test + val))
    parts = [Split(np.ascontiguousarray(x[i]), y[i]) for i in (order[b:], order[a:b], order[:a])]
    return parts[0], parts[1], parts[2]


def _digits(seed: int, image_size: int) -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DependencyError("the digits need scikit-learn; pip install 'legodnn[train]'") from None
    raw = load_digits()
    small = (raw.images[..., None] / 16).astype(np.float32)
    scaled = keras.ops.image.resize(small, (image_size, image_size), interpolation="bilinear")
    x = np.asarray(keras.ops.convert_to_numpy(scaled), np.float32)
    train, val, test = _splits(x, raw.target.astype(np.int64), seed, test=0.2, val=0.15)
    return Dataset("digits", tuple("0123456789"), train, val, test)


def _cifar10(folder: Path | None, seed: int) -> Dataset:
    if folder is None:
        (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
    else:
        parts = [_cifar10_batch(folder / f"data_batch_{i}") for i in range(1, 6)]
        x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        x_test, y_test = _cifar10_batch(folder / "test_batch")
    mean, std = np.array(_IMAGENET_MEAN, np.float32), np.array(_IMAGENET_STD, np.float32)
    scale: Callable[[Any], Array] = lambda pixels: (pixels.astype(np.float32) / 255 - mean) / std  # noqa: E731
    train, val, _ = _splits(scale(x), y.reshape(-1).astype(np.int64), seed, test=0, val=0.1)
    test = Split(scale(x_test), y_test.reshape(-1).astype(np.int64))
    return Dataset("cifar10", _CIFAR10_LABELS, train, val, test, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


class _ArraysOnly(pickle.Unpickler):
    """Reads the pickled arrays of CIFAR-10's own files and refuses anything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
        if (module, name) not in allowed and name != "_reconstruct":
            raise pickle.UnpicklingError(f"{module}.{name} is not expected in a CIFAR-10 file")
        if name == "_reconstruct":
            return np.ndarray(0).__reduce__()[0]
        return super().find_class(module, name)


def _cifar10_batch(path: Path) -> tuple[NDArray[np.uint8], Labels]:
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


def _images(folder: Path, seed: int, image_size: int) -> Dataset:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; it must hold one subfolder of images for each class")
    try:
        found = keras.utils.image_dataset_from_directory(
            str(folder), image_size=(image_size, image_size), batch_size=None, shuffle=False, verbose=False
        )
    except ValueError as e:
        raise DataError(f"cannot read images from {folder}: {str(e).splitlines()[0]}") from None
    pixels, labels = [], []
    try:
        for image, label in found:
            pixels.append(np.asarray(image))
            labels.append(int(label))
    except tf.errors.OpError:
        raise DataError(
            f"{found.file_paths[len(pixels)]} is not an image that can be read; replace or remove it"
        ) from None
    x = (np.stack(pixels) / 255).astype(np.float32)
    y = np.array(labels, np.int64)
    train, val, test = _splits(x, y, seed, test=0.2, val=0.15)
    return Dataset(folder.name, tuple(found.class_names), train, val, test)
