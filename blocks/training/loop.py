"""The loop that every training runs in: the order of batches, early stopping, checkpoints, and events.

What is trained is a `Training`: an original (`original`), descendants block by block (`distill`), or descendants in
compositions (`joint`). It knows how to take a step and what its state is; the loop knows when. Steps are taken one by
one (`train_on_batch`) rather than by Keras' `fit`, so that training can be saved between any two of them and go on
from there as if it had not been interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.scalars import Log, silent
from legodnn.errors import ModelError
from legodnn.progress import Progress, no_progress


class Training(Protocol):
    """What the loop needs to know of a training."""

    @property
    def measure(self) -> str:
        """What `step` returns, in one word, such as 'loss'."""
        ...

    @property
    def done(self) -> bool:
        """Whether to stop before the last epoch."""
        ...

    def step(self, number: int, images: NDArray[np.int64]) -> float:
        """Train on one batch and return its loss.

        Args:
            number: steps that were taken before.
            images: which training images make up the batch.
        """
        ...

    def epoch_ended(self, steps: int, mean_loss: float) -> Mapping[str, float]:
        """Return the scalars to log by their tags.

        Args:
            steps: steps that were taken until now.
            mean_loss: mean of what `step` returned in this epoch.
        """
        ...

    def state(self) -> ArrayTree:
        """Return all that a later process needs to go on from here."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned; LookupError or ValueError if it is the state of something else."""
        ...


def loop(
    training: Training,
    batches: Batches,
    epochs: int,
    label: str,
    *,
    checkpoint: Checkpoint | None = None,
    log: Log = silent,
    progress: Progress = no_progress,
) -> None:
    """Train until the last epoch, or until the training says that it is done.

    Args:
        training: what is trained.
        batches: which images each step sees.
        epochs: passes over the training images, at most.
        label: what the progress display calls it.
        checkpoint: where the state is saved after a step if that is due, and from where training goes on.
        log: takes the training's scalars after every epoch.
        progress: is told of every step.

    Raises:
        ModelError: the saved state is of another training; and whatever the training raises.
    """
    checkpoint = checkpoint or Checkpoint()
    last, step, loss_sum = epochs * batches.per_epoch, 0, 0.0
    if (saved := checkpoint.read()) is not None:
        try:
            step, loss_sum = int(saved["step"]), float(saved["loss_sum"])
            training.restore(saved["training"])
        except (LookupError, TypeError, ValueError):
            raise ModelError(
                f"{checkpoint.path} holds the state of another training: remove it to start again, or go on with the "
                "models that it was made of"
            ) from None
    with progress(label, last, step) as task:
        while step < last and not training.done:
            loss = training.step(step, batches.indices(step))
            step, loss_sum = step + 1, loss_sum + loss
            task.step(f"{training.measure} {loss:.4f}")
            if step % batches.per_epoch == 0:
                for tag, value in training.epoch_ended(step, loss_sum / batches.per_epoch).items():
                    log(tag, value, step)
                loss_sum = 0.0
            if checkpoint.due:
                checkpoint.write({"step": step, "loss_sum": loss_sum, "training": training.state()})
