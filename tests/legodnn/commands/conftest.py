"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.store import Store


@pytest.fixture
def workload(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> Path:
    path = tmp_path / "workload.toml"
    path.write_text(
        f'[[models]]\nname = "one"\nstore = "{tiny_store.path}"\nweight = 2.0\nrate_hz = 10\n'
        f'[[models]]\nname = "two"\nstore = "{tiny_store2.path}"\nrate_hz = 5\nlatency_ms = 1000.0\n'
        "min_accuracy = 0.1\n"
    )
    return path
