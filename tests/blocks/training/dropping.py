"""A model with dropout, and the few digits and the recipe that jobs train its descendants with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from keras import layers

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.models import model_of
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.blocks.training.divided import train_descendants
from legodnn.recipe import Recipe


def dropping() -> keras.Model:
    """Two blocks, each with dropout in it."""
    inputs = keras.Input((12, 12, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu")(inputs)
    for width in (6, 8):
        x = layers.Dropout(0.2)(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)), name="dropping")


def of_any_size() -> keras.Model:
    """A model that does not say how large its images are, and turns them while it is trained on labels."""
    inputs = keras.Input((None, None, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu")(layers.RandomFlip("horizontal")(inputs))
    for _ in range(2):
        x = layers.Conv2D(6, 3, activation="relu")(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="of_any_size")


def jobs_recipe(folder: Path) -> Recipe:
    """A recipe of that model, which is saved in the folder."""
    keras.utils.set_random_seed(0)
    path = folder / "dropping.keras"
    dropping().save(path)
    settings: dict[str, Any] = {"sparsities": (0.5,), "precisions": ("float32",), "samples": 6, "evaluated_images": 20}
    return Recipe(model=str(path), name="jobs", image_size=12, batch_size=32, distill_epochs=2, **settings)


def ninety_six_digits() -> Dataset:
    """96 images of 12x12 pixels to train, 32 to validate."""
    data = load_data("digits", image_size=12)
    return replace(data, train=data.train.first(96), val=data.val.first(32))


def trained(folder: Path, recipe: Recipe, data: Dataset, jobs: list[list[str]]) -> tuple[BuildState, dict[str, Any]]:
    """The work folder after training divided like this, and what it holds of each block."""
    work = BuildState(folder / "store", recipe)
    (work.path / "jobs.json").write_text(json.dumps(jobs))
    model = model_of(recipe, data)
    students = train_descendants(work, model, extract(model), data, LocalProcesses(1))
    assert list(students) == ["block1", "block2"]
    return work, {name: work.read(name) for name in students}
