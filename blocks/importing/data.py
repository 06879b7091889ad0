"""Data sets of the offline stage: images, and perhaps labels, in three splits, with the scaling that made the images.

Where they come from is told by `data_sources`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.pixels import PixelArrays, Pixels
from legodnn.pixels import Scaling as Scaling  # for data sets of one's own
from legodnn.tensor_spec import ImageFit


@dataclass(frozen=True, eq=False)
class Split:
    """A part of a data set: images, and what is known about each.

    Attributes:
        x: images, shape (n, height, width, channels), float32, as the model takes them: an array, or pixels that are
            scaled when they are read.
        y: labels with n rows: class numbers, shape (n,), int64, or values of any form that the metric in use compares
            with outputs; where a model has several outputs, a tuple of such arrays, one for each; None without labels.
    """

    x: PixelArrays
    y: NDArray[Any] | tuple[NDArray[Any], ...] | None

    def __len__(self) -> int:
        return len(self.x)

    def first(self, count: int) -> Split:
        """Return the first `count` images, which are a random choice, since images are in random order."""
        return self.take(slice(count))

    def take(self, rows: NDArray[np.int64] | slice) -> Split:
        """Return the images in these rows, in this order."""
        x = self.x.take(rows) if isinstance(self.x, Pixels) else np.ascontiguousarray(self.x[rows])
        y = tuple(part[rows] for part in self.y) if isinstance(self.y, tuple) else self.y
        return Split(x, y[rows] if isinstance(y, np.ndarray) else y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set.

    Attributes:
        name: what messages and the store call it.
        labels: the names of the classes, in the order of their numbers; empty if classes have none.
        train: for training.
        val: for every choice and fit.
        test: for reporting alone.
        scaling: how the images were made from pixels; a device does the same.
        fit, fill: how image files became pixels of the images' size (see `legodnn.images.Frame`); likewise.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    scaling: Scaling = field(default_factory=Scaling)
    fit: ImageFit = "stretch"
    fill: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.train.x.shape[1:]
        return height, width, channels


# Which shares of a data set without parts are for reporting and for choices.
SHARES = {"test": 0.2, "val": 0.15}


def divided(whole: Split, seed: int, shares: Mapping[str, float], rows: int = 1) -> dict[str, Split]:
    """Shuffle and divide a data set.

    Args:
        whole: the data set.
        seed: of the order.
        shares: what is taken off, by name.
        rows: so many rows in a row stay together.

    Returns:
        A part of each share by name, and the rest as `train`.
    """
    count = len(whole) // rows
    order, parts = np.random.default_rng(seed).permutation(count), {}
    order = (order[:, None] * rows + np.arange(rows)).ravel()
    start, share = 0, 0.0
    for name in shares:
        share += shares[name]
        end = round(count * share) * rows
        parts[name] = whole.take(order[start:end])
        start = end
    return {"train": whole.take(order[start:]), **parts}
