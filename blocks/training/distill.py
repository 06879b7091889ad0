"""Block-wise distillation: descendants learn to give the original block's output from the original block's input.

They need no labels, and blocks do not wait for one another (LegoDNN, section 4.2). All descendants of all blocks are
trained in one pass over the data: the original's features are computed once per batch and serve as input and target
to all of them. Adam scales every weight by its own gradients, so training together equals training apart.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.data import Dataset, by_name
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.fused_calls import run_fused, run_together
from legodnn.blocks.training.loop import loop
from legodnn.blocks.training.optimizer import bfloat16, compile_for
from legodnn.blocks.training.scalars import Log, silent
from legodnn.blocks.training.student import Student
from legodnn.blocks.training.variables import adam_moments, assign, values
from legodnn.progress import Progress, no_progress

# So many of the first validation images decide when a descendant is done; more images hardly change the error.
WATCHED_IMAGES = 1024


class Distiller(keras.Model):  # type: ignore[misc]
    """The original and the students as one trainable Keras model, whose output is the error of every student.

    Called with images, it returns relative errors, shape (students,): those of the first block that has students come
    first. Segments behind the last such block do not run.
    """

    def __init__(self, pieces: Sequence[Piece], students: Sequence[Student]) -> None:
        """Put a model together.

        Args:
            pieces: the segments of the original, in order. Their models are made untrainable.
            students: in the order of their blocks.
        """
        super().__init__(name="distiller", dtype="float32")
        names = [p.name for p in pieces]
        last = max((names.index(s.block) for s in students), default=-1)
        self._pieces = list(pieces)[: last + 1]
        self._input = pieces[0].inputs[0]
        self._students = {name: [s.model for s in students if s.block == name] for name in names}
        self._teachers = [piece.model for piece in self._pieces]  # Keras finds variables by attributes
        for teacher in self._teachers:
            teacher.trainable = False

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the students' errors for images of shape (n, ...), or for several inputs by name."""
        tensors, errors = by_name(x, self._input), []
        for piece in self._pieces:
            read = [tensors[name] for name in piece.inputs]
            targets = run_fused(piece.model, read)
            for outputs in run_together(self._students[piece.name], read, training):
                errors.append(relative_error(outputs, targets))
            tensors.update(zip(piece.outputs, targets, strict=True))
        return ops.stack(errors)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of the students' errors."""
        return ops.sum(y_pred)


def distill(
    pieces: Sequence[Piece],
    students: Mapping[str, Sequence[keras.Model]],
    data: Dataset,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    *,
    patience: int = 3,
    seed: int = 0,
    mixed_precision: bool = False,
    checkpoint: Checkpoint | None = None,
    log: Log = silent,
    progress: Progress = no_progress,
) -> dict[str, list[float]]:
    """Train descendants in place against their blocks' features on the training images (no labels).

    Args:
        pieces: the segments of the original model, in order.
        students: descendants by block name; blocks may be left out.
        data: supplies the images; the first validation images decide which epoch's weights are kept.
        epochs: passes over the training images, at most.
        batch_size: images in a step.
        learning_rate: Adam's at the start; it decays by a cosine to 1 %.
        patience: a descendant is done after this many epochs without noticeable progress.
        seed: determines the order of the images.
        mixed_precision: compute in bfloat16.
        checkpoint: where training is saved now and then, and from where it goes on.
        log: takes the error of every descendant after every epoch.
        progress: is told of every step.

    Returns:
        For each block the relative error of each descendant on the validation images.

    Raises:
        ModelError: training diverged (the message names block and descendant), or the saved state is of another
            training.
    """
    everyone = [Student(p.name, i, model) for p in pieces for i, model in enumerate(students.get(p.name, ()))]
    models = [*(p.model for p in pieces), *(s.model for s in everyone)]
    batches = Batches(len(data.train), batch_size, seed)
    training = _Distillation(pieces, everyone, data, batch_size, epochs * batches.per_epoch, learning_rate, patience)
    with bfloat16(models, mixed_precision):
        loop(training, batches, epochs, "distilling descendants", checkpoint=checkpoint, log=log, progress=progress)
    for student in everyone:
        student.model.set_weights(student.best_weights)
    return {name: [s.best for s in everyone if s.block == name] for name in students}


class _Distillation:
    """The training of several students, as the loop runs it.

    The step is compiled for the students that are not done (`_live`), and anew when so many are done that it pays.
    """

    measure = "error"

    def __init__(
        self,
        pieces: Sequence[Piece],
        students: Sequence[Student],
        data: Dataset,
        batch_size: int,
        steps: int,
        learning_rate: float,
        patience: int,
    ) -> None:
        self._pieces, self._students, self._data, self._batch_size = pieces, students, data, batch_size
        self._steps, self._learning_rate, self._patience = steps, learning_rate, patience
        self._distiller: Distiller | None = None
        self._live: list[Student] = []
        self._seconds: list[float] = []  # of every step since the last compilation

    @property
    def done(self) -> bool:
        return all(s.done for s in self._students)

    def step(self, number: int, images: NDArray[np.int64]) -> float:
        distiller = self._compile(number) if self._distiller is None else self._distiller
        start = time.monotonic()
        loss = float(distiller.train_on_batch(self._data.train.x[images]))
        self._seconds.append(time.monotonic() - start)
        return loss / len(self._live)

    def epoch_ended(self, steps: int, mean_loss: float) -> Mapping[str, float]:
        scalars = {}
        for student, error in zip(self._live, self._errors(), strict=True):
            if not student.done:
                student.record_error(error, self._patience)
                scalars[f"{student.block}/{student.index + 1}/error"] = error
        if self._compiling_pays(self._steps - steps):
            self._store_moments()
            self._distiller = None
        return scalars

    def state(self) -> ArrayTree:
        self._store_moments()
        blocks: dict[str, list[ArrayTree]] = {}
        for student in self._students:
            blocks.setdefault(student.block, []).append(student.state())
        return {"blocks": blocks}

    def restore(self, state: Mapping[str, Any]) -> None:
        for student in self._students:  # its index is its place in the list
            student.restore(state["blocks"][student.block][student.index])

    def _compile(self, step: int) -> Distiller:
        """Compile the training step for the students that are not done, with the moments that they have by now."""
        self._live, self._seconds = [s for s in self._students if not s.done], []
        self._distiller = distiller = Distiller(self._pieces, self._live)
        distiller(self._data.train.x[:1])  # builds it
        compile_for(distiller, self._learning_rate, self._steps)
        if moments := [a for s in self._live for a in s.moments]:
            distiller.optimizer.iterations.assign(step)
            assign(adam_moments(distiller.optimizer), moments)
        return distiller

    def _store_moments(self) -> None:
        """Copy the optimizer's moments to the students that they belong to."""
        if self._distiller is not None:
            remaining = iter(values(adam_moments(self._distiller.optimizer)))
            for s in self._live:
                s.moments = [next(remaining) for _ in range(2 * len(s.model.trainable_variables))]

    def _errors(self) -> list[float]:
        """Return the relative error of every live student on the validation images."""
        assert self._distiller is not None
        x, count = self._data.val.x, min(len(self._data.val), WATCHED_IMAGES)
        size = min(self._batch_size, count)
        starts = range(0, count // size * size, size)  # a smaller last batch would be compiled anew
        errors = [np.asarray(self._distiller.predict_on_batch(x[i : i + size]), np.float64) for i in starts]
        return [float(e) for e in np.mean(errors, axis=0)]

    def _compiling_pays(self, steps_left: int) -> bool:
        """Whether leaving out the students that are done saves more time than another first step, which compiles."""
        work = {s: macs(s.model) for s in self._live}
        share = sum(work[s] for s in self._live if s.done) / max(1, sum(work.values()))
        return share * float(np.median(self._seconds)) * steps_left > self._seconds[0]
