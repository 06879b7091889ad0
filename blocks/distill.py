"""Training: originals by labels, descendants by block-wise distillation.

A descendant learns to give the original block's output from the original block's input, so it needs no labels, and
blocks do not wait for one another (LegoDNN, section 4.2). All descendants of all blocks are trained in one pass over
the data: the original's features are computed once per batch and serve as input and target to all of them. Adam
scales every weight by its own gradients, so training together equals training apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.blocks.data import Dataset, Split
from legodnn.blocks.extract import Piece
from legodnn.blocks.graph import calls, functional
from legodnn.console import Progress
from legodnn.errors import DataError, ModelError


class Bar(keras.callbacks.Callback):  # type: ignore[misc]
    """Keras' training progress as one of our progress lines."""

    def __init__(self, label: str, epochs: int, steps: int) -> None:
        super().__init__()
        self._progress = Progress(label, epochs * steps)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """One step is done."""
        self._progress.step(f"loss {(logs or {}).get('loss', 0):.4f}")

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Close the line."""
        self._progress.__exit__(None)


def _compile(model: keras.Model, learning_rate: float, steps: int, loss: Any = None) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01)
    optimizer = keras.optimizers.Adam(schedule)
    # Without its slots built beforehand, the optimizer makes TensorFlow trace the whole training step twice.
    optimizer.build(model.trainable_variables)
    # XLA on CPU takes longer to compile these graphs than it saves.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")


def train_original(
    model: keras.Model, data: Dataset, epochs: int, batch_size: int = 64, learning_rate: float = 2e-3
) -> None:
    """Train a classifier by cross-entropy; DataError if labels do not fit its outputs.

    Its outputs are taken as logits, unless its last layer is a softmax.
    """
    _check_labels(model, data.train)
    steps = -(-len(data.train) // batch_size)
    _compile(
        model,
        learning_rate,
        epochs * steps,
        keras.losses.SparseCategoricalCrossentropy(from_logits=not gives_probabilities(model)),
    )
    bar = Bar(f"training {model.name}", epochs, steps)
    model.fit(data.train.x, data.train.y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[bar])


def gives_probabilities(model: keras.Model) -> bool:
    """Whether a model ends in a softmax."""
    last = calls(functional(model))[-1]
    activation = getattr(last.operation, "activation", None)
    return last.kind == "Softmax" or activation is keras.activations.softmax


def _check_labels(model: keras.Model, split: Split) -> None:
    classes = model.output_shape[-1]
    if split.y.min() < 0 or split.y.max() >= classes:
        raise DataError(f"labels run from {split.y.min()} to {split.y.max()}, but {model.name} has {classes} outputs")


class Distiller(keras.Model):  # type: ignore[misc]
    """Teacher and students as one trainable Keras model; the output of each student is compared with its teacher.

    Attributes:
        students: for each block's name, its descendants.
    """

    def __init__(self, pieces: Sequence[Piece], students: Mapping[str, Sequence[keras.Model]]) -> None:
        super().__init__(name="distiller")
        self._pieces = list(pieces)
        self._input = pieces[0].inputs[0]
        self.students = {name: list(models) for name, models in students.items()}
        self._teachers = [piece.model for piece in pieces]  # here for Keras to find their variables
        for teacher in self._teachers:
            teacher.trainable = False

    def call(self, x: Any, training: bool = False) -> dict[str, list[Any]]:
        """For each block the outputs (a list of tensors) of the original, then those of each student."""
        tensors, results = {self._input: x}, {}
        for piece in self._pieces:
            outputs = piece.run(tensors)
            if piece.name in self.students:
                students = self.students[piece.name]
                results[piece.name] = [outputs, *(piece.run(tensors, s, training) for s in students)]
            tensors.update(zip(piece.outputs, outputs, strict=True))
        return results

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Sum over students of the squared error divided by the variance of the original's features."""
        return ops.sum(ops.stack(relative_errors(y_pred)))


def relative_errors(results: Mapping[str, Sequence[Sequence[Any]]]) -> list[Any]:
    """Mean squared error of each student over the variance of its target: 0 is perfect, 1 is a constant's error.

    Where a block has several outputs, their mean.
    """
    errors: list[Any] = []
    for targets, *students in results.values():
        scales = [ops.maximum(ops.var(target), 1e-6) for target in targets]
        for outputs in students:
            parts = [ops.mean(ops.square(o - t)) / s for o, t, s in zip(outputs, targets, scales, strict=True)]
            errors.append(sum(parts) / len(parts))
    return errors


def distill(
    pieces: Sequence[Piece],
    students: Mapping[str, Sequence[keras.Model]],
    data: Dataset,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
) -> dict[str, list[float]]:
    """Train all descendants in place against their blocks' features on the training images (no labels).

    Args:
        pieces: the segments of the original model, in order.
        students: descendants by block name.
        data: supplies the images.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: Adam's, decaying by a cosine to 1 %.

    Returns:
        For each block the relative error of each descendant on the validation images.

    Raises:
        ModelError: training diverged (the message names block and descendant).
    """
    distiller = Distiller(pieces, students)
    steps = -(-len(data.train) // batch_size)
    distiller(data.train.x[:1])  # builds it
    _compile(distiller, learning_rate, epochs * steps)
    bar = Bar("distilling descendants", epochs, steps)
    distiller.fit(data.train.x, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[bar])
    errors: NDArray[np.float64] = np.zeros(sum(len(s) for s in students.values()))
    for start in range(0, len(data.val), batch_size):
        batch = data.val.x[start : start + batch_size]
        found = relative_errors(distiller(batch, training=False))
        errors += [len(batch) / len(data.val) * float(ops.convert_to_numpy(e)) for e in found]
    names = [(name, i) for name, models in students.items() for i in range(len(models))]
    for (name, i), error in zip(names, errors, strict=True):
        if not np.isfinite(error):
            raise ModelError(f"distillation of {name}, descendant {i + 1}, diverged; lower the learning rate")
    remaining = iter(errors.tolist())
    return {name: [next(remaining) for _ in models] for name, models in students.items()}
