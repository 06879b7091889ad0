"""How far two ways to compute the same outputs are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def difference(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    """Return the largest difference over the largest value; of several outputs, for the one where it is largest.

    Args:
        found: outputs, of as many elements as what they should be.
        wanted: what they should be.

    Returns:
        Infinity where a difference is no number.
    """
    worst = 0.0
    for a, b in zip(found, wanted, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        gap = np.abs(a.reshape(b.shape) - b).max() / max(float(np.abs(b).max()), 1e-30)
        worst = max(worst, float(np.nan_to_num(gap, nan=np.inf)))
    return worst
