"""What the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legodnn.profile import Profile, default_path
from legodnn.store import Store


@pytest.fixture
def digits(tiny_store: Store, tmp_path: Path) -> Path:
    """Six random images for the tiny store, each with a label of its own, as an .npz file."""
    shape = tiny_store.manifest.inputs[0].shape
    x = np.random.default_rng(0).random((6, *shape), np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(6))
    return tmp_path / "x.npz"


@pytest.fixture
def profiled_copy(store_copy: Path, profile: Profile) -> Path:
    """A copy of the tiny store, to be damaged, with its profile beside it."""
    profile.save(default_path(store_copy))
    return store_copy
