"""Stores without some of their options."""

from __future__ import annotations

from pathlib import Path

from legodnn import Store
from tests.benchmarks.scripts import load


def test_a_store_without_some_options_predicts_the_others_as_before(tiny_store: Store, tmp_path: Path) -> None:
    ablations = load("support.ablations")
    dropped = tiny_store.manifest.blocks[0].options[1]
    ablations.only(tiny_store.path, tmp_path / "less", lambda o: o.name != dropped.name)
    less = Store(tmp_path / "less").manifest
    for segment, whole in zip(less.segments, tiny_store.manifest.segments, strict=True):
        assert segment.options == tuple(o for o in whole.options if o.name != dropped.name)
        if whole.interaction:
            rows = [o.name != dropped.name for o in tiny_store.manifest.blocks[0].options]
            columns = [o.name != dropped.name for o in whole.options]
            wanted = [
                [x for x, c in zip(row, columns, strict=True) if c]
                for row, r in zip(whole.interaction, rows, strict=True)
                if r
            ]
            assert [list(row) for row in segment.interaction] == wanted
