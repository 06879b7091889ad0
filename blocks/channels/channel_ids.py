"""IDs for the channels of a block, and which channels can only be removed together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IdArray = NDArray[np.int64]


class ChannelIds:
    """A union-find over channel IDs that also records which layer made a channel, and which channels must stay.

    Attributes:
        made: for each layer whose weights make channels, the IDs of its output channels.
        fixed: IDs of channels that must stay; every channel united with one of them must stay too.
        held: for each call that fixes channels of what it makes or reads, but not all of both, the reason.
        summed: names of calls that sum over the channels of their inputs and have no weights.

    Example: an addition unites the channels of two convolutions one by one.
        >>> ids = ChannelIds()
        >>> a, b = ids.make("a", 3), ids.make("b", 3)
        >>> ids.unite(a, b)
        >>> [ids.root(i) for i in [*a.tolist(), *b.tolist()]]
        [0, 1, 2, 0, 1, 2]
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self.made: dict[str, IdArray] = {}
        self.fixed: list[int] = []
        self.held: dict[str, str] = {}
        self.summed: set[str] = set()

    def __len__(self) -> int:
        return len(self._parent)

    def fresh(self, count: int) -> IdArray:
        """Return `count` new IDs, united with no others."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def make(self, layer: str, count: int) -> IdArray:
        """Return new IDs for the `count` channels that the weights of `layer` make."""
        self.made[layer] = self.fresh(count)
        return self.made[layer]

    def root(self, i: int) -> int:
        """Return the ID that represents all channels united with channel `i`."""
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def unite(self, a: IdArray, b: IdArray) -> None:
        """Unite channel a[i] with channel b[i], for every i."""
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self.root(y)] = self.root(x)

    def unite_rows(self, table: IdArray) -> None:
        """Unite all channels in each column of a table of IDs, shape (rows, columns)."""
        for row in table[1:]:
            self.unite(table[0], row)

    def are_fixed(self, ids: IdArray) -> bool:
        """Whether channels have to stay already, all of them."""
        fixed = {self.root(i) for i in self.fixed}
        return all(self.root(i) in fixed for i in ids.tolist())

    def fix(self, ids: IdArray) -> None:
        """Mark channels as ones that must stay."""
        self.fixed.extend(ids.tolist())
