"""How long a build will take, roughly: told before it begins, so that a recipe can be changed in time."""

from __future__ import annotations

import time
from collections.abc import Sequence

import keras
import numpy as np

from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.options import asked
from legodnn.blocks.importing.graph import macs
from legodnn.pixels import PixelArrays
from legodnn.recipe import Recipe

# Forward, and backward at twice its cost.
_TRAINED = 3.0
# To convert an option twice, for one image and for many; to compile a training step.
_CONVERSION_S, _COMPILATION_S = 1.5, 10.0


def seconds_per_image(model: keras.Model, x: PixelArrays, batch: int) -> float:
    """What the model takes for an image, in batches as training has them."""
    part = x[np.arange(batch) % len(x)]
    model.predict_on_batch(part)  # compiles
    times = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict_on_batch(part)
        times.append(time.perf_counter() - start)
    return min(times) / batch


def build_seconds(recipe: Recipe, pieces: Sequence[Piece], images: int, measured_images: int, image_s: float) -> float:
    """What distilling, training in compositions, exporting and measuring take at most.

    Counted in multiply-accumulates, each as long as in the original: a training step three times the forward one.

    Args:
        recipe: what is built.
        pieces: the segments of the original.
        images: training images.
        measured_images: validation images that compositions are measured on.
        image_s: what the original takes for an image.
    """
    blocks = sum(macs(p.model) for p in pieces if p.kind == "block")
    whole = sum(macs(p.model) for p in pieces)
    kept = [1 - s for s in recipe.sparsities]
    alone = whole + _TRAINED * blocks * sum(kept)
    together = whole + _TRAINED * (whole - blocks + blocks * (1 + sum(kept)) / (1 + len(kept)))
    training = images * (recipe.distill_epochs * alone + recipe.joint_epochs * together) / max(1, whole)
    options = [len(asked(recipe, p)) for p in pieces]
    compositions = recipe.samples + sum(options)
    measuring = compositions * measured_images / 2  # what compositions share runs once
    compiling = _COMPILATION_S * (1 + bool(recipe.joint_epochs))
    return image_s * (training + measuring) + _CONVERSION_S * sum(options) + compiling
