"""What a block keeps is written down layer by layer, and sparsities that keep the same are known as one."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.kept_channels import distinct, kept_channels, read_kept
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.strategies import STRATEGIES, descendants
from legodnn.blocks.training.trained_weights import descendants_tree
from legodnn.errors import StoreError
from legodnn.recipe import Recipe

SPARSITIES = (0.1, 0.3, 0.6, 0.7)


@pytest.fixture
def work(tmp_path: Path) -> BuildState:
    return BuildState(tmp_path / "store", Recipe(model="x", name="x", sparsities=SPARSITIES))


@pytest.fixture(scope="module")
def piece() -> Piece:
    """A block of three channels, so that .1 removes none, and .6 and .7 remove two."""
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layers.Conv2D(2, 3, name="b")(layers.Conv2D(3, 3, padding="same", name="a")(inputs)))
    return Piece("block1", "block", model, ("image",), ("y",), ())


def test_each_different_descendant_is_there_once_and_the_others_say_why_not(work: BuildState, piece: Piece) -> None:
    targets = [Target("sparsity", sparsity) for sparsity in SPARSITIES]
    found = descendants(piece.model, targets, STRATEGIES["l1"], [np.zeros((1, 4, 4, 2), np.float32)], fitted=False)
    assert [model.get_layer("a").filters for _, model in distinct(found)] == [2, 1]
    kept = kept_channels(piece, [removed for removed, _ in found])
    work.write("block1", descendants_tree(distinct(found), [0.1, 0.2], kept))
    assert read_kept(work, "block1") == kept
    assert kept.trained == (1, 2)
    assert kept.by_sparsity(SPARSITIES) == {0.0: {"a": 3}, 0.3: {"a": 2}, 0.6: {"a": 1}}
    assert kept.left_out(SPARSITIES) == {
        0.1: "it removes no channel",
        0.7: "it keeps the same channels as sparsity 0.6",
    }


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        '{"original": {"a": 3}, "kept": [{"a": 1}], "same_as": [0]}',
        '{"original": {"a": 3}, "kept": [{}, {}, {}, {}], "same_as": [0, 1, 2]}',
        '{"original": {"a": 3}, "kept": [{}, {}, {}, {}], "same_as": [0, 1, 3, 3]}',
    ],
)
def test_what_is_missing_damaged_or_of_another_recipe_is_told(work: BuildState, content: str | None) -> None:
    if content is not None:
        work.write("block1", {"kept": np.frombuffer(content.encode(), np.uint8)})
    with pytest.raises(StoreError, match=r"block1\.npz .*; remove .*store\.work and build again"):
        read_kept(work, "block1")
