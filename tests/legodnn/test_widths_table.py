"""Edges of steps are found in latencies, disturbed ones too; tables are read as they were written."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from legodnn.errors import ProfileError
from legodnn.profile import Fingerprint
from legodnn.widths_table import LAYER_KINDS, ProbedPrecision, WidthCurve, WidthsTable, WidthSteps, step_edges


def staircase(tile: int, widths: int = 96, readers: float = 0.0, fixed: float = 5.0) -> list[float]:
    """Latencies of a block whose first layer computes tiles, and whose second takes `readers` a channel."""
    return [fixed + tile * math.ceil(w / tile) + readers * w for w in range(1, widths + 1)]


def table(*curves: WidthCurve) -> WidthsTable:
    device = Fingerprint(machine="x", cpu="y", cores=1, executor="z")
    return WidthsTable(device=device, created="now", threads=1, image_size=16, outer=64, curves=curves)


@given(tile=st.sampled_from([8, 16, 32]), readers=st.floats(0, 1.0), seed=st.integers(0, 1000))
def test_the_edges_are_the_multiples_of_the_tile(tile: int, readers: float, seed: int) -> None:
    """Readers that take as long as the tiled layer, and disturbances that only add, change nothing."""
    noise = np.random.default_rng(seed).exponential(0.1, 96)
    ms = [t * 1e-3 + n * 1e-3 for t, n in zip(staircase(tile, readers=readers), noise, strict=True)]
    assert step_edges([ms]) == tuple(range(tile, 96, tile))


def test_latency_that_rises_steadily_has_no_steps() -> None:
    assert step_edges([staircase(1)]) == ()


def test_latency_that_does_not_rise_has_no_steps() -> None:
    assert step_edges([[1.0] * 20]) == ()


def test_steps_of_one_precision_alone_count_half() -> None:
    """A step of 8 in int8 is lost where float32 has none there; those of 16 that both have are left."""
    assert step_edges([staircase(16, readers=0.5), staircase(16, readers=0.5)]) == (16, 32, 48, 64, 80)
    eight_and_sixteen = [a + b for a, b in zip(staircase(8), staircase(16), strict=True)]
    assert step_edges([eight_and_sixteen])[:3] == (8, 16, 24)
    assert step_edges([eight_and_sixteen, staircase(16)]) == (16, 32, 48, 64, 80)


def test_one_outlier_makes_no_step() -> None:
    ms = staircase(16)
    ms[40] *= 3
    assert step_edges([ms]) == (16, 32, 48, 64, 80)


def test_steps_go_on_beyond_those_that_were_measured() -> None:
    steps = WidthSteps(conv=(16, 32, 64), pointwise=(8,))
    assert steps.up_to("conv", 200) == (16, 32, 64, 96, 128, 160, 192)
    assert steps.up_to("conv", 63) == (16, 32)
    assert steps.up_to("pointwise", 30) == (8, 16, 24)
    assert steps.up_to("depthwise", 100) == ()


def test_steps_must_increase() -> None:
    with pytest.raises(ValidationError, match="conv: widths must increase"):
        WidthSteps(conv=(16, 16))


def test_a_table_gives_the_steps_of_the_precisions_that_are_asked_for() -> None:
    tiles: dict[ProbedPrecision, int] = {"float32": 16, "int8": 32}
    curves = [
        WidthCurve(kind=kind, precision=precision, least_ms=tuple(staircase(tile)))
        for kind in LAYER_KINDS
        for precision, tile in tiles.items()
    ]
    found = table(*curves)
    assert found.steps(["float32", "float16"]).conv == (16, 32, 48, 64, 80)
    assert found.steps(["int8"]).depthwise == (32, 64)
    with pytest.raises(ProfileError, match="no latencies of conv in int8"):
        table(*(c for c in curves if c.precision == "float32")).steps(["float32", "int8"])


def test_a_table_is_read_as_it_was_written_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    curve = WidthCurve(kind="conv", precision="float32", least_ms=(1.0, 2.0, 3.0))
    found, path = table(curve), tmp_path / "t.json"
    found.save(path)
    assert WidthsTable.load(path) == found
    path.write_text(path.read_text().replace("widths/1", "widths/9"))
    with pytest.raises(ProfileError, match="measure again with `legodnn profile --widths`"):
        WidthsTable.load(path)
    document = json.loads(found.model_dump_json(by_alias=True))
    document["curves"] *= 2
    path.write_text(json.dumps(document))
    with pytest.raises(ProfileError, match="two curves for one kind and precision"):
        WidthsTable.load(path)
