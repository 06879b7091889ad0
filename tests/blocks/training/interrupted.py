"""Training that is interrupted, as if its process had been killed."""

from __future__ import annotations

from pathlib import Path

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint


class Interrupted(BaseException):
    """As if the process had been killed."""


class InterruptedCheckpoint(Checkpoint):
    """A checkpoint after every step; training is interrupted once so many steps are saved, for 0 before the first."""

    def __init__(self, path: Path, steps: int) -> None:
        super().__init__(path, every_s=0)
        self._steps = steps

    def write(self, state: ArrayTree) -> None:
        if self._steps:
            super().write(state)
        if not self._steps or state["step"] == self._steps:
            raise Interrupted
