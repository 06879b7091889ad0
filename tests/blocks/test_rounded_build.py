"""A build rounds what wide layers keep; options that come to the same channels are one, which the store says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import keras
import pytest
from keras import layers

from legodnn.blocks import build
from legodnn.blocks.export.options import Exported, uniform_compositions
from legodnn.errors import ModelError
from legodnn.recipe import Recipe
from legodnn.store import Store


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks, with 32 and 6 channels inside."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 1), name="image")
    for width in (32, 6):
        x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"wide{width}")(x)
        x = layers.MaxPooling2D()(layers.Conv2D(6, 3, padding="same", activation="relu")(x))
    path = tmp_path_factory.mktemp("models") / "wide.keras"
    keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)), name="wide").save(path)
    return path


def recipe(model: Path, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"sparsities": (0.4, 0.6, 0.9), "precisions": ("float32", "float16"), "joint_epochs": 1}
    settings |= {"image_size": 8, "batch_size": 512, "distill_epochs": 1, "samples": 6, "evaluated_images": 20}
    return Recipe(model=str(model), name="wide", **{**settings, **changes})


@pytest.fixture(scope="module")
def store(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build(recipe(model), tmp_path_factory.mktemp("stores") / "wide", allow_chance=True)


def test_options_of_the_same_channels_are_one_and_the_others_say_why_they_are_missing(store: Store) -> None:
    """19.2 and 12.8 of 32 channels are both 16; 3.2 are within the first eight, and stay. Six are not rounded."""
    first, second = store.manifest.blocks
    names = ["s0", "s0.4", "s0.6", "s0.9"]
    assert [o.name for o in first.options] == ["s0", "s0.4", "s0.9", "s0-float16", "s0.4-float16", "s0.9-float16"]
    assert [o.name for o in second.options] == [*names, *(f"{name}-float16" for name in names)]
    reason = "it keeps the same channels as sparsity 0.4"
    assert store.manifest.built.left_out == {f"{first.name}/s0.6": reason, f"{first.name}/s0.6-float16": reason}


def test_the_store_says_how_many_channels_layers_have(store: Store) -> None:
    first, second = (block.name for block in store.manifest.blocks)
    kept = {name: layers["wide32"] for name, layers in store.manifest.built.channels.items() if first in name}
    assert kept == {f"{first}/s0": 32, f"{first}/s0.4": 16, f"{first}/s0.9": 3}
    assert {name for name in store.manifest.built.channels if second in name} == {
        f"{second}/{option}" for option in ("s0", "s0.4", "s0.6", "s0.9")
    }
    assert store.manifest.built.recipe["round_to"] == 8


def test_sparsities_that_remove_nothing_are_an_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"sparsities 0\.001 remove no channel of any block.*ask for larger ones"):
        build(recipe(model, sparsities=(0.001,), precisions=("float32",)), tmp_path / "none", allow_chance=True)


def exported(*names: str) -> list[Exported]:
    return [cast(Exported, SimpleNamespace(name=name)) for name in names]


def test_a_uniform_composition_takes_the_option_that_a_missing_one_is_the_same_as() -> None:
    some = Recipe(model="x", name="x", sparsities=(0.4, 0.6, 0.9), precisions=("float32", "int8"))
    head = exported("s0")
    block1 = exported("s0", "s0.4", "s0.9", "s0-int8", "s0.4-int8", "s0.9-int8")
    block2 = exported("s0", "s0.4", "s0.6", "s0.9")  # no int8 at all
    found = uniform_compositions(some, [block1, block2, head])
    assert found == {
        "s0": (0, 0, 0),
        "s0.4": (1, 1, 0),
        "s0.6": (1, 2, 0),
        "s0.9": (2, 3, 0),
        "s0-int8": (3, 0, 0),
        "s0.4-int8": (4, 1, 0),
        "s0.9-int8": (5, 3, 0),
    }
