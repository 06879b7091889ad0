"""Where data sets come from: built-in digits, CIFAR-10, folders of images, `.npz` files, functions of the user's own.

To add a source, write a function that returns a `Dataset`, and enter it in `load_data` (with a line in its docstring),
in `_SOURCES`, and in the table in docs/build.md. The checks that `load_data` makes hold for every source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.array_files import read_arrays
from legodnn.arrays import Array
from legodnn.blocks.importing.annotations.clips import read_clips
from legodnn.blocks.importing.annotations.coco import read_coco
from legodnn.blocks.importing.annotations.masks import read_masks
from legodnn.blocks.importing.annotations.normality import read_normality
from legodnn.blocks.importing.annotations.parts import AnnotatedPart, annotated_dataset
from legodnn.blocks.importing.annotations.points import read_points
from legodnn.blocks.importing.annotations.voc import read_voc
from legodnn.blocks.importing.cifar10 import CIFAR10_LABELS, read_cifar10
from legodnn.blocks.importing.data import SHARES, Dataset, Split, divided
from legodnn.errors import DataError, DependencyError
from legodnn.folders import ImageFolder, class_folders, split_folders
from legodnn.images import Frame
from legodnn.pixels import PixelArrays, Pixels, Scaling, as_input
from legodnn.progress import Progress, no_progress
from legodnn.readings import ClassScores
from legodnn.recipe import Recipe
from legodnn.tensor_spec import ImageFit
from legodnn.user_function import call_user, user_function

log = logging.getLogger("legodnn.blocks")

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Folders of annotated images, and how they are read: names of classes and labelled parts.
_ANNOTATED: dict[str, Callable[[Path, Frame], tuple[tuple[str, ...], dict[str, AnnotatedPart]]]] = {
    "masks": read_masks,
    "voc": read_voc,
    "coco": read_coco,
    "points": read_points,
}
_FOLDERS = ("images", *_ANNOTATED, "one_class", "clips")
_KINDS = ("digits", "cifar10", *_FOLDERS, "npz")
_SOURCES = f"digits, cifar10, cifar10:DIR, {', '.join(f'{kind}:DIR' for kind in _FOLDERS)}, npz:FILE or module:function"
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_LEAST_IMAGES = 10


def load_data(
    source: str,
    seed: int = 0,
    image_size: int | tuple[int, int] = 32,
    scaling: Scaling | None = None,
    channels: int = 3,
    progress: Progress = no_progress,
    fit: ImageFit = "stretch",
    fill: int = 0,
    frames: int = 1,
) -> Dataset:
    """Load a data set.

    Args:
        source: one of
            - `digits`: scikit-learn's 1,797 handwritten digits;
            - `cifar10:DIR`: the original files in a folder; `cifar10`: the same, downloaded through Keras;
            - `images:DIR`: a folder with one subfolder of images for each class, or with images alone, which then have
              no labels; or a folder of two or three such folders, called train, val and test. A split without a folder
              is taken from train.
            - `masks:DIR`, `voc:DIR`, `coco:DIR`, `points:DIR`, `one_class:DIR`, `clips:DIR`: folders of annotated
              images, see the modules of `annotations`.
            - `npz:FILE`: arrays x and perhaps y, or x_train, x_val, x_test and perhaps y_train, ... Images of type
              uint8 are pixels; others are taken as the model's input.
            - `module:function`: a function that is called without arguments and returns a `Dataset`. Its module is
              looked for in the current folder too.
        seed: the seed by which images are shuffled and divided.
        image_size: height and width that digits and image folders are scaled to; one number stands for both.
        scaling: what is made of pixels; None: what the data set uses, which is the range (0, 1) for most.
        channels: of images from folders: 1 (gray), 3 (RGB) or 4 (RGBA).
        progress: shows how far a large folder of images has been read.
        fit, fill: how images from folders are brought to that size (see `legodnn.images.Frame`).
        frames: taken of each clip.

    Raises:
        DataError: the source is unknown, a file cannot be read, or there are too few images.
        DependencyError: scikit-learn (for digits) or Pillow (for images) is not installed.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    kind, _, place = source.partition(":")
    frame = Frame((*size, channels), fit, fill)
    readers: dict[str, Callable[[], Dataset]] = {
        "digits": lambda: _digits(seed, size, scaling),
        "cifar10": lambda: _cifar10(Path(place) if place else None, seed, scaling),
        "images": lambda: _images(Path(place), seed, frame, scaling or Scaling(), progress),
        **dict.fromkeys(
            (*_ANNOTATED, "one_class", "clips"),
            lambda: _annotated(kind, Path(place), seed, frame, scaling or Scaling(), progress, frames),
        ),
        "npz": lambda: _npz(Path(place), seed, scaling or Scaling()),
    }
    needs_place = kind in (*_FOLDERS, "npz")
    if (not place and (needs_place or kind not in readers)) or (place and kind == "digits"):
        raise DataError(f"unknown data {source!r}; use {_SOURCES}")
    data = readers[kind]() if kind in readers else _function(source, scaling)
    for key, name in _SPLITS.items():
        _check(source, name, getattr(data, key), data.image_shape)
    if problem := data.scaling.problem(data.image_shape[-1]):
        raise DataError(f"{source}: input_{problem}")
    return data


def is_own_data(source: str) -> bool:
    """Whether a function of the user's own gives a data set, with images as the model takes them."""
    return source.partition(":")[0] not in _KINDS


def data_of(recipe: Recipe, shape: tuple[int | None, ...] = (), progress: Progress = no_progress) -> Dataset:
    """Load the data set that a recipe asks for, with images as the recipe's model takes them.

    Args:
        recipe: its size and scaling hold. Without `input_range`, `input_mean` and `input_std` the data set's own
            scaling holds; where one of the three is given, the others are (0, 1), 0 and 1.
        shape: the shape of the model's input, which decides on channels, and on height and width where the recipe gives
            none.
        progress: see `load_data`.
    """
    scaling = None
    if recipe.input_range or recipe.input_mean or recipe.input_std:
        scaling = Scaling(recipe.input_range or (0.0, 1.0), recipe.input_mean or (), recipe.input_std or ())
    height, width, channels = shape if len(shape) == 3 else (None, None, None)
    size: int | tuple[int, int] = recipe.image_size or (height and width and (height, width)) or 32
    fit, fill = recipe.input_fit, recipe.input_fill
    frames = recipe.reading.frames if isinstance(recipe.reading, ClassScores) else 1
    return load_data(recipe.data, recipe.seed, size, scaling, channels or 3, progress, fit, fill, frames)


def _check(source: str, name: str, split: Split, shape: tuple[int, ...]) -> None:
    if len(split) < _LEAST_IMAGES:
        raise DataError(f"{source} leaves only {len(split)} {name} images; at least {_LEAST_IMAGES} are needed")
    if split.x.shape[1:] != shape or split.x.dtype != np.float32:
        raise DataError(f"{source}: {name} images are {split.x.dtype} {split.x.shape[1:]}, not float32 {shape}")
    for y in split.y if isinstance(split.y, tuple) else [] if split.y is None else [split.y]:
        if len(y) != len(split):
            raise DataError(f"{source}: {len(split)} {name} images, but {len(y)} labels")
    if not isinstance(split.x, Pixels) and not np.isfinite(split.x).all():
        raise DataError(f"{source}: some {name} images hold NaN or infinity")


def _dataset(name: str, labels: tuple[str, ...], parts: Mapping[str, Split], scaling: Scaling) -> Dataset:
    return Dataset(name, labels, parts["train"], parts["val"], parts["test"], scaling)


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
    return _dataset("digits", tuple("0123456789"), divided(whole, seed, SHARES), scaling)


def _cifar10(folder: Path | None, seed: int, scaling: Scaling | None) -> Dataset:
    found = keras.datasets.cifar10.load_data() if folder is None else read_cifar10(folder)
    scaling = scaling or Scaling(mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
    whole, test = (
        Split(_scaled("cifar10", pixels, scaling), labels.reshape(-1).astype(np.int64)) for pixels, labels in found
    )
    return _dataset("cifar10", CIFAR10_LABELS, {**divided(whole, seed, {"val": 0.1}), "test": test}, scaling)


def _images(root: Path, seed: int, frame: Frame, scaling: Scaling, progress: Progress) -> Dataset:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; it must hold images, in one subfolder for each class if labelled")
    folders = split_folders(root, DataError) or {"train": root}
    found = {"train": class_folders(folders["train"], DataError)}
    classes = found["train"].classes
    for name in [name for name in folders if name != "train"]:
        found[name] = class_folders(folders[name], DataError, classes)
    _warn_of_empty_classes(root, found.values(), classes)
    parts = {
        name: AnnotatedPart(part.files, np.array(part.numbers, np.int64) if classes else None)
        for name, part in found.items()
    }
    return annotated_dataset(root, classes, parts, frame, scaling, seed, progress)


def _annotated(
    kind: str, root: Path, seed: int, frame: Frame, scaling: Scaling, progress: Progress, frames: int
) -> Dataset:
    if kind == "one_class":
        return annotated_dataset(root, (), read_normality(root, seed), frame, scaling, seed, progress)
    classes, parts = read_clips(root, frames) if kind == "clips" else _ANNOTATED[kind](root, frame)
    return annotated_dataset(root, classes, parts, frame, scaling, seed, progress, frames if kind == "clips" else 1)


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
        parts = divided(part(""), seed, SHARES)
    elif missing := [f"x_{name}" for name in _SPLITS if f"x_{name}" not in arrays]:
        raise DataError(f"{path} holds neither x nor {missing[0]}; it has {', '.join(sorted(arrays)) or 'nothing'}")
    else:
        parts = {name: part(f"_{name}") for name in _SPLITS}
    _warn_of_other_range(path, parts["train"].x, scaling)
    return _dataset(path.stem, (), parts, scaling)


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


def _warn_of_empty_classes(root: Path, parts: Iterable[ImageFolder], classes: tuple[str, ...]) -> None:
    """Name the classes that no image shows. They keep their numbers, as with Keras."""
    seen = {number for part in parts for number in part.numbers}
    if empty := [name for i, name in enumerate(classes) if i not in seen]:
        log.warning("%s holds no image of %s; that stays a class", root, ", ".join(empty))


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
