"""What all tests share: two tiny stores with their profiles, built by the real offline stage once a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from legodnn.profile import default_path
from legodnn.store import Store

# Before any test module imports TensorFlow, as `legodnn.blocks` sets them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache of packed weights of the tests' own."""
    os.environ["LEGODNN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


# Examples run Keras and file systems on shared machines: no deadline, and the same examples every time.
settings.register_profile("legodnn", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("legodnn")


@pytest.fixture(scope="session")
def tiny_keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained Keras model for 12x12 digits, saved: a plain block, a residual block and a head."""
    path = tmp_path_factory.mktemp("models") / "tiny.keras"
    _model(size=12, width=8, residual=True).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_store(tiny_keras_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of two blocks with two descendants each; its profile lies at `default_path(store.path)`.

    Read only: a test that damages a store copies it first (`store_copy`).
    """
    return _build(tiny_keras_file, tmp_path_factory.mktemp("stores") / "tiny", size=12, sparsities=(0.5, 0.75))


@pytest.fixture(scope="session")
def tiny_store2(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Another model's store, with two plain blocks and one descendant each, and its profile beside it."""
    folder = tmp_path_factory.mktemp("stores2")
    _model(size=10, width=6, residual=False).save(folder / "tiny2.keras")
    return _build(folder / "tiny2.keras", folder / "tiny2", size=10, sparsities=(0.5,))


@pytest.fixture
def store_copy(tiny_store: Store, tmp_path: Path) -> Path:
    """The folder of a copy of `tiny_store` (without its profile), to be damaged at will."""
    return Path(shutil.copytree(tiny_store.path, tmp_path / "copy"))


def _model(size: int, width: int, residual: bool) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    conv: Callable[..., Any] = lambda filters: layers.Conv2D(filters, 3, padding="same", use_bias=False)  # noqa: E731
    x = inputs = keras.Input((size, size, 1), name="image")
    x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(conv(width)(x)))
    x = layers.MaxPooling2D()(x)
    y = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(conv(width)(x)))
    y = layers.BatchNormalization(momentum=0.9)(conv(width)(y))
    x = layers.ReLU()(layers.Add()([x, y]) if residual else y)
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(10, name="logits")(x), name="tiny")


def _build(model: Path, path: Path, size: int, sparsities: tuple[float, ...]) -> Store:
    from legodnn.blocks.build import build
    from legodnn.blocks.recipe import Recipe
    from legodnn.profiler import Effort, profile_store

    recipe = Recipe(
        model=str(model),
        name=path.name,
        image_size=size,
        train_epochs=4,
        sparsities=sparsities,
        precisions=("float32",),
        distill_epochs=2,
        joint_epochs=2,
        batch_size=32,
        samples=9,
        evaluated_images=120,
    )
    store = build(recipe, path)
    profile_store(store, Effort(threads=(1, 2), seconds=0.5, processes=1, plans=0)).save(default_path(path))
    return store
