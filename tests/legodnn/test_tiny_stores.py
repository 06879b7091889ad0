"""The stores of tests/data, which tests take where there is no Keras, are those that are built where there is."""

from __future__ import annotations

import pytest

from legodnn.store import Store
from tests.data import tiny_stores


@pytest.mark.parametrize("name", ["tiny", "tiny2"])
def test_a_prebuilt_store_holds_what_is_built_now(name: str, request: pytest.FixtureRequest) -> None:
    remedy = "write it again with `python -m tests.data.tiny_stores`"
    kept = Store(tiny_stores.HERE / name).manifest
    for segment in kept.segments:
        for option in segment.options:
            Store(tiny_stores.HERE / name).verified_file(option)
    built = request.getfixturevalue({"tiny": "tiny_store", "tiny2": "tiny_store2"}[name]).manifest
    assert kept.schema_ == built.schema_, remedy
    assert kept.specs == built.specs, remedy
    assert [(s.name, s.kind, s.inputs, s.outputs, [o.name for o in s.options]) for s in kept.segments] == [
        (s.name, s.kind, s.inputs, s.outputs, [o.name for o in s.options]) for s in built.segments
    ], remedy
