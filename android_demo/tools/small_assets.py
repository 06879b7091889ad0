"""Make the assets that the app has where no demo was built: two small networks, for digits that this script draws.

`python -m android_demo.tools.small_assets` writes android_demo/small-assets again. It takes some minutes, needs Keras,
and has to be done when the store's format changes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from android_demo.tools.pack_assets import pack
from legodnn.profile import default_path

OUT = Path(__file__).parents[1] / "small-assets"
SIZE = 16  # height and width of the networks' input
_DRAWN = 8  # of a drawing: as the app has it of a finger's, and scikit-learn's digits are
# What a pen does, in a unit square whose corner (0, 0) is at the top left.
_STROKES: dict[int, list[tuple[float, float]]] = {
    0: [(0.5, 0.1), (0.28, 0.22), (0.25, 0.7), (0.5, 0.9), (0.74, 0.7), (0.72, 0.22), (0.5, 0.1)],
    1: [(0.35, 0.28), (0.55, 0.1), (0.55, 0.9)],
    2: [(0.25, 0.3), (0.35, 0.12), (0.62, 0.1), (0.74, 0.3), (0.6, 0.52), (0.25, 0.9), (0.78, 0.9)],
    3: [(0.26, 0.15), (0.72, 0.1), (0.7, 0.38), (0.42, 0.46), (0.76, 0.56), (0.7, 0.88), (0.24, 0.86)],
    4: [(0.6, 0.9), (0.6, 0.1), (0.2, 0.62), (0.8, 0.62)],
    5: [(0.74, 0.12), (0.32, 0.12), (0.28, 0.45), (0.6, 0.4), (0.77, 0.64), (0.6, 0.9), (0.24, 0.85)],
    6: [(0.66, 0.1), (0.36, 0.36), (0.24, 0.7), (0.46, 0.92), (0.74, 0.78), (0.62, 0.52), (0.28, 0.66)],
    7: [(0.22, 0.12), (0.78, 0.12), (0.42, 0.9)],
    8: [(0.5, 0.48), (0.27, 0.3), (0.5, 0.08), (0.73, 0.3), (0.5, 0.48), (0.24, 0.72), (0.5, 0.92), (0.76, 0.72),
        (0.5, 0.48)],
    9: [(0.72, 0.34), (0.5, 0.52), (0.27, 0.32), (0.46, 0.1), (0.7, 0.18), (0.72, 0.34), (0.62, 0.9)],
}  # fmt: skip
_ANGULAR = (1, 4, 7)


def draw(digits: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw digits, white on black, each in another way. Returns an array of shape (count, SIZE, SIZE, 1)."""
    at = (np.arange(4 * _DRAWN) + 0.5) / (4 * _DRAWN)
    pixels = np.stack(np.meshgrid(at, at), axis=-1)
    drawn = (Image.fromarray(_drawn(int(digit), pixels, rng)) for digit in digits)
    small = (image.resize((_DRAWN, _DRAWN), Image.Resampling.BOX) for image in drawn)
    return np.stack([np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for image in small])[..., None]


def _drawn(digit: int, pixels: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    line = np.array(_STROKES[digit]) + rng.normal(0, 0.025, (len(_STROKES[digit]), 2))
    for _ in range(0 if digit in _ANGULAR else 2):  # cut corners
        between = np.concatenate([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], axis=1)
        line = np.concatenate([line[:1], between.reshape(-1, 2), line[-1:]])
    angle, slant = rng.normal(0, 0.12), rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, slant], [0, 1]]
    line = (line - 0.5) @ turn.T * rng.uniform(0.7, 1.05, 2) + 0.5 + rng.normal(0, 0.03, 2)
    starts, ways = line[:-1], np.diff(line, axis=0)
    share = ((pixels[..., None, :] - starts) * ways).sum(-1) / np.maximum((ways**2).sum(-1), 1e-9)
    nearest = starts + np.clip(share, 0, 1)[..., None] * ways
    distance = np.linalg.norm(pixels[..., None, :] - nearest, axis=-1).min(-1)
    return (255 * np.clip((rng.uniform(0.05, 0.08) - distance) * len(pixels) + 0.5, 0, 1)).astype(np.uint8)


def _drawings(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    digits = rng.permutation(np.arange(count) % 10)
    return draw(digits, rng), digits


def _model(path: str, width: int, residual: bool) -> None:
    import keras
    from keras import layers

    def block(x: Any, channels: int) -> Any:
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(y))
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(momentum=0.9)(y)
        return layers.ReLU()(layers.Add()([x, y]) if residual else y)

    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((SIZE, SIZE, 1), name="image")
    for channels in (width, 2 * width):
        x = layers.ReLU()(layers.Conv2D(channels, 3, padding="same")(x))
        x = layers.MaxPooling2D()(block(block(x, channels), channels))
    keras.Model(inputs, layers.Dense(10, name="logits")(layers.Flatten()(x))).save(path)


def main() -> None:
    """Draw, train, build, profile and pack."""
    from legodnn.blocks import Recipe, build
    from legodnn.profiler import Effort, profile_store

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the manifest says where the model was
        parts = {"train": _drawings(4000, 0), "val": _drawings(500, 1), "test": _drawings(200, 2)}
        np.savez_compressed(
            "digits.npz",
            **{f"x_{k}": x for k, (x, _) in parts.items()},
            **{f"y_{k}": y for k, (_, y) in parts.items()},
        )
        for name, residual in (("plain", False), ("residual", True)):
            _model(f"{name}.keras", 12, residual)
            recipe = Recipe(
                model=f"{name}.keras", name=name, data="npz:digits.npz", train_epochs=6, sparsities=(0.5, 0.75),
                precisions=("float32", "int8"), distill_epochs=4, joint_epochs=3, samples=40, evaluated_images=500,
            )  # fmt: skip
            store = build(recipe, Path("demo/stores") / name)
            profile_store(store, Effort(threads=(1, 2, 4), seconds=30)).save(default_path(store.path))
        x, y = parts["test"]
        np.savez("demo/digits.npz", x=x.astype(np.float32) / 255, y=y)
        print("\n".join(pack(Path("demo"), OUT)))
        os.chdir(OUT)


if __name__ == "__main__":
    main()
