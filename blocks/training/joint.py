"""Training all descendants together, so that they are accurate in any composition and not only one by one.

Blocks that were trained alone do not know each other: composed, their errors add up. Here every descendant is trained
inside random compositions (`composer`), on inputs that other descendants have already disturbed, towards the
undisturbed original's features and outputs. The original itself is not changed. In a share of the steps all blocks run
options of one sparsity: uniform compositions.

What that is worth depends on the network and on how much was pruned, so afterwards descendants keep as much of it as is
right on validation images (`mixing`).

Batch norms keep their statistics, since that is how they are deployed. (Statistics of a batch would be those of the
paths in it, which no single composition has.)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.data import Dataset, by_name
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.composer import Composer
from legodnn.blocks.training.loop import loop
from legodnn.blocks.training.mixing import Mixer
from legodnn.blocks.training.optimizer import compile_for, relative_rates
from legodnn.blocks.training.scalars import Log, silent
from legodnn.blocks.training.variables import assign, values, weights_of
from legodnn.blocks.training.variation import varied_inputs
from legodnn.errors import DataError, ModelError
from legodnn.progress import Progress, no_progress
from legodnn.recipe import Variation

Paths = NDArray[np.int32]

_UNIFORM = 0.25  # share of steps in which all blocks draw the same chunks
_WATCHED = 1024  # validation images that decide how much of the training is kept
_FACTORS = 0.5, 2.0  # the least and the most that a descendant's learning rate is multiplied by


def draw_paths(blocks: int, slots: int, uniform: float, rng: np.random.Generator) -> Paths:
    """Draw which chunk each slot of each block takes, shape (blocks, slots): every row is a permutation of the chunks.

    Args:
        blocks: number of blocks.
        slots: number of chunks, and of slots in a block; `slot_options` says which option a slot runs.
        uniform: probability that all rows are the same.
        rng: source of randomness.
    """
    if rng.random() < uniform:
        return np.tile(rng.permutation(slots), (blocks, 1)).astype(np.int32)
    return np.stack([rng.permutation(slots) for _ in range(blocks)]).astype(np.int32)


def train_jointly(
    pieces: Sequence[Piece],
    students: Mapping[str, Sequence[keras.Model]],
    data: Dataset,
    epochs: int,
    batch_size: int = 64,
    seed: int = 0,
    learning_rate: float = 1e-3,
    heads: Sequence[Head] = (),
    augment: Sequence[Variation] = (),
    checkpoint: Checkpoint | None = None,
    log: Log = silent,
    progress: Progress = no_progress,
) -> list[float]:
    """Train all descendants in place, inside random compositions (no labels).

    Args:
        pieces: the segments of the original model, in order.
        students: descendants by block name, trained one by one or refitted before.
        data: supplies the images.
        epochs: passes over the training images.
        batch_size: paths of images in a step, rounded to so many for each option; an image takes two (`composer`).
        seed: determines the order of images, and the paths.
        learning_rate: Adam's at the start, of descendants that keep half of their block's weights (others have a
            factor, see `rate_factors`); it decays by a cosine to 1 %.
        heads: how each output of the model is read: class scores, and answers of yes or no, are compared as softened
            distributions, others by squared error. None given: all are numbers.
        augment: how images are varied, see `legodnn.blocks.training.variation`.
        checkpoint: where training is saved now and then, and from where it goes on.
        log: takes the mean loss of every epoch.
        progress: is told of every step.

    Returns:
        The share of the training that the first descendants of all blocks keep, the second ones, and so on: what makes
        random compositions most alike to the original on validation images.

    Raises:
        ConfigError: inputs are to be varied that are no images.
        DataError: there are fewer images than options.
        ModelError: training diverged, or the saved state is of another training.
    """
    composer = Composer(pieces, students, heads)
    x: dict[str, Array] = by_name(data.train.x, pieces[0].inputs[0])
    count = len(data.train)
    size = min(max(1, round(batch_size / composer.slots)), count // composer.options) * composer.options
    if not size:
        raise DataError(
            f"{count} training images are fewer than the {composer.options} options of a block; give more images, "
            "or name fewer sparsities"
        )
    batches = Batches(count, size, seed, fill=False)
    first = np.arange(composer.options)
    paths = np.tile(np.arange(composer.slots), (len(composer.students), 1)).astype(np.int32)
    composer(({name: array[first] for name, array in x.items()}, paths))  # builds it
    compile_for(composer, learning_rate, epochs * batches.per_epoch, factors=rate_factors(pieces, composer.students))
    levels = [[m for m in of if m is not None] for of in itertools.zip_longest(*composer.students.values())]
    mixer = Mixer(levels)
    training = _JointTraining(composer, x, batches, augment)
    loop(training, batches, epochs, "training compositions", checkpoint=checkpoint, log=log, progress=progress)
    seen = min(_WATCHED, len(data.val))
    watched = Batches(seen, min(size, seen // composer.options * composer.options), seed, fill=False)
    if not watched.size:
        return [1.0] * len(levels)
    val = by_name(data.val.x, pieces[0].inputs[0])
    return mixer.keep_best(lambda: _watched_loss(composer, val, watched))


def _watched_loss(composer: Composer, x: Mapping[str, Array], batches: Batches) -> float:
    """Return the mean loss of random paths on these images: the same paths and images at every call."""
    rng, losses = np.random.default_rng(batches.seed), []
    for number in range(batches.per_epoch):
        rows = batches.indices(number)
        paths = draw_paths(len(composer.students), composer.slots, _UNIFORM, rng)
        losses.append(float(composer.test_on_batch(({name: array[rows] for name, array in x.items()}, paths))))
    return float(np.mean(losses))


def rate_factors(pieces: Sequence[Piece], students: Mapping[str, Sequence[keras.Model]]) -> dict[int, float]:
    """Return by what the learning rate is multiplied for each trainable variable of descendants, by its `id()`.

    A descendant that has lost few weights has little to learn and much to lose, and one that has lost most of them the
    other way round: the factor is the number of weights that a descendant has lost over the number that it has kept,
    within limits; times that of its kernels' sizes (`relative_rates`).

    Args:
        pieces: the segments of the original.
        students: descendants by block name.
    """
    wholes = {piece.name: piece.model.count_params() for piece in pieces}
    factors: dict[int, float] = {}
    for name, models in students.items():
        for model in models:
            kept = max(1, model.count_params())
            factor = float(np.clip((wholes[name] - kept) / kept, *_FACTORS))
            factors.update((key, factor * relative) for key, relative in relative_rates(model).items())
    return factors


class _JointTraining:
    """A compiled composer and its inputs, as the loop trains it."""

    measure = "loss"
    done = False

    def __init__(
        self, composer: Composer, x: Mapping[str, Array], batches: Batches, augment: Sequence[Variation]
    ) -> None:
        self._composer, self._x, self._batches, self._augment = composer, x, batches, augment
        self._weights = weights_of(composer.students)
        self._paths: Iterator[Paths] | None = None

    def step(self, number: int, images: NDArray[np.int64]) -> float:
        epoch, i = divmod(number, self._batches.per_epoch)
        if self._paths is None or i == 0:
            self._paths = itertools.islice(self._paths_of(epoch), i, None)
        inputs = {name: array[images] for name, array in self._x.items()}
        inputs = varied_inputs(inputs, self._augment, (self._batches.seed, number, 1))
        loss = float(self._composer.train_on_batch((inputs, next(self._paths))))
        self._check_finite(np.array(loss))
        return loss

    def epoch_ended(self, steps: int, mean_loss: float) -> Mapping[str, float]:
        self._check_finite(*values(self._weights))
        return {"joint/loss": mean_loss}

    def state(self) -> ArrayTree:
        return {"variables": values(self._variables)}

    def restore(self, state: Mapping[str, Any]) -> None:
        assign(self._variables, state["variables"])

    @property
    def _variables(self) -> list[Any]:
        return [*self._weights, *self._composer.optimizer.variables]

    def _paths_of(self, epoch: int) -> Iterator[Paths]:
        """Return the paths of an epoch's steps, one after another without end."""
        rng = np.random.default_rng((self._batches.seed, epoch))
        rng.permutation(self._batches.images)  # these numbers make up the order of the images (`Batches`)
        while True:
            yield draw_paths(len(self._composer.students), self._composer.slots, _UNIFORM, rng)

    def _check_finite(self, *arrays: NDArray[Any]) -> None:
        if not all(np.isfinite(a).all() for a in arrays):
            raise ModelError("training of compositions diverged; build without it (joint_epochs = 0)")
