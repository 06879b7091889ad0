"""A SavedModel becomes the graph that its signature computes."""

from __future__ import annotations

import logging
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from legodnn.blocks.importing.models import open_model
from legodnn.errors import ModelError


def test_a_saved_model_is_opened_by_its_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3)(x)))
    outputs = [layers.Dense(4)(layers.Flatten()(x)), layers.Dense(2)(layers.GlobalAveragePooling2D()(x))]
    model = keras.Model(image, outputs)
    model.export(tmp_path / "served", verbose=False)
    monkeypatch.setattr(logging.root, "handlers", [])
    opened = open_model(str(tmp_path / "served"))
    images = np.random.default_rng(0).random((3, 8, 8, 3), np.float32)
    for found, wanted in zip(opened(images), model(images), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert opened.output_names == ["output_0", "output_1"]
    assert logging.root.handlers == []  # the converter's would print every note again
    assert {type(layer).__name__ for layer in opened.layers[1:]} >= {"Conv2D", "Dense"}


def test_a_saved_model_without_a_signature_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(ModelError, match="cannot be converted by its signature 'serving_default'"):
        open_model(str(tmp_path / "empty"))
