"""Numbers for channels, and which numbers stand or fall together: the bookkeeping under `channels` and `rules`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IdArray = NDArray[np.int64]


class ChannelIds:
    """Union-find over channel numbers, which remembers who made them and which must stay.

    Attributes:
        made: for each layer whose weights make channels, the numbers of its output.
        fixed: numbers that must stay, and everything united with them.
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self.made: dict[str, IdArray] = {}
        self.fixed: list[int] = []

    def __len__(self) -> int:
        return len(self._parent)

    def fresh(self, count: int) -> IdArray:
        """New numbers, united with none."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def make(self, layer: str, count: int) -> IdArray:
        """New numbers for the channels that a layer's weights make."""
        self.made[layer] = self.fresh(count)
        return self.made[layer]

    def root(self, i: int) -> int:
        """The number that stands for everything united with i."""
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def unite(self, a: IdArray, b: IdArray) -> None:
        """Tie a[i] to b[i], for every i."""
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self.root(y)] = self.root(x)

    def unite_rows(self, ids: IdArray) -> None:
        """Tie each column of a table of numbers, shape (rows, columns), together."""
        for row in ids[1:]:
            self.unite(ids[0], row)

    def fix(self, ids: IdArray) -> None:
        """These must stay."""
        self.fixed.extend(ids.tolist())
