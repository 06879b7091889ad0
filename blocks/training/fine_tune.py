"""Fine-tuning of a whole pruned model: towards the outputs of the original, and on labels where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.importing.data import Dataset, Split, by_name
from legodnn.blocks.importing.graph import as_list, run_calls
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.distill import WATCHED_IMAGES
from legodnn.blocks.training.loop import loop
from legodnn.blocks.training.optimizer import compile_for
from legodnn.blocks.training.original import label_loss, label_targets
from legodnn.blocks.training.output_error import output_error
from legodnn.blocks.training.student import Student
from legodnn.blocks.training.variables import assign, values
from legodnn.blocks.training.variation import varied_inputs
from legodnn.progress import Progress, no_progress
from legodnn.recipe import Variation


class Tuner(keras.Model):  # type: ignore[misc]
    """A pruned model and its original as one trainable Keras model, whose outputs are those of the pruned one.

    Its loss is the error of every output against the original's, plus the loss on labels if it gets any.
    """

    def __init__(self, model: keras.Model, student: keras.Model, heads: Sequence[Head]) -> None:
        """Put a model together; the original is made untrainable."""
        super().__init__(name="tuner", dtype="float32")
        self._original, self._student, self._heads = model, student, tuple(heads)
        self._original.trainable = False

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the student's outputs for images of shape (n, ...), or for several inputs by name."""
        inputs = by_name(x, self._student.inputs[0].name)
        return run_calls(self._student, [inputs[t.name] for t in self._student.inputs], training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of a batch."""
        wanted = as_list(self._original(x, training=False))
        found = as_list(y_pred)
        errors = [output_error(h, f, w, 1) for h, f, w in zip(self._heads, found, wanted, strict=True)]
        distilled = sum(ops.mean(e) for e in errors) / len(errors)
        return distilled if y is None else distilled + label_loss(self._heads[0])(y, found[0])


def fine_tune(
    model: keras.Model,
    student: keras.Model,
    data: Dataset,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    *,
    heads: Sequence[Head],
    labelled: bool = True,
    patience: int = 3,
    seed: int = 0,
    augment: Sequence[Variation] = (),
    checkpoint: Checkpoint | None = None,
    progress: Progress = no_progress,
) -> None:
    """Train a pruned model in place, and give it the weights of the epoch that was best on validation images.

    The weights that it had at first count too.

    Args:
        model: the original.
        student: what was pruned from it.
        data: supplies images. Labels count where the model gives one vector for an image; the metric alone decides
            about others, as in every distillation.
        epochs: passes over the training images, at most; 0 for no training.
        batch_size: images in a step.
        learning_rate: Adam's at the start; it decays by a cosine to 1 %.
        heads: how each output is read.
        labelled: whether labels are of the form that the heads say. Otherwise they do not count.
        patience: training ends after this many epochs without noticeable progress.
        seed: determines everything random.
        augment: how training images are varied, see `legodnn.blocks.training.variation`. Classes and answers of yes or
            no stay as they are; labels that are numbers do not count then, since they may be places in an image.
        checkpoint: where training is saved now and then, and from where it goes on.
        progress: is told of every step.

    Raises:
        ConfigError: inputs are to be varied that are no images.
        ModelError: training diverged, or the saved state is of another training.
    """
    if not epochs:
        return
    keras.utils.set_random_seed(seed)  # of dropout
    batches = Batches(len(data.train), batch_size, seed)
    tuner = Tuner(model, student, heads)
    tuner(data.train.x[:1])  # builds it
    compile_for(tuner, learning_rate, epochs * batches.per_epoch)
    # Numbers may be places in an image, and these move as it is varied.
    labelled = labelled and not (augment and heads[0].kind == "numbers")
    labelled = labelled and all(_has_vector_labels(student, split) for split in (data.train, data.val))
    training = _FineTuning(tuner, Student(model.name, 0, student), data, batches, labelled, patience, augment)
    loop(training, batches, epochs, f"fine-tuning {model.name}", checkpoint=checkpoint, progress=progress)
    student.set_weights(training.student.best_weights)


class _FineTuning:
    """A compiled tuner, as the loop trains it."""

    measure = "loss"

    def __init__(
        self,
        tuner: Tuner,
        student: Student,
        data: Dataset,
        batches: Batches,
        labelled: bool,
        patience: int,
        augment: Sequence[Variation],
    ) -> None:
        self._tuner, self.student, self._data, self._patience = tuner, student, data, patience
        self._seed, self._augment, self._labelled = batches.seed, augment, labelled
        self._head = tuner._heads[0]
        self._watched = data.val.first(WATCHED_IMAGES)
        self._size = min(batches.size, len(self._watched))
        self.student.record_error(self._error(), patience)

    @property
    def done(self) -> bool:
        return self.student.done

    def step(self, number: int, images: NDArray[np.int64]) -> float:
        x, labels = self._batch(self._data.train, images)
        return float(self._tuner.train_on_batch(varied_inputs(x, self._augment, (self._seed, number, 1)), labels))

    def epoch_ended(self, steps: int, mean_loss: float) -> Mapping[str, float]:
        self.student.record_error(self._error(), self._patience)
        return {"fine_tuned/loss": mean_loss}

    def state(self) -> ArrayTree:
        return {"student": self.student.state(), "optimizer": values(self._tuner.optimizer.variables)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.student.restore(state["student"])
        assign(self._tuner.optimizer.variables, state["optimizer"])

    def _batch(self, split: Split, rows: NDArray[np.int64]) -> tuple[Any, Any]:
        labels = None
        if self._labelled:
            labels = label_targets(self._head, np.asarray(as_list(split.y)[0])[rows], self.student.model.output_shape)
        return split.x[rows], labels

    def _error(self) -> float:
        """Return the loss on the watched images; images that do not fill a batch are left out."""
        starts = range(0, len(self._watched) // self._size * self._size, self._size)
        rows = (np.arange(start, start + self._size) for start in starts)
        return float(np.mean([float(self._tuner.test_on_batch(*self._batch(self._watched, r))) for r in rows]))


def _has_vector_labels(model: keras.Model, split: Split) -> bool:
    """Whether there are labels for a model that gives one vector for an image."""
    return split.y is not None and len(model.outputs) == 1 and len(model.outputs[0].shape) == 2
