"""A runtime to be served; modules that need another have their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from legodnn import Runtime, Store


@pytest.fixture(scope="module")
def runtime(tiny_store: Store) -> Iterator[Runtime]:
    with Runtime.open([tiny_store.path]) as opened:
        yield opened
