"""Names for NumPy arrays of one element type, shared by all rooms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]  # images, tensors, weights
Floats = NDArray[np.float64]  # figures: losses, times, matrices of equations
Ints = NDArray[np.int64]  # whole numbers: bytes, nanoseconds, values in the knapsack
Indices = NDArray[np.intp]  # positions in another array
Mask = NDArray[np.bool_]  # one flag for each element, such as whether a channel is kept

Shape = tuple[int, ...]  # the shape of any array; docstrings say where it leaves out the batch dimension
ImageShape = tuple[int, int, int]  # height, width, channels
