"""One descendant in training: how good it is so far, and when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.training.variables import assign, values
from legodnn.errors import ModelError

# A relative error that falls by less than this share does not count as progress.
_PROGRESS = 0.01


@dataclass(eq=False)
class Student:
    """A descendant in training.

    Attributes:
        block: the name of its block.
        index: its place among the block's descendants.
        model: what is trained.
        best: the least relative error on the validation images so far.
        best_weights: the weights that had that error.
        stale: epochs since the error last fell noticeably.
        done: whether its training has ended.
        moments: Adam's moments of its weights, where training goes on with a newly compiled step.
    """

    block: str
    index: int
    model: keras.Model
    best: float = np.inf
    best_weights: list[NDArray[Any]] = field(default_factory=list)
    stale: int = 0
    done: bool = False
    moments: list[NDArray[Any]] = field(default_factory=list)

    def record_error(self, error: float, patience: int) -> None:
        """Take note of the relative error after an epoch; without progress for `patience` epochs the student is done.

        Raises:
            ModelError: the error or a weight is not finite.
        """
        # A ReLU may take NaN for 0, and so hide from the error that weights are none any more.
        if not np.isfinite(error) or not all(np.isfinite(w).all() for w in self.model.get_weights()):
            raise ModelError(
                f"distillation of {self.block}, descendant {self.index + 1}, diverged; lower the learning rate"
            )
        self.stale = 0 if error < (1 - _PROGRESS) * self.best else self.stale + 1
        if error < self.best:
            self.best, self.best_weights = error, self.model.get_weights()
        self.done = self.stale >= patience

    def state(self) -> ArrayTree:
        """Return all that its training needs to go on."""
        return {
            "status": {"best": self.best, "stale": self.stale, "done": self.done},
            "variables": values(self.model.variables),
            "moments": self.moments,
            "best_weights": self.best_weights,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        status = state["status"]
        self.best, self.stale, self.done = float(status["best"]), int(status["stale"]), bool(status["done"])
        assign(self.model.variables, state["variables"])
        self.moments, self.best_weights = state["moments"], state["best_weights"]
