"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.store import Store


@pytest.fixture
def workload(tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> Path:
    path = tmp_path / "workload.toml"
    path.write_text(
        f'[[models]]\nname = "one"\nstore = "{tiny_store.path}"\nweight = 2.0\nrate_hz = 10\n'
        f'[[models]]\nname = "two"\nstore = "{tiny_store2.path}"\nrate_hz = 5\nlatency_ms = 1000.0\n'
        "min_accuracy = 0.1\n"
    )
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small residual network, trained on the digits."""
    import keras
    from keras import layers

    from legodnn.blocks.importing.data_sources import load_data
    from legodnn.blocks.training.original import train_original

    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 1))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", name="stem")(x)))
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(12, 3, padding="same", name="inner")(x)))
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(8, 3, padding="same", name="outer")(y)]))
    x = layers.ReLU()(layers.Conv2D(16, 3, strides=2, padding="same", name="last")(x))
    found = keras.Model(inputs, layers.Dense(10, name="scores")(layers.Flatten()(x)))
    train_original(found, load_data("digits", image_size=8), epochs=8, batch_size=32)
    path = tmp_path_factory.mktemp("model") / "digits.keras"
    found.save(path)
    return path
