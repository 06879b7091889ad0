"""Ordinary training of an original that has no weights yet, on labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.heads import Head, heads_of
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.loop import loop
from legodnn.blocks.training.norm_statistics import renew_statistics
from legodnn.blocks.training.optimizer import compile_for
from legodnn.blocks.training.scalars import Log, silent
from legodnn.blocks.training.variables import assign, values
from legodnn.errors import DataError, ModelError
from legodnn.progress import Progress, no_progress


def train_original(
    model: keras.Model,
    data: Dataset,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    log: Log = silent,
    progress: Progress = no_progress,
) -> None:
    """Train a model with one output vector on its labels, in place.

    The loss follows from output and labels (`legodnn.blocks.importing.heads`): cross-entropy of classes, binary
    cross-entropy, or the squared error.

    Args:
        model: returns one vector for an image: class scores, answers of yes or no, or numbers.
        data: supplies images and labels.
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: Adam's at the start; it decays by a cosine to 1 %.
        seed: determines the order of the images.
        checkpoint: where training is saved now and then, and from where it goes on.
        log: takes the mean loss of every epoch.
        progress: is told of every step.

    Raises:
        DataError: there are no labels, or they do not fit the outputs.
        ModelError: the model has several outputs or its output is no vector; or training diverged.
    """
    head = check_labels(model, data)
    batches = Batches(len(data.train), batch_size, seed)
    steps = epochs * batches.per_epoch
    compile_for(model, learning_rate, steps, label_loss(head))
    targets = label_targets(head, np.asarray(as_list(data.train.y)[0]), model.output_shape)
    training = _OriginalTraining(model, data.train.x, targets)
    loop(training, batches, epochs, f"training {model.name}", checkpoint=checkpoint, log=log, progress=progress)
    renew_statistics(model, data.train.x, batches, steps, progress)


def check_labels(model: keras.Model, data: Dataset) -> Head:
    """Return how the output of a model that is to be trained is read.

    Raises:
        DataError: images have no labels, or labels that do not fit the output.
        ModelError: the model has several outputs, or its output is no vector.
    """
    for name, split in (("training", data.train), ("validation", data.val), ("test", data.test)):
        if split.y is None:
            raise DataError(f"{data.name}, {name} images have no labels, which {model.name} needs to be trained")
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        raise ModelError(
            f"{model.name} does not give one vector for an image: train it elsewhere, and give it with train_epochs = 0"
        )
    return heads_of(model, data)[0]


class _OriginalTraining:
    """A compiled model, its images and their targets, as the loop trains it."""

    measure = "loss"
    done = False

    def __init__(self, model: keras.Model, x: Any, targets: NDArray[Any]) -> None:
        self._model, self._x, self._targets = model, x, targets
        self._variables = [*model.variables, *model.optimizer.variables]

    def step(self, number: int, images: NDArray[np.int64]) -> float:
        loss = float(self._model.train_on_batch(self._x[images], self._targets[images]))
        self._check_finite(np.array(loss))
        return loss

    def epoch_ended(self, steps: int, mean_loss: float) -> Mapping[str, float]:
        self._check_finite(*self._model.get_weights())  # a ReLU may hide from the loss that weights are none any more
        return {"original/loss": mean_loss}

    def state(self) -> ArrayTree:
        return {"variables": values(self._variables)}

    def restore(self, state: Mapping[str, Any]) -> None:
        assign(self._variables, state["variables"])

    def _check_finite(self, *arrays: NDArray[Any]) -> None:
        if not all(np.isfinite(a).all() for a in arrays):
            raise ModelError(
                f"training {self._model.name} diverged; look at the data and at the range of its inputs, or train it "
                "elsewhere and give it with train_epochs = 0"
            )


def label_loss(head: Head) -> keras.losses.Loss:
    """Return the loss of an output on its labels, which `label_targets` gives their form."""
    if head.kind == "numbers":
        return keras.losses.MeanSquaredError()
    logits = head.scale == "linear"
    if head.kind == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def label_targets(head: Head, y: NDArray[Any], shape: Sequence[int | None]) -> NDArray[Any]:
    """Return labels in the form that the loss takes: class numbers, shape (n,), or values of the output's shape."""
    if head.kind == "classes":
        return y.argmax(axis=-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).astype(np.int64)
    return y.reshape(-1, *shape[1:]).astype(np.float32)
