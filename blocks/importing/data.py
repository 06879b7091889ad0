"""Data sets of the offline stage: inputs, and perhaps labels, in three splits, with the scaling that made the images.

Where they come from is told by `data_sources`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.errors import DataError
from legodnn.pixels import PixelArrays, Pixels
from legodnn.pixels import Scaling as Scaling  # for data sets of one's own
from legodnn.tensor_spec import ImageFit


@dataclass(frozen=True, eq=False)
class SeveralInputs:
    """What a model of several inputs takes: arrays by the inputs' names, each with a row for every example.

    It can stand for one array: it has a length, and indexing gives the same rows of all arrays, by name, as the model
    is called with them.

    Raises:
        DataError: the arrays are of different lengths.
    """

    arrays: Mapping[str, PixelArrays]

    def __post_init__(self) -> None:
        lengths = {name: len(x) for name, x in self.arrays.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"inputs of different lengths, or none: {lengths}; each needs a row for every example")

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, rows: Any) -> dict[str, Array]:
        return {name: x[rows] for name, x in self.arrays.items()}

    def take(self, rows: NDArray[np.int64] | slice) -> SeveralInputs:
        """Return the examples in these rows, in this order."""
        return SeveralInputs({name: _taken(x, rows) for name, x in self.arrays.items()})


# `PixelArrays`, or `SeveralInputs`: rows of the first are an array, and of the others arrays by name.
ModelInputs = Any


def by_name(x: Any, name: str) -> dict[str, Any]:
    """Return what a model takes as arrays by name.

    Args:
        x: several inputs, or rows of them by name; or an array, for a model of one input.
        name: of that one input.
    """
    if isinstance(x, SeveralInputs):
        return dict(x.arrays)
    return dict(x) if isinstance(x, Mapping) else {name: x}


def input_arrays(x: Any) -> list[Any]:
    """Return what a model takes (see `by_name`) as a list of arrays, in the order of its inputs."""
    return list(by_name(x, "").values())


def _taken(x: PixelArrays, rows: NDArray[np.int64] | slice) -> PixelArrays:
    return x.take(rows) if isinstance(x, Pixels) else np.ascontiguousarray(x[rows])


@dataclass(frozen=True, eq=False)
class Split:
    """A part of a data set: inputs of the model, and what is known about each.

    Attributes:
        x: images, shape (n, height, width, channels), float32, as the model takes them: an array, or pixels that are
            scaled when they are read; arrays of another rank for a model that takes something else; or `SeveralInputs`
            for one that takes several. A mapping of arrays becomes these.
        y: labels with n rows: class numbers, shape (n,), int64, or values of any form that the metric in use compares
            with outputs; where a model has several outputs, a tuple of such arrays, one for each; None without labels.
    """

    x: ModelInputs
    y: NDArray[Any] | tuple[NDArray[Any], ...] | None

    def __post_init__(self) -> None:
        if isinstance(self.x, Mapping):
            object.__setattr__(self, "x", SeveralInputs(self.x))

    def __len__(self) -> int:
        return len(self.x)

    def first(self, count: int) -> Split:
        """Return the first `count` images, which are a random choice, since images are in random order."""
        return self.take(slice(count))

    def take(self, rows: NDArray[np.int64] | slice) -> Split:
        """Return the images in these rows, in this order."""
        x = self.x.take(rows) if isinstance(self.x, SeveralInputs) else _taken(self.x, rows)
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
        scaling: how the images among the inputs were made from pixels; a device does the same.
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
        """Height, width and channels of every image, of data whose only input is images.

        Raises:
            DataError: the data has several inputs, or another.
        """
        shapes = [tuple(x.shape[1:]) for x in input_arrays(self.train.x)]
        if len(shapes) != 1 or not is_picture(shapes[0]):
            raise DataError(
                f"{self.name} has inputs of shape {', '.join(map(str, shapes))}, not one image (height, width, "
                "channels): give a model, and a reading if any, that are for such inputs"
            )
        height, width, channels = shapes[0]
        return height, width, channels


def is_picture(shape: Sequence[int | None]) -> bool:
    """Whether an input of this shape takes images: with height, width and channels."""
    return len(shape) == 3


# The splits of a data set by what they are called in sources, and in messages.
SPLITS = {"train": "training", "val": "validation", "test": "test"}
# Which shares of a data set without parts are for reporting and for choices.
SHARES = {"test": 0.2, "val": 0.15}


def divided(
    whole: Split, seed: int, shares: Mapping[str, float], rows: int = 1, sources: NDArray[np.int64] | None = None
) -> dict[str, Split]:
    """Shuffle and divide a data set.

    Args:
        whole: the data set.
        seed: of the order.
        shares: what is taken off, by name.
        rows: so many rows in a row stay together.
        sources: numbers from 0, shape (n,): rows of one number, such as what is cut out of one picture, come into the
            same part, in any order, and shares are of these numbers. None: each row is a source of its own.

    Returns:
        A part of each share by name, and the rest as `train`.
    """
    rng = np.random.default_rng(seed)
    together = np.arange(len(whole) // rows).repeat(rows) if sources is None else sources
    count = int(together.max(initial=-1)) + 1
    places = np.argsort(rng.permutation(count))[together]
    order = np.argsort(places, kind="stable")
    ends = [round(count * share) for share in np.cumsum([*shares.values()])]
    chosen = np.split(order, np.searchsorted(places[order], ends))
    if sources is not None:
        chosen = [rng.permutation(part) for part in chosen]
    *taken, rest = (whole.take(part) for part in chosen)
    return {"train": rest, **dict(zip(shares, taken, strict=True))}


def shuffled(part: Split, seed: int, rows: int = 1) -> Split:
    """Return a part of a data set that is given in parts, in random order; the arguments are those of `divided`."""
    return divided(part, seed, {}, rows)["train"]
