"""Block-wise distillation: descendants learn to give the original block's output from the original block's input.

They need no labels, and blocks do not wait for one another (LegoDNN, section 4.2). All descendants of all blocks are
trained in one pass over the data: the original's features are computed once per batch and serve as input and target
to all of them. Adam scales every weight by its own gradients, so training together equals training apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from legodnn.blocks.build_state import Arrays, Checkpoint
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.graph import macs, run_calls
from legodnn.blocks.training.training import (
    Log,
    assign,
    batch_of,
    bfloat16,
    compile_for,
    silent,
    steps_per_epoch,
    values,
)
from legodnn.console import ProgressLine
from legodnn.errors import ModelError

# Validation images that decide when a descendant is done; more would tell little more.
_WATCHED_IMAGES = 1024
# An error that falls by less than this share does not count as progress.
_PROGRESS = 0.01


@dataclass(eq=False)
class Student:
    """One descendant in training.

    Attributes:
        block: the segment it belongs to.
        index: its place among the block's descendants.
        model: what is trained.
        best: the least relative error on the validation images so far, and the weights that gave it.
        stale: epochs since the error last fell noticeably.
        done: it is not trained any more.
    """

    block: str
    index: int
    model: keras.Model
    best: float = np.inf
    best_weights: list[NDArray[Any]] = field(default_factory=list)
    stale: int = 0
    done: bool = False

    def look(self, error: float, patience: int) -> None:
        """Take note of the error after an epoch."""
        if not np.isfinite(error):
            raise ModelError(
                f"distillation of {self.block}, descendant {self.index + 1}, diverged; lower the learning rate"
            )
        self.stale = 0 if error < (1 - _PROGRESS) * self.best else self.stale + 1
        if error < self.best:
            self.best, self.best_weights = error, self.model.get_weights()
        self.done = self.stale >= patience


class Distiller(keras.Model):  # type: ignore[misc]
    """Teacher and students as one trainable Keras model; its output is each student's relative error, shape (n,)."""

    def __init__(self, pieces: Sequence[Piece], students: Sequence[Student]) -> None:
        super().__init__(name="distiller", dtype="float32")
        names = [p.name for p in pieces]
        last = max((names.index(s.block) for s in students), default=-1)
        self._pieces = list(pieces)[: last + 1]
        self._input = pieces[0].inputs[0]
        self._students = {name: [s.model for s in students if s.block == name] for name in names}
        self._teachers = [piece.model for piece in self._pieces]  # here for Keras to find their variables
        for teacher in self._teachers:
            teacher.trainable = False

    def call(self, x: Any, training: bool = False) -> Any:
        """Errors of the students, block by block, for images of shape (n, ...)."""
        tensors, errors = {self._input: x}, []
        for piece in self._pieces:
            targets = piece.run(tensors)
            for student in self._students[piece.name]:
                read = [tensors[name] for name in piece.inputs]
                outputs = run_calls(student, read, training)
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
        """Sum of the students' errors."""
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
    progress: Callable[..., Any] = ProgressLine,
) -> dict[str, list[float]]:
    """Train descendants in place against their blocks' features on the training images (no labels).

    Args:
        pieces: the segments of the original model, in order.
        students: descendants by block name; blocks may be left out.
        data: supplies the images; the first validation images decide which epoch's weights are kept.
        epochs: passes over the training images, at most.
        batch_size: images a step.
        learning_rate: Adam's, decaying by a cosine to 1 %.
        patience: a descendant is done after this many epochs without noticeable progress.
        seed: of the order of the images.
        mixed_precision: compute in bfloat16.
        checkpoint: where training is saved now and then, and goes on from.
        log: takes the error of every descendant after every epoch.
        progress: makes the progress line from (label, steps, steps done before).

    Returns:
        For each block the relative error of each descendant on the validation images.

    Raises:
        ModelError: training diverged (the message names block and descendant).
    """
    everyone = [Student(p.name, i, model) for p in pieces for i, model in enumerate(students.get(p.name, ()))]
    models = [*(p.model for p in pieces), *(s.model for s in everyone)]
    with bfloat16(models, mixed_precision):
        run = _Run(pieces, everyone, data, epochs * steps_per_epoch(len(data.train), batch_size), batch_size, seed)
        run.train(learning_rate, patience, checkpoint or Checkpoint(), log, progress)
    for student in everyone:
        student.model.set_weights(student.best_weights)
    return {name: [s.best for s in everyone if s.block == name] for name in students}


class _Run:
    """One training: its students, how far it is, and the state that it is saved as."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        students: Sequence[Student],
        data: Dataset,
        steps: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self.pieces, self.students, self.data = pieces, students, data
        self.steps, self.batch_size, self.seed = steps, batch_size, seed
        self.per_epoch = steps_per_epoch(len(data.train), batch_size)
        self.slots: dict[Student, list[NDArray[Any]]] = {}
        self.step = 0

    def train(
        self,
        learning_rate: float,
        patience: int,
        checkpoint: Checkpoint,
        log: Log,
        progress: Callable[..., Any],
    ) -> None:
        if state := checkpoint.read():
            self._restore(state)
        with progress("distilling descendants", self.steps, self.step) as line:
            while self.step < self.steps and (live := [s for s in self.students if not s.done]):
                self._train(live, learning_rate, patience, checkpoint, log, line)

    def _train(
        self, live: list[Student], learning_rate: float, patience: int, checkpoint: Checkpoint, log: Log, line: Any
    ) -> None:
        """Train until the end, or until so many are done that it pays to go on without them."""
        distiller = Distiller(self.pieces, live)
        distiller(self.data.train.x[:1])  # builds it
        compile_for(distiller, learning_rate, self.steps)
        self._give_slots(distiller.optimizer, live)
        times = []
        while self.step < self.steps:
            start = time.monotonic()
            batch = batch_of(self.step, len(self.data.train), self.batch_size, self.seed)
            loss = float(distiller.train_on_batch(self.data.train.x[batch]))
            self.step += 1
            times.append(time.monotonic() - start)
            line.step(f"error {loss / len(live):.4f}")
            if self.step % self.per_epoch == 0 or self.step == self.steps:
                for student, error in zip(live, self._errors(distiller), strict=True):
                    if not student.done:
                        student.look(error, patience)
                        log(f"{student.block}/{student.index + 1}/error", error, self.step)
                if all(s.done for s in live) or self._pays(live, times):
                    self._take_slots(distiller.optimizer, live)
                    return
            if checkpoint.due:
                self._take_slots(distiller.optimizer, live)
                checkpoint.write(self._state())

    def _errors(self, distiller: Distiller) -> list[float]:
        x, count = self.data.val.x, min(len(self.data.val), _WATCHED_IMAGES)
        size = min(self.batch_size, count)
        starts = range(0, count // size * size, size)  # another shape would be compiled anew
        errors = [np.asarray(distiller.predict_on_batch(x[i : i + size]), np.float64) for i in starts]
        return [float(e) for e in np.mean(errors, axis=0)]

    def _pays(self, live: Sequence[Student], times: Sequence[float]) -> bool:
        """Whether leaving out those that are done saves more time than another first step, which compiles, costs."""
        work = {s: macs(s.model) for s in live}
        share = sum(work[s] for s in live if s.done) / max(1, sum(work.values()))
        return share * float(np.median(times)) * (self.steps - self.step) > times[0]

    def _give_slots(self, optimizer: Any, live: Sequence[Student]) -> None:
        """Adam's moments, of each weight two, where training goes on."""
        slots = [a for s in live for a in self.slots.get(s, [])]
        if slots:
            optimizer.iterations.assign(self.step)
            assign(_moments(optimizer), slots)

    def _take_slots(self, optimizer: Any, live: Sequence[Student]) -> None:
        remaining = iter(values(_moments(optimizer)))
        for s in live:
            self.slots[s] = [next(remaining) for _ in range(2 * len(s.model.trainable_variables))]

    def _state(self) -> Arrays:
        state: dict[str, NDArray[Any]] = {"step": np.array(self.step)}
        for s in self.students:
            key = f"{s.block}/{s.index}"
            state[f"{key}/status"] = np.array([s.best, s.stale, s.done], np.float64)
            parts = (("v", values(s.model.variables)), ("s", self.slots[s]), ("b", s.best_weights))
            state.update({f"{key}/{letter}{i}": a for letter, arrays in parts for i, a in enumerate(arrays)})
        return state

    def _restore(self, state: Arrays) -> None:
        self.step = int(state["step"])
        for s in self.students:
            key = f"{s.block}/{s.index}"
            best, stale, done = state[f"{key}/status"]
            s.best, s.stale, s.done = float(best), int(stale), bool(done)

            def read(letter: str, key: str = key) -> list[NDArray[Any]]:
                count = sum(name.startswith(f"{key}/{letter}") for name in state if name != f"{key}/status")
                return [state[f"{key}/{letter}{i}"] for i in range(count)]

            assign(s.model.variables, read("v"))
            self.slots[s], s.best_weights = read("s"), read("b")


def _moments(optimizer: Any) -> list[Any]:
    """Adam's variables but its step number; two for each weight, in the order of the weights."""
    return [v for v in optimizer.variables if v is not optimizer.iterations]
