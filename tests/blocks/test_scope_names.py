"""Layers and models may have any names that Keras takes: they run, train, are converted and saved, and keep them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks import build
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.export.convert import check_converted, check_convertible
from legodnn.blocks.importing.data import Dataset, Split
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.importing.opening import functional
from legodnn.blocks.scope_names import safe_scope_name
from legodnn.blocks.training.original import train_original
from legodnn.recipe import Recipe
from tests.legodnn.commands.running import run

REFUSED = ["a conv", "größe [1]", "日本", "_conv", "-", ">", "\\", "a\nb", "conv:0", "(é)"]
NESTED = ["nested [1]_a b", "ö"]  # the first has the name of another layer, and so its model's before it
LAYERS = ["a b", "a_b", "zwei mal", "zwei mal", *NESTED, "_+", "folge é_a b", "größe", "( )", "out put"]


def residual(inner: keras.Layer) -> keras.Model:
    """A model with a layer that is used twice, another model inside, and names that are alike once they are safe."""
    image = keras.Input((12, 12, 3), name="a picture")
    x = layers.Conv2D(8, 3, strides=2, name="a b")(image)
    x = layers.ReLU(name="a_b")(x)
    twice = layers.Conv2D(8, 3, padding="same", activation="relu", name="zwei mal")
    x = twice(twice(x))
    x = layers.Add(name="_+")([x, inner(x)])
    tail = [
        layers.Conv2D(8, 3, name="a b"),
        layers.Conv2D(8, 3, name="größe"),
        layers.GlobalAveragePooling2D(name="( )"),
    ]
    x = keras.Sequential([keras.Input(x.shape[1:]), *tail], name="folge é")(x)
    return keras.Model(image, layers.Dense(4, activation="softmax", name="out put")(x), name="mein Netz é")


def nested() -> keras.Model:
    image = keras.Input((5, 5, 8), name="k k")
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="a b")(image)
    return keras.Model(image, layers.Conv2D(8, 1, name="ö")(x), name="nested [1]")


class Wrapper(layers.Layer):
    """A layer around others, whose names TensorFlow refuses too; for its own weight it stays one layer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = layers.Conv2D(6, 3, padding="same", activation="relu", name="ïnner [c]")
        self.last = layers.Conv2D(8, 3, padding="same", name="_last")

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        self.last.build((*shape[:-1], 6))
        self.scale = self.add_weight(shape=(), initializer="ones", name="größe")
        self.built = True

    def call(self, x: Any) -> Any:
        return self.last(self.first(x)) * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "name": self.name}


def wrapper() -> Wrapper:
    return Wrapper(name="wräp")


@pytest.mark.parametrize("name", REFUSED)
def test_tensorflow_takes_the_safe_name_in_any_scope_and_not_the_name_itself(name: str) -> None:
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match="not a valid root scope name"), tf.name_scope(name):
            pass
        for _ in range(2):  # the second scope of a name gets a number
            with tf.name_scope(safe_scope_name(name)):
                assert tf.constant(1.0).op.name


@pytest.mark.parametrize("name", ["conv2d_1", "block1.conv-2", ".x", "A>b\\c", ""])
def test_a_name_that_tensorflow_takes_is_left_as_it_is(name: str) -> None:
    assert safe_scope_name(name) == name


@pytest.mark.parametrize(("inner", "names"), [(nested, NESTED), (wrapper, ["wräp"])])
def test_segments_are_converted_and_layers_keep_their_names(inner: Callable[[], keras.Layer], names: list[str]) -> None:
    model = residual(inner())
    pieces = extract(model)
    for piece in pieces:
        x = np.random.default_rng(0).normal(size=(3, *piece.model.input_shape[1:])).astype(np.float32)
        check_converted(check_convertible(piece), piece.model, [x], piece.name)
    assert [name for piece in pieces for name in piece.calls] == [*LAYERS[:4], *names, *LAYERS[6:]]
    assert (model.name, model.inputs[0].name) == ("mein Netz é", "a picture")
    assert model.get_layer("a b").kernel.path == "a b/kernel"


@pytest.mark.parametrize("inner", [nested, wrapper])
def test_a_model_is_run_and_trained(inner: Callable[[], keras.Layer]) -> None:
    model = functional(residual(inner()))
    rng = np.random.default_rng(0)
    x, y = rng.random((80, 12, 12, 3), np.float32), np.arange(80) % 4
    np.testing.assert_allclose(model.predict_on_batch(x), model(x), atol=1e-5)
    before = model.get_weights()
    part = Split(x, y)
    train_original(model, Dataset("names", (), part, part, part), epochs=1, batch_size=40)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    residual(nested()).save(tmp_path / "names.keras")
    return tmp_path / "names.keras"


def test_a_store_is_built(file: Path, tmp_path: Path) -> None:
    quick: dict[str, Any] = {
        "precisions": ("float32",),
        "sparsities": (0.5,),
        "distill_epochs": 1,
        "joint_epochs": 0,
        "samples": 6,
    }
    images = np.random.default_rng(0).random((80, 12, 12, 3), np.float32)
    np.savez(tmp_path / "data.npz", x=images, y=np.arange(80) % 4)
    recipe = Recipe(model=str(file), data=f"npz:{tmp_path / 'data.npz'}", name="names", **quick)
    store = build(recipe, tmp_path / "names", allow_chance=True)
    assert [entry.name for entry in store.manifest.inputs] == ["a picture"]


def test_a_smaller_model_is_saved_with_the_names(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.keras"
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((80, 12, 12, 3), np.float32))
    flags = ["--strategy", "l1", "--target", "macs=.8", "--epochs", 1, "--data", f"npz:{tmp_path / 'data.npz'}"]
    status, _, error = run(capsys, "compress", file, *flags, "--out", out)
    assert status == 0, error
    small = keras.saving.load_model(out)
    assert (small.name, [call.name for call in calls(small)]) == ("mein Netz é", LAYERS)
