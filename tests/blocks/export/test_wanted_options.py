"""A large segment whose channels stay is a choice of precisions; a small one has its original alone."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.export.wanted_options import wanted_options
from legodnn.blocks.pipeline import build
from legodnn.recipe import Recipe


def residual(classes: int) -> keras.Model:
    """A stem, a residual block, and a classifier whose 16 channels the block shares with the stem."""
    image = keras.Input((12, 12, 1))
    x = layers.ReLU()(layers.Conv2D(16, 3, padding="same")(image))
    y = layers.ReLU()(layers.Conv2D(32, 3, padding="same")(x))
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 3, padding="same")(y)]))
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(("classes", "head"), [(10, ["float32"]), (1600, ["float32", "float16", "int8"])])
def test_a_large_head_is_wanted_in_every_precision(classes: int, head: list[str]) -> None:
    pieces = extract(residual(classes))
    assert [(p.name, p.kind) for p in pieces] == [("stem", "fixed"), ("block1", "block"), ("head", "fixed")]
    wanted = wanted_options(Recipe(name="m", model="m", data="digits", sparsities=(0.5,)), pieces)
    assert wanted["stem"] == [(0.0, "float32")]
    assert wanted["head"] == [(0.0, precision) for precision in head]
    assert len(wanted["block1"]) == 6


def test_a_large_head_is_built_in_every_precision(tmp_path: Path) -> None:
    residual(1600).save(tmp_path / "m.keras")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).integers(0, 256, (200, 12, 12, 1), np.uint8))
    recipe = Recipe(
        name="m",
        model=str(tmp_path / "m.keras"),
        data=f"npz:{tmp_path / 'x.npz'}",
        sparsities=(0.5,),
        precisions=("float32", "int8"),
        distill_epochs=1,
        joint_epochs=1,
        samples=6,
        strategy="l1",
    )
    manifest = build(recipe, tmp_path / "store", allow_chance=True).manifest
    assert [(s.name, s.kind, [o.name for o in s.options]) for s in manifest.segments] == [
        ("stem", "fixed", ["s0"]),
        ("block1", "block", ["s0", "s0.5", "s0-int8", "s0.5-int8"]),
        ("head", "block", ["s0", "s0-int8"]),
    ]
    float32, int8 = manifest.segments[-1].options
    assert int8.bytes < float32.bytes / 2
    assert len(manifest.segments[-1].interaction) == 4
