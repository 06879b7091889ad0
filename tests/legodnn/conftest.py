"""What the tests of this folder share."""

from __future__ import annotations

import pytest

from legodnn.profile import Profile, default_path
from legodnn.store import Store


@pytest.fixture
def profile(tiny_store: Store) -> Profile:
    return Profile.load(default_path(tiny_store.path))
