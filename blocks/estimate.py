"""A rough estimate of how long a build will take, so that a recipe can be changed before hours are spent on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.wanted_options import wanted_options
from legodnn.blocks.importing.data import ModelInputs
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.training.composer import PATHS_OF_AN_IMAGE
from legodnn.recipe import Recipe

if TYPE_CHECKING:
    import keras

_TRAINED = 3.0  # cost of a training step in forward passes: a backward pass costs two
# Seconds to convert an option twice (for one image and for many), and to compile a training step.
_CONVERSION_S, _COMPILATION_S = 1.5, 10.0


def seconds_per_image(model: keras.Model, x: ModelInputs, batch: int) -> float:
    """Return how many seconds the model takes for one of the inputs `x`, in batches of this size."""
    part = x[np.arange(batch) % len(x)]
    model.predict_on_batch(part)  # compiles
    times = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict_on_batch(part)
        times.append(time.perf_counter() - start)
    return min(times) / batch


def build_seconds(recipe: Recipe, pieces: Sequence[Piece], images: int, measured_images: int, image_s: float) -> float:
    """Return about how many seconds distilling, training in compositions, exporting and measuring take at most.

    Work is counted in multiply-accumulates, each of which is assumed to take as long as in the original.

    Args:
        recipe: what is built.
        pieces: the segments of the original.
        images: number of training images.
        measured_images: number of validation images that compositions are measured on.
        image_s: seconds that the original takes for an image.
    """
    blocks = sum(macs(p.model) for p in pieces if p.kind == "block")
    whole = sum(macs(p.model) for p in pieces)
    kept = [1 - s for s in recipe.sparsities]
    alone = whole + _TRAINED * blocks * sum(kept)
    path = _TRAINED * (whole - blocks + blocks * (1 + sum(kept)) / (1 + len(kept)))
    together = whole + PATHS_OF_AN_IMAGE * path
    training = images * (recipe.distill_epochs * alone + recipe.joint_epochs * together) / max(1, whole)
    options = [len(wanted) for wanted in wanted_options(recipe, pieces).values()]
    compositions = recipe.samples + sum(options)
    measuring = compositions * measured_images / 2  # half of it: segments that compositions share run once
    compiling = _COMPILATION_S * (1 + bool(recipe.joint_epochs))
    return image_s * (training + measuring) + _CONVERSION_S * sum(options) + compiling
