"""A checkpoint that also keeps how long training took up to it, interruptions left out."""

from __future__ import annotations

import json
import time
from pathlib import Path

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import Checkpoint


class TimedCheckpoint(Checkpoint):
    """A checkpoint whose file has another of the same name beside it, `.json`, with the seconds spent."""

    def __init__(self, path: Path | None) -> None:
        """Go on counting from what the file says; without a path nothing is kept."""
        super().__init__(path)
        self._times = path and path.with_suffix(".json")
        self._before = json.loads(self._times.read_text()) if self._times and self._times.exists() else [0.0, 0.0]
        self._since = time.perf_counter(), time.process_time()

    @property
    def spent(self) -> tuple[float, float]:
        """Seconds of training until now: by the clock, and of processor time."""
        now = time.perf_counter(), time.process_time()
        wall, cpu = (before + n - s for before, n, s in zip(self._before, now, self._since, strict=True))
        return wall, cpu

    def write(self, state: ArrayTree) -> None:
        """Save the state and the times."""
        super().write(state)
        if self._times:
            self._times.write_text(json.dumps(self.spent))

    def discard(self) -> None:
        """Remove both files."""
        super().discard()
        if self._times:
            self._times.unlink(missing_ok=True)
