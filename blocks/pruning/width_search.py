"""Searching for widths: what every search that tries widths and measures them has in common.

A search minimises a measured loss under a limit of cost. It knows neither blocks nor models, but two functions of
widths. Uniform widths are its first candidate, so it returns nothing worse; and what it has measured it remembers, in a
file too if there is one, so that the same search started again is at once where it was stopped.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.pruning.widths import Widths
from legodnn.errors import StoreError
from legodnn.files import write_atomic
from legodnn.progress import Progress, no_progress

log = logging.getLogger("legodnn.blocks")

_WRITTEN_EVERY_S = 10.0


class WidthSearch:
    """Widths to be found, and all that were measured so far.

    Attributes:
        full: the number of sets of coupled channels in each group, shape (groups,); widths lie between 1 and it.
        limit: the cost that widths may have.
        cost: the cost of widths; it must not fall where a width grows.
        measured: the loss of all widths that this search asked for, in that order.

    Example: the loss counts what is missing, and the second group is three times as expensive.
        >>> search = WidthSearch(np.array([8, 8]), lambda w: float(16 - w.sum()), lambda w: float(w[0] + 3 * w[1]), 16)
        >>> search.fitted(np.array([0.5, 0.5])).tolist()
        [4, 4]
        >>> search.fitted(np.array([1.0, 0.1])).tolist()
        [8, 2]
    """

    def __init__(
        self,
        full: Widths,
        loss: Callable[[Widths], float],
        cost: Callable[[Widths], float],
        limit: float,
        kept: Path | None = None,
    ) -> None:
        """Begin a search, or take up one that was stopped.

        Args:
            full: widths with all channels.
            loss: measures widths, the smaller the better.
            cost: see the class. It is called often, so it should take microseconds.
            limit: the cost that widths may have; one channel in each group must keep it.
            kept: a file for what was measured, which may be there already.

        Raises:
            ValueError: the least widths exceed the limit.
            StoreError: the file is damaged.
        """
        self.full, self.cost, self.limit = full, cost, limit
        self._loss, self._kept, self._written = loss, kept, time.monotonic()
        # What was measured before counts once it is asked for again: the search then goes the way that it went before.
        self._earlier = _read(kept, len(full)) if kept and kept.exists() else {}
        self.measured: dict[tuple[int, ...], float] = {}
        if cost(self.least) > limit:
            raise ValueError(f"one channel in each group costs {cost(self.least):g}, more than the limit {limit:g}")

    @property
    def least(self) -> Widths:
        """The least widths, one set in each group."""
        return np.ones_like(self.full)

    def measure(self, widths: Widths) -> float:
        """Return the loss of widths, which may exceed the limit; it is measured once. No number counts as infinite."""
        key = tuple(widths.tolist())
        if key not in self.measured:
            loss = self._earlier[key] if key in self._earlier else float(self._loss(widths))
            self.measured[key] = loss if math.isfinite(loss) else math.inf
            if time.monotonic() - self._written > _WRITTEN_EVERY_S:
                self.keep()
        return self.measured[key]

    def keep(self) -> None:
        """Write what was measured into the file, if there is one."""
        if self._kept:
            write_atomic(self._kept, json.dumps([list(entry) for entry in {**self._earlier, **self.measured}.items()]))
        self._written = time.monotonic()

    def recall(self) -> None:
        """Count all that was measured before as measured."""
        self.measured = {**self._earlier, **self.measured}

    @property
    def uniform(self) -> Widths:
        """The widths that keep the same share of every group, as large as the limit allows."""
        return self.fitted(np.ones(len(self.full)))

    @property
    def best(self) -> Widths:
        """Of the widths that were measured and hold the limit, those with the least loss, the first if several have it.

        Raises:
            LookupError: none was measured.
        """
        if not (found := self.finalists(1)):
            raise LookupError("no widths within the limit were measured")
        return found[0]

    def finalists(self, count: int, apart: float = 0.1) -> list[Widths]:
        """Return the best widths within the limit that differ from one another, the very best first.

        Args:
            count: how many at most.
            apart: the share of some group by which any two of them differ at least.
        """
        found = list[Widths]()
        for key in sorted(self.measured, key=self.measured.__getitem__):  # a stable sort
            widths = np.array(key, self.full.dtype)
            if self.cost(widths) <= self.limit and all(np.abs((widths - w) / self.full).max() >= apart for w in found):
                found.append(widths)
                if len(found) == count:
                    break
        return found

    def fitted(self, shares: Floats) -> Widths:
        """Return widths in the proportions of `shares` of the full widths that come as close to the limit as they can.

        All shares are multiplied by one factor, cut off at 1. What room rounding leaves is then filled one set at a
        time, first where most was rounded away.
        """

        def scaled(factor: float) -> Floats:
            return np.minimum(np.maximum(shares, 1e-6) * factor, 1.0) * self.full

        def widths(factor: float) -> Widths:
            return np.maximum(1, np.floor(scaled(factor) + 1e-9)).astype(self.full.dtype)

        low, high = 0.0, 1.0 / max(1e-6, float(shares.min()))
        if self.cost(widths(high)) > self.limit:
            for _ in range(40):
                middle = (low + high) / 2
                low, high = (middle, high) if self.cost(widths(middle)) <= self.limit else (low, middle)
        else:
            low = high
        found = widths(low)
        order = np.argsort(found - scaled(low), kind="stable")
        growing = True
        while growing:
            growing = False
            for group in order:
                if found[group] < self.full[group]:
                    found[group] += 1
                    if self.cost(found) <= self.limit:
                        growing = True
                    else:
                        found[group] -= 1
        return found

    def bounds(self, widths: Widths, group: int, least: Widths) -> tuple[int, int]:
        """Return the least and the largest width of a group with which the limit can still be met, and met closely.

        Args:
            widths: the widths of the groups before it; the others do not count.
            group: its number. Later groups can have any width from `least` on.
            least: widths that no group goes below, which hold the limit.
        """

        def largest(later: Widths) -> int:
            """The largest width that holds the limit beside these widths of later groups; the least if none does."""
            trial, low = np.concatenate([widths[: group + 1], later[group + 1 :]]), int(least[group])
            high = int(self.full[group])
            while low < high:
                trial[group] = middle = (low + high + 1) // 2
                low, high = (middle, high) if self.cost(trial) <= self.limit else (low, middle - 1)
            return low

        high = largest(least)
        return min(high, largest(self.full)), high


class SearchMethod(Protocol):
    """A way to search: it measures widths, and leaves it to its caller to take the best."""

    def __call__(self, search: WidthSearch, seed: int, progress: Progress) -> None:
        """Measure widths.

        Args:
            search: what is searched for.
            seed: determines everything random.
            progress: shows the steps.
        """
        ...


def best_widths(search: WidthSearch, method: SearchMethod, seed: int = 0, progress: Progress = no_progress) -> Widths:
    """Return the best widths that a method finds, uniform widths if it finds none that are better.

    KeyboardInterrupt ends the search, and the best widths so far are returned.

    Args:
        search: what is searched for.
        method: how.
        seed: of everything random.
        progress: shows the steps of the method.
    """
    search.measure(search.uniform)
    try:
        method(search, seed, progress)
    except KeyboardInterrupt:
        search.recall()  # by an earlier start of the search, which may have come further
        log.warning(f"the search is stopped; the best of {len(search.measured):,} measured widths are taken")
    search.keep()
    return search.best


def _read(kept: Path, groups: int) -> dict[tuple[int, ...], float]:
    try:
        entries = json.loads(kept.read_text(encoding="utf-8"))
        found = {tuple(map(int, widths)): float(loss) for widths, loss in entries}
    except (ValueError, TypeError):
        found = {(): 0.0}
    if any(len(widths) != groups for widths in found):
        raise StoreError(f"{kept} is damaged; remove it and run the same command again")
    return found
