"""Labels that no output of the model stands for are refused before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks import build
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.labels import check_classes
from legodnn.blocks.importing.models import model_of
from legodnn.errors import DataError
from legodnn.recipe import Recipe

Image = pytest.importorskip("PIL.Image")


def model(*outputs: int, map_of: int | None = None) -> keras.Model:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same")(layers.Conv2D(4, 3, padding="same")(x))
    if map_of:
        return keras.Model(x, layers.Conv2D(map_of, 1)(y), name="mine")
    flat = layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, [layers.Dense(n)(flat) for n in outputs], name="mine")


def data(y: np.ndarray | None, labels: Sequence[str] = ()) -> Dataset:
    split = Split(np.zeros((12, 8, 8, 3), np.float32), y)
    return Dataset("photos", tuple(labels), split, split, split)


ABC, SOME = ("ant", "bee", "cat"), np.arange(12) % 3


@pytest.mark.parametrize(
    ("outputs", "y", "labels", "message"),
    [
        ((4,), SOME, ABC, r"photos has 3 classes \(ant, bee, cat\), but mine has 4 outputs"),
        ((2,), SOME, ABC, r"photos has 3 classes \(ant, bee, cat\), but mine has 2 outputs"),
        ((3,), SOME + 1, ("aaa", *ABC), r"has 4 classes .*, but mine has 3 outputs: .*; no image shows aaa"),
        ((1,), SOME, ABC, "has 3 classes .*, but mine has 1 output:"),
        ((3,), SOME, (), None),
        ((10,), SOME, (), None),
        ((3,), SOME, ABC, None),
        ((2,), SOME, (), "labels run from 0 to 2, but mine has 2 outputs"),
        ((3,), SOME - 1, (), "labels run from -1 to 1, but mine has 3 outputs"),
        ((1,), SOME % 2, ("no", "yes"), None),
        ((1,), SOME * 20, (), None),  # ages
        ((1,), SOME * 20 - 15, (), None),  # temperatures
        ((3, 5), SOME, ABC, None),
        ((4, 5), SOME, ABC, "has 3 classes .*, but mine has 4 and 5 outputs"),
        ((4,), None, (), None),
        ((4,), np.zeros((12, 4)), (), None),
    ],
)
def test_classes_and_outputs_are_counted(
    outputs: tuple[int, ...], y: np.ndarray | None, labels: tuple[str, ...], message: str | None
) -> None:
    if message is None:
        check_classes(model(*outputs), data(y, labels))
        return
    with pytest.raises(DataError, match=message) as caught:
        check_classes(model(*outputs), data(y, labels))
    assert len(str(caught.value).splitlines()) == 1


def test_maps_and_metrics_of_ones_own_are_not_judged() -> None:
    check_classes(model(map_of=5), data(SOME, ABC))
    check_classes(model(4), data(SOME, ABC), "mine:metric")


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """An untrained classifier of gray pictures, not square, of three classes."""
    x = keras.Input((10, 14, 1))
    y = layers.Conv2D(4, 3, activation="relu")(layers.Conv2D(4, 3, activation="relu")(x))
    keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(y)), name="mine").save(tmp_path / "m.keras")
    return str(tmp_path / "m.keras")


def folder(root: Path, *classes: str) -> str:
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(40):
            Image.new("RGB", (20, 20), (80 * number, i, 255)).save(root / name / f"{i}.png")
    return f"images:{root}"


@pytest.mark.parametrize(
    ("classes", "empty", "message"),
    [
        (("a", "b", "c", "d"), (), "4 classes .* 3 outputs"),
        (("a", "b"), (), "2 classes .* 3 outputs"),
        (("b", "c", "d"), ("a",), "4 classes .* 3 outputs.*no image shows a"),
        (("a",), (), "one class alone, a"),
    ],
)
def test_a_build_is_refused_before_anything_is_trained(
    saved: str, tmp_path: Path, classes: tuple[str, ...], empty: tuple[str, ...], message: str
) -> None:
    source = folder(tmp_path / "photos", *classes)
    for name in empty:
        (tmp_path / "photos" / name).mkdir()
    with pytest.raises(DataError, match=message):
        build(Recipe(model=saved, name="x", data=source), tmp_path / "store")
    assert not list(tmp_path.glob("store*"))


def test_a_gray_model_that_is_not_square_is_built_from_a_folder_in_parts(saved: str, tmp_path: Path) -> None:
    """Size and channels are the model's own, for the build, its jobs, and the device."""
    for part in ("train", "val"):
        source = folder(tmp_path / "photos" / part, "a", "b", "c").removesuffix(f"/{part}")
    recipe = Recipe(
        model=saved, name="x", data=source, sparsities=(0.5,), precisions=("float32",), distill_epochs=1, samples=6
    )
    store = build(recipe.model_copy(update={"joint_epochs": 1}), tmp_path / "store", jobs=2, allow_chance=True)
    (image,) = store.manifest.inputs
    assert (image.shape, image.resize, store.manifest.model.labels) == (
        (10, 14, 1),
        "bilinear-antialias",
        ("a", "b", "c"),
    )
    assert store.manifest.accuracy.data == "photos, 120 validation images"


@pytest.mark.parametrize(
    ("y", "outputs"),
    [(SOME, 3), (SOME[:, None], 3), (SOME > 0, 2), (np.eye(4)[SOME], 4), (SOME * 1.5, 10), (None, 10)],
)
def test_labels_tell_how_many_outputs_a_model_gets_that_is_made_for_them(y: np.ndarray | None, outputs: int) -> None:
    recipe = Recipe(model="resnet20", name="x", width=0.1, train_epochs=1)
    assert model_of(recipe, data(y)).output_shape == (None, outputs)


def test_a_class_that_only_the_test_images_show_has_an_output() -> None:
    recipe = Recipe(model="resnet20", name="x", width=0.1, train_epochs=1)
    rare = replace(data(SOME), test=data(SOME + 4).test)
    assert model_of(recipe, rare).output_shape == (None, 7)
