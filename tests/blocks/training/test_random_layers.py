"""Layers that are random in training act where labels are learned, and never where a block's own features are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.cutting.extract import Piece, check_composed, extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.pruning.prune import descendant
from legodnn.blocks.training.composer import Composer
from legodnn.blocks.training.distill import Distiller, distill
from legodnn.blocks.training.joint import draw_paths
from legodnn.blocks.training.original import train_original
from legodnn.blocks.training.student import Student
from legodnn.errors import ModelError

PIXELS = {"value_range": (0.0, 1.0)}
RANDOM = {
    "flip": lambda: layers.RandomFlip(),
    "rotation": lambda: layers.RandomRotation(0.3),
    "contrast": lambda: layers.RandomContrast(0.9, **PIXELS),
    "dropout": lambda: layers.Dropout(0.5),
    "noise": lambda: layers.GaussianNoise(0.5),
    "own": lambda: Shifted(),
}
DROPPED = ("flip", "rotation", "contrast")  # from segments, because they do nothing in inference


SEEN: list[bool] = []


class Shifted(layers.Layer):
    """Adds one to what it reads, in training only, and notes whether it was in training."""

    def call(self, x: Any, training: bool = False) -> Any:
        SEEN.append(bool(training))
        return x + 1.0 if training else x


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load_data("digits", image_size=12)
    return replace(data, train=data.train.first(64), val=data.val.first(64))


def model_with(layer: Any, norm: bool = False) -> keras.Model:
    x = image = keras.Input((12, 12, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu")(layer(x))
    x = layers.BatchNormalization()(x) if norm else x
    x = layers.Conv2D(6, 3, activation="relu")(x)
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def copies(model: keras.Model) -> tuple[list[Piece], dict[str, list[keras.Model]]]:
    pieces = extract(model, min_share=0)
    return pieces, {p.name: [descendant(p.model, 0)] for p in pieces if p.kind == "block"}


@pytest.mark.parametrize("name", RANDOM)
def test_a_copy_in_training_gives_its_blocks_features(name: str, digits: Dataset) -> None:
    pieces, students = copies(model_with(RANDOM[name]()))
    assert sum(len(p.calls) for p in pieces if p.name in students) >= (2 if name in DROPPED else 3)
    everyone = [Student(block, 0, model) for block, (model,) in students.items()]
    distiller, x = Distiller(pieces, everyone), digits.train.x[:16]
    np.testing.assert_allclose(distiller(x, training=True), 0, atol=1e-6)
    composer = Composer(pieces, students)
    paths = draw_paths(len(students), composer.slots, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(composer(({"image": x}, paths), training=True), 0, atol=1e-6)


def test_batch_norms_of_descendants_are_in_training_beside_them(digits: Dataset) -> None:
    pieces, students = copies(model_with(layers.RandomFlip(), norm=True))
    (model,) = students["block1"]
    norm = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    before = keras.ops.convert_to_numpy(norm.moving_mean).copy()
    distill(pieces, students, digits, epochs=1, batch_size=32)
    assert np.abs(keras.ops.convert_to_numpy(norm.moving_mean).copy() - before).max() > 1e-4


def test_a_layer_whose_shape_is_another_in_inference_is_refused() -> None:
    model = model_with(layers.RandomCrop(10, 10, name="crop"))  # gives the whole image in inference
    with pytest.raises(ModelError, match=r"layer crop .RandomCrop. gives .12, 12, 1. in inference, where .*10, 10, 1"):
        check_composed(model, extract(model, min_share=0))


def test_an_original_is_trained_with_its_augmentation(digits: Dataset) -> None:
    SEEN.clear()
    train_original(model_with(Shifted()), digits, epochs=1, batch_size=32)
    assert SEEN[-1]
