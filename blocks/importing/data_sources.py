"""Where data sets come from: built-in digits, CIFAR-10, folders of images, `.npz` files, functions of the user's own.

To add a source, write a function that returns a `Dataset`, and enter it in `load_data` (with a line in its docstring),
in `_KINDS` and `_SOURCES`, and in the table in docs/build.md; one that reads a folder of annotated images is entered in
`_ANNOTATED` alone, the docstring and the table. The checks that `load_data` makes hold for every source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array, Shape, is_masked
from legodnn.blocks.importing.annotations.clips import read_clips
from legodnn.blocks.importing.annotations.coco import read_coco
from legodnn.blocks.importing.annotations.coco_points import read_coco_points
from legodnn.blocks.importing.annotations.masks import read_masks
from legodnn.blocks.importing.annotations.normality import read_normality
from legodnn.blocks.importing.annotations.parts import AnnotatedPart, annotated_dataset
from legodnn.blocks.importing.annotations.points import read_points
from legodnn.blocks.importing.annotations.voc import read_voc
from legodnn.blocks.importing.cifar10 import CIFAR10_LABELS, download_cifar10, read_cifar10
from legodnn.blocks.importing.data import (
    SHARES,
    SPLITS,
    Dataset,
    Split,
    by_name,
    divided,
    input_arrays,
    is_picture,
    shuffled,
)
from legodnn.blocks.importing.npz_data import read_npz
from legodnn.errors import DataError, DependencyError
from legodnn.files import with_home
from legodnn.folders import ImageFolder, class_folders, split_folders
from legodnn.images import Frame
from legodnn.pixels import Pixels, Scaling
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
    "coco_points": read_coco_points,
}
_FOLDERS = ("images", *_ANNOTATED, "one_class", "clips")
_KINDS = ("digits", "cifar10", *_FOLDERS, "npz")
_SOURCES = f"digits, cifar10, cifar10:DIR, {', '.join(f'{kind}:DIR' for kind in _FOLDERS)}, npz:FILE or module:function"
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
    inputs: Mapping[str, Shape] | None = None,
) -> Dataset:
    """Load a data set.

    Args:
        source: one of
            - `digits`: scikit-learn's 1,797 handwritten digits;
            - `cifar10:DIR`: the original files in a folder; `cifar10`: the same, downloaded through Keras;
            - `images:DIR`: a folder with one subfolder of images for each class, or with images alone, which then have
              no labels; or a folder of two or three such folders, called train, val and test. A split without a folder
              is taken from train.
            - `masks:DIR`, `voc:DIR`, `coco:DIR`, `points:DIR`, `coco_points:DIR`, `one_class:DIR`, `clips:DIR`:
              folders of annotated images, see the modules of `annotations`.
            - `npz:FILE`: arrays x and perhaps y, or x_train, x_val, x_test and perhaps y_train, ... Images of type
              uint8 are pixels; others are taken as the model's input. For a model of several inputs the arrays of
              each have its name in place of x.
            - `module:function`: a function that is called without arguments and returns a `Dataset`. Its module is
              looked for in the current folder too.
        seed: the seed by which images are shuffled and divided; parts that are given are shuffled as well.
        image_size: height and width that digits and image folders are scaled to; one number stands for both.
        scaling: what is made of pixels; None: what the data set uses, which is the range (0, 1) for most.
        channels: of images from folders: 1 (gray), 3 (RGB) or 4 (RGBA).
        progress: shows how far a large folder of images has been read.
        fit, fill: how images from folders are brought to that size (see `legodnn.images.Frame`).
        frames: taken of each clip; of arrays, so many rows in a row stay together.
        inputs: the names and shapes of what the model takes, if that is not one image.

    Raises:
        DataError: the source is unknown, a file cannot be read, or there are too few images.
        DependencyError: scikit-learn (for digits) or Pillow (for images) is not installed.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    kind, _, place = source.partition(":")
    place = with_home(place)
    frame = Frame((*size, channels), fit, fill)
    readers: dict[str, Callable[[], Dataset]] = {
        "digits": lambda: _digits(seed, size, scaling),
        "cifar10": lambda: _cifar10(Path(place) if place else None, seed, scaling),
        "images": lambda: _images(Path(place), seed, frame, scaling or Scaling(), progress),
        **dict.fromkeys(
            (*_ANNOTATED, "one_class", "clips"),
            lambda: _annotated(kind, Path(place), seed, frame, scaling or Scaling(), progress, frames),
        ),
        "npz": lambda: read_npz(Path(place), seed, scaling or Scaling(), inputs, frames),
    }
    if (not place and kind not in ("digits", "cifar10")) or (place and kind == "digits"):
        raise DataError(f"unknown data {source!r}; use {_SOURCES}")
    if inputs and kind in readers and kind != "npz":
        raise DataError(
            f"{source} gives images, the model takes {listed_inputs(inputs)}: give npz:FILE with an array for each, "
            "or module:function"
        )
    data = readers[kind]() if kind in readers else _function(source, scaling)
    for key, name in SPLITS.items():
        _check_arrays(source, name, getattr(data, key))
    shapes = {name: x.shape[1:] for name, x in by_name(data.train.x, "").items()}
    for key, name in SPLITS.items():
        _check(source, name, getattr(data, key), shapes)
    for shape in shapes.values():
        if is_picture(shape) and (problem := data.scaling.problem(shape[-1])):
            raise DataError(f"{source}: input_{problem}")
    if is_own_data(source):
        train, val, test = (shuffled(part, seed, frames) for part in (data.train, data.val, data.test))
        data = replace(data, train=train, val=val, test=test)
    return data


def is_own_data(source: str) -> bool:
    """Whether a function of the user's own gives a data set, with images as the model takes them."""
    return source.partition(":")[0] not in _KINDS


def data_of(recipe: Recipe, inputs: Mapping[str, Shape] | None = None, progress: Progress = no_progress) -> Dataset:
    """Load the data set that a recipe asks for, with inputs as the recipe's model takes them.

    Args:
        recipe: its size and scaling hold. Without `input_range`, `input_mean` and `input_std` the data set's own
            scaling holds; where one of the three is given, the others are (0, 1), 0 and 1.
        inputs: the shapes of the model's inputs by name. That of one image decides on channels, and on height and width
            where the recipe gives none.
        progress: see `load_data`.
    """
    inputs = inputs or {}
    if recipe_scales(recipe) and inputs and not any(map(is_picture, inputs.values())):
        raise DataError(
            f"{recipe.model} takes {listed_inputs(inputs)}, which is no image: leave out input_range, input_mean and "
            "input_std"
        )
    scaling = None
    if recipe_scales(recipe):
        scaling = Scaling(recipe.input_range or (0.0, 1.0), recipe.input_mean or (), recipe.input_std or ())
    _check_sized(recipe)
    shapes = tuple(inputs.values())
    one_image = len(shapes) == 1 and is_picture(shapes[0])
    height, width, channels = shapes[0] if one_image else (None, None, None)
    return load_data(
        recipe.data,
        recipe.seed,
        image_size=recipe.image_size or (height and width and (height, width)) or 32,
        scaling=scaling,
        channels=channels or 3,
        progress=progress,
        fit=recipe.input_fit,
        fill=recipe.input_fill,
        frames=recipe.reading.frames if isinstance(recipe.reading, ClassScores) else 1,
        inputs=None if one_image else inputs,
    )


def _check_sized(recipe: Recipe) -> None:
    """Check that a recipe says how images are brought to a size only where they are."""
    kind = recipe.data.partition(":")[0]
    if kind in _FOLDERS:
        return
    for name in ("input_fit",) if kind == "digits" else ("image_size", "input_fit"):
        if getattr(recipe, name) != Recipe.model_fields[name].default:
            raise DataError(
                f"{name} is for folders of images, and {recipe.data} gives arrays as they are: leave it out"
            )


def recipe_scales(recipe: Recipe) -> bool:
    """Whether a recipe says how pixels become a model's input."""
    return bool(recipe.input_range or recipe.input_mean or recipe.input_std)


def listed_inputs(inputs: Mapping[str, Shape]) -> str:
    """Return the shapes of inputs for messages, with the names where there are several."""
    if len(inputs) == 1:
        return str(next(iter(inputs.values())))
    return ", ".join(f"{name} of shape {shape}" for name, shape in inputs.items())


def _check_arrays(source: str, name: str, split: Any) -> None:
    """Refuse a part of a data set that is no part, or whose inputs are no arrays, such as a pipeline of tf.data."""
    if not isinstance(split, Split):
        raise DataError(
            f"{source}: the {name} part is {type(split).__name__}, not a legodnn.blocks.importing.data.Split"
        )
    for x in input_arrays(split.x):
        if not isinstance(x, np.ndarray | Pixels) or is_masked(x):
            raise DataError(
                f"{source}: {name} inputs are {type(x).__name__}, not an array: make a NumPy array of them, of a "
                "pipeline's batches by np.concatenate([x for x, y in pipeline]); several inputs are a dict of arrays"
            )


def _check(source: str, name: str, split: Split, shapes: Mapping[str, Shape]) -> None:
    if len(split) < _LEAST_IMAGES:
        raise DataError(f"{source} leaves only {len(split)} {name} images; at least {_LEAST_IMAGES} are needed")
    arrays = by_name(split.x, next(iter(shapes)))
    if list(arrays) != list(shapes):
        raise DataError(f"{source}: the {name} inputs are {', '.join(arrays)}, not {', '.join(shapes)}")
    for key, x in arrays.items():
        what = f"{name} images" if len(shapes) == 1 else f"{name} values of {key!r}"
        if x.shape[1:] != shapes[key] or x.dtype != np.float32:
            raise DataError(f"{source}: {what} are {x.dtype} {x.shape[1:]}, not float32 {shapes[key]}")
        if not isinstance(x, Pixels) and not np.isfinite(x).all():
            raise DataError(f"{source}: some {what} hold NaN or infinity; leave those images out")
    for y in split.y if isinstance(split.y, tuple) else [] if split.y is None else [split.y]:
        if not isinstance(y, np.ndarray):
            raise DataError(f"{source}: {name} labels are {type(y).__name__}, not an array")
        if len(y) != len(split):
            raise DataError(f"{source}: {len(split)} {name} images, but {len(y)} labels")


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
    found = download_cifar10() if folder is None else read_cifar10(folder)
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
