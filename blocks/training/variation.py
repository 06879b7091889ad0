"""Images varied at random in training, so that few of them say more.

The original computes the targets from the very images that descendants get, so no label has to be changed with an
image. What varied images must have is sense: of a digit or a word there is no mirror image, of a cat there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.errors import ConfigError
from legodnn.recipe import Variation

_MOST_SHIFT = 8  # images are shifted by up to one part in so many of their sides


def varied(images: NDArray[Any], how: Sequence[Variation], rng: np.random.Generator) -> NDArray[Any]:
    """Return images of which each is varied by itself.

    Args:
        images: shape (n, height, width, channels).
        how: `flips` exchanges left and right in half of the images; `shifts` moves each by up to an eighth of its
            height and width, and fills the margin with its mirror image.
        rng: source of randomness.

    Raises:
        ConfigError: these are no images.
    """
    if not how:
        return images
    if images.ndim != 4:
        raise ConfigError(f"augment varies images, but inputs here have shape {images.shape[1:]}: leave it out")
    if "flips" in how:
        images = np.where(rng.random((len(images), 1, 1, 1)) < 0.5, images[:, :, ::-1], images)
    return _shifted(images, rng) if "shifts" in how else images


def varied_inputs(inputs: Any, how: Sequence[Variation], seed: Sequence[int]) -> Any:
    """Return what a model takes, each image varied by itself, but alike in all inputs of one shape.

    Args:
        inputs: an array as `varied` takes it, or several by name.
        how: as `varied` takes it.
        seed: of a step of training; the same one gives the same images.

    Raises:
        ConfigError: an input holds no images.
    """
    return keras.tree.map_structure(lambda x: varied(x, how, np.random.default_rng(seed)), inputs)


def _shifted(images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    height, width = images.shape[1:3]
    rows, columns = (_moved(len(images), side, rng) for side in (height, width))
    return images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def _moved(count: int, side: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return for every place of an image along a side which place it shows, shape (count, side)."""
    most = side // _MOST_SHIFT
    places = np.arange(side) + rng.integers(-most, most, (count, 1), endpoint=True)
    mirrored: NDArray[np.int64] = (side - 1) - np.abs((side - 1) - np.abs(places))  # at both ends
    return mirrored
