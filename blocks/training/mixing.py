"""How much of the training in compositions descendants keep: as much as proves right on validation images.

Training in compositions fits what comes out of whole paths, on training images. Where blocks disturb each other, much
is gained. In nets of few wide blocks the heavily pruned descendants alone gain, and lightly pruned ones lose what they
had learned alone. So descendants of one sparsity may go back, partly or wholly, to the weights that they had before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.training.variables import values

_SHARES = 1.0, 0.5, 0.25, 0.0  # of the way from the weights before a training to those after it


class Mixer:
    """The weights of descendants before a training, to be mixed with those after it."""

    def __init__(self, levels: Sequence[Sequence[keras.Model]]) -> None:
        """Remember the weights as they are.

        Args:
            levels: the descendants, those together that are pruned alike; the last ones are pruned most.
        """
        self._levels = [list(students) for students in levels]
        self._before = self._weights()

    def keep_best(self, loss: Callable[[], float]) -> list[float]:
        """Give each level the share of the training with which the loss is least, all of it where nothing is better.

        It starts at all or nothing, whichever is better, and then tries the other shares for one level after another,
        from the last one.

        Args:
            loss: how wrong the descendants are with the weights that they have.

        Returns:
            The share of the training that each level keeps.
        """
        after, count = self._weights(), len(self._levels)

        def loss_with(shares: Sequence[float]) -> float:
            self._mix(after, shares)
            found = loss()
            return found if np.isfinite(found) else np.inf

        losses = {share: loss_with([share] * count) for share in (_SHARES[0], _SHARES[-1])}
        start = min(losses, key=lambda share: losses[share])
        best, least = [start] * count, losses[start]
        for level in reversed(range(count)):
            for share in _SHARES:
                tried = [*best[:level], share, *best[level + 1 :]]
                if share != start and (found := loss_with(tried)) < least:
                    best, least = tried, found
        self._mix(after, best)
        return best

    def _weights(self) -> list[list[list[NDArray[Any]]]]:
        return [[values(student.weights) for student in students] for students in self._levels]

    def _mix(self, after: Sequence[Sequence[Sequence[NDArray[Any]]]], shares: Sequence[float]) -> None:
        for students, share, *weights in zip(self._levels, shares, self._before, after, strict=True):
            for student, old, new in zip(students, *weights, strict=True):
                student.set_weights([_between(a, b, share) for a, b in zip(old, new, strict=True)])


def _between(before: NDArray[Any], after: NDArray[Any], share: float) -> NDArray[Any]:
    """Return what lies this share of the way between two weights; what counts something, such as seeds, goes on."""
    return (1 - share) * before + share * after if before.dtype.kind == "f" else after
