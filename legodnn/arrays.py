"""Names for NumPy arrays of one element type, and what differs in one, shared by all rooms."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]  # images, tensors, weights
AnyArray = NDArray[Any]  # an input or output of a model, of the type that the store's manifest says
Floats = NDArray[np.float64]  # figures: losses, times, matrices of equations
Ints = NDArray[np.int64]  # whole numbers: bytes, nanoseconds, values in the knapsack
Indices = NDArray[np.intp]  # positions in another array
Mask = NDArray[np.bool_]  # one flag for each element, such as whether a channel is kept

Shape = tuple[int, ...]  # the shape of any array; docstrings say where it leaves out the batch dimension
ImageShape = tuple[int, int, int]  # height, width, channels


def unique_values(array: NDArray[Any]) -> NDArray[Any]:
    """Return the different elements of an array, ascending, shape (n,).

    `numpy.unique` gives the same, but imports numpy.ma: half a megabyte that a device's process keeps.
    """
    ordered = np.sort(array, axis=None)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))[: ordered.size]]


def percentiles(values: Sequence[float] | Floats, *percents: float) -> list[float]:
    """Return percentiles of one or more values, interpolated between neighbours.

    `numpy.percentile` and `numpy.median` give the same, but import numpy.ma (see `unique_values`).

    Example:

        >>> percentiles([4.0, 1.0, 2.0], 50, 75)
        [2.0, 3.0]
    """
    at = np.multiply(percents, (len(values) - 1) / 100)
    found: list[float] = np.interp(at, np.arange(len(values)), np.sort(values)).tolist()
    return found


def is_masked(array: object) -> bool:
    """Return whether this is a masked array; whoever has one has imported numpy.ma, which takes half a megabyte.

    While another thread imports it, it is in `sys.modules` without its names.
    """
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return masked is not None and isinstance(array, masked)
