"""A tiny store whose head, large beside the rest, is a choice of precisions. Needs Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from legodnn.manifest import Precision
from legodnn.store import Store


def residual(classes: int) -> Any:
    """A stem, a residual block, and a classifier whose 16 channels the block shares with the stem."""
    import keras
    from keras import layers

    image = keras.Input((12, 12, 1))
    x = layers.ReLU()(layers.Conv2D(16, 3, padding="same")(image))
    y = layers.ReLU()(layers.Conv2D(32, 3, padding="same")(x))
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 3, padding="same")(y)]))
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def build_large_head(folder: Path, precisions: tuple[Precision, ...]) -> Store:
    """Build a store of 1,600 classes, of random images, in a folder."""
    from legodnn.blocks import Recipe, build

    residual(1600).save(folder / "m.keras")
    np.savez(folder / "x.npz", x=np.random.default_rng(0).integers(0, 256, (200, 12, 12, 1), np.uint8))
    recipe = Recipe(
        name="m",
        model=str(folder / "m.keras"),
        data=f"npz:{folder / 'x.npz'}",
        sparsities=(0.5,),
        precisions=precisions,
        distill_epochs=1,
        joint_epochs=1,
        samples=6,
        strategy="l1",
    )
    return build(recipe, folder / "store", allow_chance=True)
