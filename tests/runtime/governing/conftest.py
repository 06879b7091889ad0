"""A runtime to govern, and the device that it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from legodnn.runtime import Runtime
from legodnn.store import Store
from tests.runtime.governing.scripted import Scripted, workload


@pytest.fixture
def runtime(tiny_store: Store, tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(workload("tiny", tiny_store, tiny_store, tmp_path)) as opened:
        yield opened


@pytest.fixture
def device() -> Scripted:
    return Scripted()
