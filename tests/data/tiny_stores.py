"""The two tiny stores that tests share: their models, and how they are built. Needs Keras.

    python -m tests.data.tiny_stores        # writes tests/data/tiny and tests/data/tiny2 again

Tests use what it writes on a device, where there is no Keras. It has to be written again when the store's format
changes: tests fail when it can no longer be read, or when builds give other segments and options than it has.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from legodnn.profile import Profile
from legodnn.store import Store

HERE = Path(__file__).resolve().parent


def save_tiny_model(path: Path) -> Path:
    """Save an untrained Keras model for 12x12 digits: a plain block, a residual block and a head."""
    _model(size=12, width=8, residual=True).save(path)
    return path


def build_tiny(model: Path, path: Path) -> Store:
    """Build the store of that model: two blocks with two descendants each."""
    return _build(model, path, size=12, sparsities=(0.5, 0.75))


def save_tiny_model2(path: Path) -> Path:
    """Save another model, for 10x10 digits: two plain blocks and a head."""
    _model(size=10, width=6, residual=False).save(path)
    return path


def build_tiny2(model: Path, path: Path) -> Store:
    """Build the store of that model: one descendant for each block."""
    return _build(model, path, size=10, sparsities=(0.5,))


def with_memory_of_files(profile: Profile, store: Store) -> Profile:
    """Have each option take a hundred times its file: what is measured of files of a few kB is noise of pages."""
    sizes = {(s.name, option.name): option.bytes for s in store.manifest.segments for option in s.options}
    options = (o.model_copy(update={"memory_bytes": 100 * sizes[o.segment, o.option]}) for o in profile.options)
    return profile.model_copy(update={"options": tuple(options)})


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
    from legodnn.blocks import Recipe, build

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
    return build(recipe, path)


def main() -> None:
    """Write both stores beside this file, and replace those that are there."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the manifest says where the model was
        build_tiny(save_tiny_model(Path("tiny.keras")), Path("tiny"))
        build_tiny2(save_tiny_model2(Path("tiny2.keras")), Path("tiny2"))
        for name in ("tiny", "tiny2"):
            shutil.rmtree(HERE / name, ignore_errors=True)
            shutil.copytree(name, HERE / name)
            print(f"wrote {HERE / name}")
        os.chdir(HERE)


if __name__ == "__main__":
    main()
