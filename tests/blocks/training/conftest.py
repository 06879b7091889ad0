"""What tests of training share: a few small digits, and a model that has learnt them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import pytest

from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.training.original import train_original


@pytest.fixture(scope="package")
def digits() -> Dataset:
    """Digits of 12x12 pixels: 640 to train, 100 to validate."""
    data = load_data("digits", image_size=12)
    return replace(data, train=data.train.first(640), val=data.val.first(100))


@pytest.fixture(scope="package")
def few(digits: Dataset) -> Dataset:
    """Five steps of 32 images an epoch."""
    return replace(digits, train=digits.train.first(160), val=digits.val.first(64))


@pytest.fixture(scope="package")
def model_file(tiny_keras_file: Path, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after some ordinary training."""
    keras.utils.set_random_seed(0)
    model = keras.saving.load_model(tiny_keras_file)
    train_original(model, digits, epochs=4, batch_size=32)
    path = tmp_path_factory.mktemp("trained") / "trained.keras"
    model.save(path)
    return path
