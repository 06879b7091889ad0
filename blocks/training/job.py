"""A training job: prune and distil the descendants of a few blocks.

It is done in this process, or by workers, which get the original and the images as arrays: `training_work` packs them,
and `distilling` is the function that a worker calls.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.opening import in_float32
from legodnn.blocks.importing.sent_source import images_of, model_of_tree, sent_images, sent_model
from legodnn.blocks.jobs.job import Attempt, DoesJob, Work
from legodnn.blocks.jobs.packed import packed_bytes
from legodnn.blocks.kept_channels import distinct, kept_channels
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.reconstruct import features
from legodnn.blocks.pruning.regimes import Descendant
from legodnn.blocks.pruning.strategies import descendants, strategy_of
from legodnn.blocks.training.distill import WATCHED_IMAGES, distill
from legodnn.blocks.training.scalars import Log, silent
from legodnn.blocks.training.trained_weights import descendants_tree
from legodnn.blocks.training.tuning import tune_on
from legodnn.errors import WorkerError
from legodnn.progress import Progress, ProgressTask, no_progress
from legodnn.recipe import Recipe
from legodnn.schema import to_json

# Images that channels are chosen and weights are refitted on: as many as this, or as have features of one tensor that
# take this much memory.
_FITTED_IMAGES, _FITTED_BYTES = 500, 400_000_000
_TENSORFLOW_BYTES = 1_000_000_000  # memory that TensorFlow takes before it is given anything


def train_blocks(
    recipe: Recipe,
    blocks: Sequence[str],
    pieces: Sequence[Piece],
    data: Dataset,
    checkpoint: Checkpoint | None = None,
    log: Log = silent,
    progress: Progress = no_progress,
) -> dict[str, ArrayTree]:
    """Prune and distil the descendants of some blocks, and return them as `trained_weights` keeps them.

    Args:
        recipe: what is built.
        blocks: names of the blocks.
        pieces: the segments of the trained original, in order.
        data: supplies the images.
        checkpoint: where training is saved now and then, and from where it goes on.
        log: takes the error of every descendant after every epoch.
        progress: is told of every step.
    """
    pruned: dict[str, list[Descendant]] = {}
    kept = {}
    targets = [Target("sparsity", sparsity) for sparsity in recipe.sparsities]
    strategy, fitted = strategy_of(recipe.strategy, recipe.seed), bool(recipe.joint_epochs)
    for piece, x in features(pieces, data.train.x[: _fitted_images(pieces, len(data.train))]):
        if piece.name in blocks:
            keras.utils.set_random_seed(recipe.seed)  # of dropout: the same however blocks are divided into jobs
            tune = tune_on(piece.model, x, seed=recipe.seed)
            found = descendants(
                piece.model, targets, strategy, x, fitted, tune, round_to=recipe.round_to, seed=recipe.seed
            )
            pruned[piece.name] = distinct(found)
            kept[piece.name] = kept_channels(piece, [removed for removed, _ in found])
    students = {name: [student for _, student in found] for name, found in pruned.items() if found}
    errors = distill(
        pieces,
        students,
        data,
        recipe.distill_epochs,
        recipe.batch_size,
        recipe.learning_rate,
        patience=recipe.patience,
        seed=recipe.seed,
        mixed_precision=recipe.mixed_precision,
        checkpoint=checkpoint,
        log=log,
        progress=progress,
    )
    return {name: descendants_tree(found, errors.get(name, []), kept[name]) for name, found in pruned.items()}


def _fitted_images(pieces: Sequence[Piece], images: int) -> int:
    """Return how many images channels are chosen and weights are refitted on."""
    largest: int = max(math.prod(t.shape[1:]) for p in pieces for t in (*p.model.inputs, *p.model.outputs))
    return min(images, _FITTED_IMAGES, max(16, _FITTED_BYTES // (4 * largest)))


def training_work(recipe: Recipe, model: keras.Model, pieces: Sequence[Piece], data: Dataset, features: float) -> Work:
    """Return what the training jobs of a build have in common, for workers.

    Args:
        recipe: what is built.
        model: the trained original.
        pieces: its segments.
        data: supplies the images.
        features: bytes that features take in a job at most.
    """
    shared = {
        "recipe": to_json(recipe),
        "model": sent_model(recipe, model),
        "segments": _fingerprint(pieces),
        "train": sent_images(data.train.x),
        "val": sent_images(data.val.first(WATCHED_IMAGES).x),
    }
    memory = _TENSORFLOW_BYTES + packed_bytes(shared) + int(features)
    return Work("legodnn.blocks.training.job:distilling", shared, memory)


def distilling(shared: Mapping[str, Any]) -> DoesJob:
    """Return the function that does a training job: its argument is the blocks' names, its result their descendants."""
    recipe = Recipe.model_validate_json(str(shared["recipe"]))
    with in_float32():
        model = model_of_tree(shared["model"])
        pieces = extract(model, recipe.max_blocks, recipe.min_share)
    if _fingerprint(pieces) != str(shared["segments"]):
        raise WorkerError(f"{recipe.model} is another model here than where the build runs; install the same packages")
    train, val = (Split(images_of(shared[part]), None) for part in ("train", "val"))
    data = Dataset(recipe.name, (), train, val, val)

    def train_them(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        blocks = json.loads(str(arguments["blocks"]))
        with in_float32():
            return train_blocks(recipe, blocks, pieces, data, attempt.checkpoint, attempt.log, _steps_to(attempt))

    return train_them


def _fingerprint(pieces: Sequence[Piece]) -> str:
    """Return what tells segments from others: names, and shape and checksum of every weight, in their order."""

    def told(weight: Any) -> list[Any]:
        return [list(weight.shape), zlib.crc32(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())]

    return json.dumps([[p.name, p.kind, [told(w) for w in p.model.weights]] for p in pieces])


def _steps_to(attempt: Attempt) -> Progress:
    """Return progress that tells an attempt how many steps are done."""

    class Steps:
        def __init__(self, done: int) -> None:
            self.done = done

        def step(self, note: str = "") -> None:
            self.at(self.done + 1)

        def at(self, done: float, note: str = "") -> None:
            self.done = int(done)
            attempt.at(self.done)

    @contextmanager
    def progress(label: str, total: int, done: int = 0) -> Iterator[ProgressTask]:
        steps = Steps(done)
        steps.at(done)
        yield steps

    return progress
