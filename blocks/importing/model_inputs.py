"""What a model takes, beside what a data set has: whether they fit, and what the model makes of pixels by itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import keras

from legodnn.arrays import Shape
from legodnn.blocks.importing.data import SPLITS, Dataset, SeveralInputs, by_name, input_arrays, is_picture
from legodnn.blocks.importing.data_sources import is_own_data, listed_inputs
from legodnn.blocks.importing.front import scales_pixels
from legodnn.blocks.importing.graph import holds_integers
from legodnn.errors import DataError, ModelError
from legodnn.pixels import Pixels, Scaling
from legodnn.recipe import Recipe

log = logging.getLogger("legodnn.blocks")

PIXELS = (0.0, 255.0)  # the range of pixels, which an input of integers takes as they are


def scales_images(recipe: Recipe, own: keras.Model, model: keras.Model) -> bool:
    """Whether a model, which is given as the user has it and opened, begins by scaling the pixels of its images.

    Raises:
        ModelError: it scales those of some images, or takes integers for some, and not of others.
    """
    images = [t for t in model.inputs if is_picture(t.shape[1:])]
    integers = {t.name for t in own.inputs if holds_integers(t.dtype)}
    scaled = [scales_pixels(model, t) for t in images]
    unscaled = {t.name: s or t.name in integers for s, t in zip(scaled, images, strict=True)}
    if len(set(unscaled.values())) > 1 and not is_own_data(recipe.data):
        told = ", ".join(f"{name} {'as they are' if raw else 'scaled'}" for name, raw in unscaled.items())
        raise ModelError(
            f"{recipe.model} takes pixels in different ways ({told}), and one scaling holds for all images: give them "
            "as the model takes them, by module:function"
        )
    return any(scaled)


def pixel_range(recipe: Recipe, own: keras.Model, scales: bool) -> tuple[float, float] | None:
    """Return what pixels 0 and 255 become in a model's images by what the model says; None if it says nothing.

    Args:
        recipe: names model and data.
        own: the model as the user has it.
        scales: whether it begins by scaling pixels.
    """
    if takes_pixels(own):
        return PIXELS
    if is_own_data(recipe.data):
        return None
    if scales:
        return PIXELS
    ranges = getattr(own, "pixel_ranges", {})
    found = {ranges.get(t.name) for t in own.inputs if is_picture(t.shape[1:])}
    said = found.pop() if len(found) == 1 else None
    if said is not None:
        log.info("%s says what its int8 images stand for: pixels 0 to 255 become %.4g to %.4g", recipe.model, *said)
    return said


def warn_of_default_range(recipe: Recipe, data: Dataset) -> None:
    """Warn that a model does not say what it takes as pixels, where they become 0 to 1 for no other reason."""
    arrays = recipe.data.startswith("npz:") and not any(isinstance(x, Pixels) for x in input_arrays(data.train.x))
    pictures = any(is_picture(x.shape[1:]) for x in input_arrays(data.train.x))
    if pictures and not arrays and not is_own_data(recipe.data) and data.scaling == Scaling():
        log.warning(
            "%s does not say which pixels it takes, and gets them as 0 to 1: if it was trained on others, give "
            "input_range, input_mean and input_std (--input-range ...)",
            recipe.model,
        )


def shapes_of(model: keras.Model) -> dict[str, Shape]:
    """Return the shapes of a model's inputs by name."""
    return {str(t.name): tuple(t.shape[1:]) for t in model.inputs}


def fitting(recipe: Recipe, data: Dataset, own: keras.Model, model: keras.Model) -> Dataset:
    """Return the data with its inputs in the order of a model's, which is given as the user has it and opened.

    Raises:
        DataError: the data's inputs are not what the model takes.
    """
    takes = shapes_of(model)
    has = {name: tuple(x.shape[1:]) for name, x in by_name(data.train.x, model.inputs[0].name).items()}
    if has != takes:
        fits = "; leave out image_size (--image-size): images then get the model's size" if recipe.image_size else ""
        raise DataError(f"{recipe.model} takes {_told(takes)}, {data.name} has {listed_inputs(has)}{fits}")
    if takes_pixels(own):
        _check_pixels(f"{recipe.model} takes {own.inputs[0].dtype} images", data)
    if isinstance(data.train.x, SeveralInputs) and list(has) != list(takes):
        splits = {key: getattr(data, key) for key in SPLITS}
        ordered = {key: SeveralInputs({name: split.x.arrays[name] for name in takes}) for key, split in splits.items()}
        return replace(data, **{key: replace(split, x=ordered[key]) for key, split in splits.items()})
    return data


def _told(shapes: Mapping[str, Shape]) -> str:
    images = len(shapes) == 1 and all(map(is_picture, shapes.values()))
    return f"images of shape {listed_inputs(shapes)}" if images else listed_inputs(shapes)


def takes_pixels(own: keras.Model) -> bool:
    """Whether the images that a model takes, as the user has it, hold integers."""
    return any(holds_integers(t.dtype) for t in own.inputs if is_picture(t.shape[1:]))


def _check_pixels(who: str, data: Dataset) -> None:
    """Raise DataError unless the data's images are unscaled pixels, which `who` takes."""
    scaling = data.scaling
    if scaling.range != PIXELS or scaling.mean or scaling.std:
        made = f"scaled to {scaling.range[0]:g}..{scaling.range[1]:g}"
        made += (", less a mean" if scaling.mean else "") + (", over a std" if scaling.std else "")
        raise DataError(
            f"{who}, pixels from 0 to 255, but those of {data.name} are {made}: leave out input_range, input_mean and "
            "input_std, or give the Dataset that your function makes scaling=Scaling((0, 255))"
        )
    for x in input_arrays(data.train.x):
        if isinstance(x, Pixels) or not is_picture(x.shape[1:]):
            continue
        low, high = float(x.min()), float(x.max())
        if low < 0 or high > 255 or high <= 1:
            raise DataError(f"{who}, pixels from 0 to 255, but those of {data.name} run from {low:g} to {high:g}")


def log_front(name: str, data: Dataset) -> None:
    """Say what a model that scales pixels by itself gets, and warn if that is something else."""
    if data.scaling == Scaling(PIXELS):
        log.info("%s scales its input by itself: it gets pixels as they are, 0 to 255, and so it does on devices", name)
    else:
        log.warning(
            "%s begins by scaling pixels from 0 to 255, and the images of %s are scaled already (%s): leave out "
            "input_range, input_mean and input_std",
            *(name, data.name, data.scaling),
        )
