"""Names for NumPy arrays of one element type, shared by all rooms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]  # images, tensors, weights
Floats = NDArray[np.float64]  # figures: losses, times, matrices of equations
Ints = NDArray[np.int64]  # whole numbers: bytes, nanoseconds, values of the knapsack
Indices = NDArray[np.intp]  # positions in another array
Mask = NDArray[np.bool_]  # what is kept, or true

Shape = tuple[int, ...]  # of any array, without the batch dimension where a docstring says so
ImageShape = tuple[int, int, int]  # height, width, channels
