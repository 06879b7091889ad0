"""Models that take images of any size are opened in one that is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks import extract
from legodnn.blocks.importing.input_size import with_input_shape
from legodnn.blocks.importing.models import open_model
from legodnn.cli import main
from legodnn.errors import ModelError


def segmenter() -> keras.Model:
    """Of images of any size: a nested encoder, a skip connection, and a dict of two outputs."""
    inner = keras.Input((None, None, 3))
    encoder = keras.Model(inner, layers.ReLU()(layers.Conv2D(8, 3, 2, padding="same")(inner)), name="encoder")
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2DTranspose(8, 2, 2)(layers.Conv2D(16, 3, padding="same", activation="relu")(encoder(image)))
    x = layers.Concatenate()([layers.Conv2D(8, 3, padding="same")(image), x])
    area = layers.Conv2D(2, 1, name="scores")(x)
    return keras.Model(image, {"area": area, "kind": layers.Dense(4)(layers.GlobalAveragePooling2D()(x))}, name="any")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = str(tmp_path / "any.keras")
    segmenter().save(path)
    return path


def test_a_file_of_any_size_is_the_same_function_in_the_size_that_is_named(file: str) -> None:
    model = open_model(file, input_shape=(16, 24, 3))
    assert [t.shape for t in model.inputs] == [(None, 16, 24, 3)]
    assert ([t.name for t in model.inputs], model.output_names, model.name) == (["image"], ["area", "kind"], "any")
    x = np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype(np.float32)
    original = keras.saving.load_model(file)(x)
    for name, y in zip(model.output_names, model(x), strict=True):
        np.testing.assert_allclose(y, original[name], atol=1e-5)
    assert any(piece.kind == "block" for piece in extract(model))


def test_a_sequential_model_is_given_a_size_too() -> None:
    model = with_input_shape(keras.Sequential([keras.Input((None, 3)), layers.Conv1D(4, 3), layers.ReLU()]), (10, 3))
    assert [t.shape for t in (*model.inputs, *model.outputs)] == [(None, 10, 3), (None, 8, 4)]


def test_a_model_without_a_graph_is_left_to_those_who_refuse_it() -> None:
    class Subclassed(keras.Model):
        pass

    model = Subclassed()
    assert with_input_shape(model, (8, 8, 3)) is model


def flat(image: Any) -> Any:
    x = layers.Reshape((-1, 3))(image)
    return layers.Reshape((5, 3))(x)


@pytest.mark.parametrize(("make", "shape", "told"), [
    (segmenter, (16, 3), "does not fit; give one with its fixed sizes"),
    (segmenter, (16, 16, 1), "does not fit; give one with its fixed sizes"),
    (lambda: keras.Model(i := keras.Input((None, 4, 3)), flat(i)), (4, 4, 3), r"does not take inputs of shape \(4, 4"),
    (lambda: keras.Model(i := [keras.Input((8,)), keras.Input((8,))], layers.Add()(i)), (8,), "has several inputs"),
])  # fmt: skip
def test_a_shape_that_does_not_fit_is_refused(make: Any, shape: tuple[int, ...], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        with_input_shape(make(), shape)


def test_a_model_that_is_made_for_its_data_takes_no_input_shape() -> None:
    for name in ("resnet20", "MobileNetV2"):
        with pytest.raises(ModelError, match="is made for its data"):
            open_model(name, input_shape=(8, 8, 3))


def test_without_a_size_the_flag_is_named(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["inspect", file], ["build", file, "--data", "images:none", "--out", str(tmp_path / "store")]):
        assert main(command) != 0
        assert "--input-shape 224,224,3" in capsys.readouterr().err
    assert main(["inspect", file, "--input-shape", "16,16,3"]) == 0
    assert "block1" in capsys.readouterr().out
