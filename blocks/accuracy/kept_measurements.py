"""Measurements of compositions that outlive the process: measuring takes minutes, and a build may be killed in them."""

from __future__ import annotations

import json
import time
from pathlib import Path

from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.errors import StoreError
from legodnn.files import write_atomic


class KeptMeasurements(dict[OptionNumbers, MeasuredComposition]):
    """A dictionary of measurements that is read from a file, and written there again at intervals as it grows.

    The measurements since the last write are lost when the process dies, and are then made again.
    """

    def __init__(self, file: Path, every_s: float = 30.0) -> None:
        """Read what the file holds, if it is there.

        Args:
            file: a JSON list of [composition, [metric, error]].
            every_s: least time in seconds between two writes.

        Raises:
            StoreError: the file is damaged.
        """
        super().__init__()
        self._file, self._every_s = file, every_s
        self._written = time.monotonic()
        if file.exists():
            try:
                for composition, measured in json.loads(file.read_text(encoding="utf-8")):
                    super().__setitem__(tuple(composition), MeasuredComposition(*measured))
            except (ValueError, TypeError):
                raise StoreError(f"{file} is damaged; remove it and run the same command again") from None

    def __setitem__(self, composition: OptionNumbers, measured: MeasuredComposition) -> None:
        super().__setitem__(composition, measured)
        if time.monotonic() - self._written > self._every_s:
            write_atomic(self._file, json.dumps([[list(c), list(m)] for c, m in self.items()]))
            self._written = time.monotonic()
