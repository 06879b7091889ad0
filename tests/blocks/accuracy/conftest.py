"""Data that the tests of accuracy share."""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.blocks.importing.data import Split


@pytest.fixture(scope="session")
def validation() -> Split:
    """Noisy one-hot vectors and their classes: the outputs of a good classifier."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 1500)
    return Split((np.eye(10)[y] + rng.normal(0, 0.25, (1500, 10))).astype(np.float32), y)
