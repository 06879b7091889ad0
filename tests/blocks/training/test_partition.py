"""Blocks are divided among jobs of about equal work that fit in memory, and the division is read with care."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.training.partition import divide, jobs_of
from legodnn.errors import StoreError
from legodnn.recipe import Recipe


def block(width: int) -> Piece:
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(layers.Conv2D(width, 3)(inputs)))
    return Piece("", "block", model, ("x",), ("y",), ())


KINDS = {width: block(width) for width in (1, 4, 20, 300)}
RECIPE = Recipe(model="x", name="x", sparsities=(0.25, 0.5), batch_size=8)
FIXED = Piece("fixed", "fixed", KINDS[1].model, ("x",), ("y",), ())


def feature_bytes(piece: Piece) -> float:
    """All that two descendants, with .75 and .5 of the channels, write for a batch of 8: features and gradients."""
    values = sum(int(np.prod(t.shape[1:])) for call in calls(piece.model) for t in call.outputs)
    return values * 4 * 2 * 8 * (0.75 + 0.5)


@given(
    widths=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12),
    jobs=st.integers(1, 15),
    memory=st.integers(1, 200_000) | st.just(10**12),
)
def test_every_block_is_in_one_job_in_order_and_jobs_are_more_than_asked_only_for_memory(
    widths: list[int], jobs: int, memory: int
) -> None:
    blocks = [replace(KINDS[width], name=f"block{i}") for i, width in enumerate(widths, start=1)]
    parts = divide([FIXED, *blocks, FIXED], RECIPE, jobs, memory)
    assert [name for part in parts for name in part] == [piece.name for piece in blocks]
    assert all(parts)
    needs = {piece.name: feature_bytes(piece) for piece in blocks}
    for part in parts:
        assert len(part) == 1 or sum(needs[name] for name in part) <= memory
    if sum(needs.values()) <= memory:
        assert len(parts) <= jobs
        work = {piece.name: macs(piece.model) for piece in blocks}
        share = sum(work.values()) / min(jobs, len(blocks))
        for part in parts:  # the middles of its blocks lie within one share
            assert sum(work[name] for name in part) - (work[part[0]] + work[part[-1]]) / 2 <= share * 1.001


@pytest.fixture
def work(tmp_path: Path) -> BuildState:
    return BuildState(tmp_path / "store", RECIPE)


PIECES = [FIXED, *(replace(KINDS[4], name=f"block{i}") for i in (1, 2))]


def test_a_build_keeps_the_division_it_began_with(work: BuildState) -> None:
    assert jobs_of(work, PIECES, LocalProcesses(2)) == [["block1"], ["block2"]]
    assert jobs_of(work, PIECES, LocalProcesses(1)) == [["block1"], ["block2"]]


@pytest.mark.parametrize(
    "content", ["", "[[", '{"a": 1}', '[["block1", 2]]', '[["block1"]]', '[["block1", "block2"], ["block2"]]', "\xff"]
)
def test_a_damaged_list_of_jobs_is_refused_with_the_remedy(content: str, work: BuildState) -> None:
    (work.path / "jobs.json").write_text(content, encoding="latin-1")
    with pytest.raises(StoreError, match=r"jobs\.json .*; remove .*store\.work and build again"):
        jobs_of(work, PIECES, LocalProcesses(1))
