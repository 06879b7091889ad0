"""Scaling pixels to a model's input: range, mean and std mean the same in building, on devices, and in the store.

How image files become pixels is told by `legodnn.images`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array


@dataclass(frozen=True)
class Scaling:
    """How a model's input is made from pixels: 0 to 255 becomes `range`, then `mean` is subtracted and `std` divides.

    Attributes:
        range: what 0 and 255 become.
        mean: one value for each channel, or one for all; empty means 0.
        std: one value for each channel, or one for all; empty means 1.

    Example:
        >>> Scaling((-1, 1), mean=(0.5,))(np.array([[[0], [255]]])).tolist()
        [[[-1.5], [0.5]]]
    """

    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("range", "mean", "std"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))

    def __call__(self, pixels: NDArray[Any]) -> Array:
        """Return the model's input, float32, for pixels from 0 to 255, shape (..., channels).

        Raises:
            ValueError: there is a `problem` with the scaling.
        """
        if problem := self.problem(pixels.shape[-1]):
            raise ValueError(problem)
        low, high = self.range
        x: Array = pixels.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)
        if self.mean:
            x -= np.array(self.mean, np.float32)
        if self.std:
            x /= np.array(self.std, np.float32)
        return x

    def pixels(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the pixels, uint8, that a model's input was made of, shape (..., channels): what scaling undoes."""
        low, high = self.range
        scaled = x * np.array(self.std or (1.0,)) + np.array(self.mean or (0.0,))
        pixels: NDArray[np.uint8] = np.clip(np.rint((scaled - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
        return pixels

    def problem(self, channels: int) -> str | None:
        """Return what is wrong with this scaling for images of so many channels; None if nothing is."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, channels):
                return (
                    f"{name} has {len(values)} values for {channels} channel{'s' * (channels != 1)}: give one for "
                    "each, or one for all"
                )
        if not all(map(math.isfinite, (*self.range, *self.mean, *self.std))):
            return "range, mean and std must be finite"
        if len(self.range) != 2 or not self.range[0] < self.range[1]:
            return "range must be two numbers that increase"
        if any(value <= 0 for value in self.std):
            return "std must be positive"
        return None


def as_input(x: NDArray[Any], scaling: Scaling) -> Array:
    """Return images as the model takes them, float32: uint8 is pixels and gets scaled, other types stay as they are."""
    return np.ascontiguousarray(scaling(x) if x.dtype == np.uint8 else x, np.float32)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images that are kept as uint8 and scaled when they are read, which takes a quarter of the memory.

    They can stand for a float32 array: they have a length and a shape, indexing gives float32 arrays, and `np.asarray`
    gives them all.

    Attributes:
        raw: pixels, shape (n, height, width, channels), uint8.
        scaling: what becomes of them.
        rows: the rows of `raw` that are meant, in this order; None: all. Splits of one data set share `raw`.
    """

    raw: NDArray[np.uint8]
    scaling: Scaling
    rows: NDArray[np.int64] | None = None

    def take(self, rows: NDArray[np.int64] | slice) -> Pixels:
        """Return the images in these rows, unscaled still."""
        before = np.arange(len(self.raw)) if self.rows is None else self.rows
        return Pixels(self.raw, self.scaling, before[rows])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the float32 array has."""
        return (len(self), *self.raw.shape[1:])

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """The type of the arrays that indexing gives: float32."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """The number of axes, which is 4."""
        return self.raw.ndim

    def __len__(self) -> int:
        return len(self.raw if self.rows is None else self.rows)

    def __getitem__(self, key: Any) -> Array:
        images, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        chosen = images if self.rows is None else self.rows[images]
        x = as_input(self.raw[chosen], self.scaling)
        return x[rest if x.ndim < self.ndim else (slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.float32, copy=False)


# Images for a model: a float32 array, or pixels that become one.
PixelArrays = Array | Pixels
