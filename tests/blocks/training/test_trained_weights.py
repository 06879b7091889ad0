"""Results of training come back from the work folder, into models that they fit."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.build_state import BuildState
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import Piece, extract
from legodnn.blocks.kept_channels import kept_channels
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.training.trained_weights import (
    descendants_tree,
    read_descendants,
    read_joint,
    read_original,
    write_joint,
    write_original,
)
from legodnn.errors import StoreError
from legodnn.recipe import Recipe
from tests.blocks.training.dropping import dropping


@pytest.fixture
def work(tmp_path: Path) -> BuildState:
    return BuildState(tmp_path / "store", Recipe(model="x", name="x", sparsities=(0.5, 0.75)))


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return extract(dropping())


def descendants_of(piece: Piece) -> list[tuple[np.ndarray, keras.Model]]:
    channels = analyse(piece.model)
    chosen = [choose(piece.model, channels, Target("sparsity", sparsity)) for sparsity in (0.5, 0.75)]
    return [(removed, remove(piece.model, channels, removed)) for removed in chosen]


def assert_same_weights(a: keras.Model, b: keras.Model) -> None:
    for found, expected in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_original_comes_back(work: BuildState) -> None:
    first, second = dropping(), dropping()
    assert not read_original(work, first)
    write_original(work, first)
    assert read_original(work, second)
    assert_same_weights(second, first)


def test_weights_of_another_model_are_refused(work: BuildState, pieces: list[Piece]) -> None:
    write_original(work, pieces[0].model)
    with pytest.raises(StoreError, match=r"original\.npz holds the weights of another model; remove .*store\.work"):
        read_original(work, dropping())
    work.write("joint", {"something": np.zeros(2)})
    with pytest.raises(StoreError, match=r"joint\.npz holds the weights of another model"):
        read_joint(work, {"block1": [pieces[0].model]})


@pytest.mark.parametrize("saved", [{"0": np.zeros(2)}, {"descendants": [{"removed": np.zeros(0), "weights": []}]}])
def test_descendants_of_another_model_are_refused(work: BuildState, pieces: list[Piece], saved: ArrayTree) -> None:
    work.write("block1", saved)
    with pytest.raises(StoreError, match=r"block1\.npz holds the weights of another model; remove .*store\.work"):
        read_descendants(work, pieces)


def test_descendants_come_back_of_the_blocks_that_are_finished(work: BuildState, pieces: list[Piece]) -> None:
    assert read_descendants(work, pieces) == {}
    [block, _] = [p for p in pieces if p.kind == "block"]
    written = descendants_of(block)
    kept = kept_channels(block, [removed for removed, _ in written])
    work.write(block.name, descendants_tree(written, [0.1, 0.2], kept))
    found = read_descendants(work, pieces)
    assert list(found) == [block.name]
    for student, (_, expected) in zip(found[block.name], written, strict=True):
        assert_same_weights(student, expected)


def test_descendants_take_the_weights_of_training_in_compositions(work: BuildState, pieces: list[Piece]) -> None:
    blocks = [p for p in pieces if p.kind == "block"]
    first, second = ({p.name: [model for _, model in descendants_of(p)] for p in blocks} for _ in range(2))
    for model in first["block2"]:
        model.set_weights([w + 1 for w in model.get_weights()])
    assert not read_joint(work, first)
    write_joint(work, first)
    assert read_joint(work, second)
    for name, models in first.items():
        for a, b in zip(second[name], models, strict=True):
            assert_same_weights(a, b)
