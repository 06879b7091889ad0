"""How much of the training in compositions descendants keep: as much as proves right on validation images.

Training in compositions fits what comes out of whole paths, on training images. Where blocks disturb each other, much
is gained. In nets of few wide blocks there is little to gain, and lightly pruned descendants lose what they had learned
alone. So mixtures of the weights before and after are compared, and the best one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.training.variables import values

# What is tried: the share of the way from the weights before to those after, by the share of weights that a descendant
# has lost. One that has lost more has less to lose by going on.
MIXTURES: dict[str, Callable[[float], float]] = {
    "all": lambda lost: 1.0,
    "as much as was pruned": lambda lost: lost,
    "nothing": lambda lost: 0.0,
}


class Mixer:
    """The weights of descendants before a training, to be mixed with those after it."""

    def __init__(self, students: Sequence[keras.Model], lost: Sequence[float]) -> None:
        """Remember the weights as they are.

        Args:
            students: the descendants.
            lost: the share of its block's weights that each has lost.
        """
        self._students, self._lost = list(students), list(lost)
        self._before = [values(student.weights) for student in students]

    def keep_best(self, loss: Callable[[], float]) -> str:
        """Give the descendants the mixture of the least loss, all of the training where nothing is better.

        Args:
            loss: how wrong the descendants are with the weights that they have.

        Returns:
            How much of the training was kept, a name in `MIXTURES`.
        """
        after, losses = [values(student.weights) for student in self._students], {}
        for name in MIXTURES:
            self._mix(after, name)
            losses[name] = loss()
        best = min(losses, key=lambda name: losses[name] if np.isfinite(losses[name]) else np.inf)
        self._mix(after, best)
        return best

    def _mix(self, after: Sequence[Sequence[NDArray[Any]]], name: str) -> None:
        for student, lost, old, new in zip(self._students, self._lost, self._before, after, strict=True):
            share = MIXTURES[name](lost)
            student.set_weights([_between(a, b, share) for a, b in zip(old, new, strict=True)])


def _between(before: NDArray[Any], after: NDArray[Any], share: float) -> NDArray[Any]:
    """Return what lies this share of the way between two weights; what counts something, such as seeds, goes on."""
    return (1 - share) * before + share * after if before.dtype.kind == "f" else after
