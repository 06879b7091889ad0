"""A large segment whose channels stay is a choice of precisions; a small one has its original alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.export.wanted_options import wanted_options
from legodnn.recipe import Recipe
from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.runtime.tflite.quantised_ends import quantised_ends
from tests.data.large_head import build_large_head, residual


@pytest.mark.parametrize(("classes", "head"), [(10, ["float32"]), (1600, ["float32", "float16", "int8"])])
def test_a_large_head_is_wanted_in_every_precision(classes: int, head: list[str]) -> None:
    pieces = extract(residual(classes))
    assert [(p.name, p.kind) for p in pieces] == [("block1", "block"), ("head", "fixed")]
    wanted = wanted_options(Recipe(name="m", model="m", data="digits", sparsities=(0.5,)), pieces)
    assert wanted["head"] == [(0.0, precision) for precision in head]
    assert len(wanted["block1"]) == 6


def test_a_large_head_is_built_in_every_precision_and_meets_what_is_before_it_in_whole_numbers(tmp_path: Path) -> None:
    store = build_large_head(tmp_path, ("float32", "int8"))
    manifest = store.manifest
    assert [(s.name, s.kind, [o.name for o in s.options]) for s in manifest.segments] == [
        ("block1", "block", ["s0", "s0.5", "s0-int8", "s0.5-int8"]),
        ("head", "block", ["s0", "s0-int8"]),
    ]
    float32, int8 = manifest.segments[-1].options
    assert int8.bytes < float32.bytes / 2
    assert len(manifest.segments[-1].interaction) == 4
    files = {o: parse_model_file((store.path / o.file).read_bytes()) for s in manifest.segments for o in s.options}
    written = [quantised_ends(files[o]).only().get(files[o].outputs[0]) for o in manifest.segments[0].options]
    read = [quantised_ends(files[o]).only().get(files[o].inputs[0]) for o in manifest.segments[1].options]
    assert None not in written[2:]
    assert written == [None, None, read[1], read[1]]
