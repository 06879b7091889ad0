"""How long a build will take: more for more of anything that takes time, and what the original's time implies."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.estimate import build_seconds, seconds_per_image
from legodnn.recipe import Recipe


def piece(name: str, kind: Literal["block", "fixed"], units: int) -> Piece:
    """A dense layer of so many times 4 multiply-accumulates."""
    inputs = keras.Input((4,))
    return Piece(name, kind, keras.Model(inputs, layers.Dense(units)(inputs)), ("x",), (name,), ())


def recipe(**changes: object) -> Recipe:
    few = {"distill_epochs": 2, "joint_epochs": 0, "sparsities": (0.5,), "precisions": ("float32",), "samples": 10}
    return Recipe.model_validate({"model": "vgg16", "name": "x", **few, **changes})


PIECES = [piece("block", "block", 6), piece("head", "fixed", 2)]


def seconds(images: int = 1000, measured: int = 100, image_s: float = 0.01, **changes: object) -> float:
    return build_seconds(recipe(**changes), PIECES, images, measured, image_s)


def test_an_image_takes_as_long_as_its_multiply_accumulates() -> None:
    # Of 8 units 6 are the block's. An epoch: the original forward, half the block forward and backward (3 x 3 units).
    training = 2 * 1000 * (8 + 9) / 8
    # Ten compositions and three options, each on half of its path.
    measuring = 13 * 100 / 2
    fixed = seconds(image_s=0.0)
    assert seconds() - fixed == pytest.approx(0.01 * (training + measuring))
    assert 0 < fixed < 60


@pytest.mark.parametrize(
    "changes",
    [
        {"distill_epochs": 3},
        {"joint_epochs": 1},
        {"sparsities": (0.5, 0.75)},
        {"precisions": ("float32", "int8")},
        {"samples": 11},
    ],
)
def test_whatever_is_done_more_takes_longer(changes: dict[str, Any]) -> None:
    assert seconds(**changes) > seconds()
    assert seconds(images=1001) > seconds() > seconds(measured=99)


def test_an_image_is_timed_on_the_model_itself() -> None:
    found = seconds_per_image(PIECES[0].model, np.zeros((3, 4), np.float32), batch=8)
    assert 0 < found < 10
