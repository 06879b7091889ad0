"""Small stores of real files, to be damaged: one block with two options, of which the second is damaged.

    python -m tests.fuzz.tflite_seeds FOLDER [NAME ...]

writes all of them, or those that are named. It needs Keras and TensorFlow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.files import sha256_bytes


def bodies() -> dict[str, Callable[[Any], Any]]:
    """Return functions of 8x8 pixels of 4 channels; together they have most of the operators that stores have."""
    from keras import layers, ops

    def conv(filters: int, kernel: int = 3, **options: Any) -> Any:
        return layers.Conv2D(filters, kernel, **{"padding": "same", **options})

    def residual(x: Any) -> Any:
        y = layers.ReLU()(layers.BatchNormalization()(conv(6)(x)))
        return layers.ReLU()(layers.Add()([conv(4)(y), x]))

    def gate(x: Any) -> Any:
        y = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(layers.Activation("hard_swish")(x))
        scale = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(y))
        return layers.Multiply()([y, conv(4, 1, activation="sigmoid")(scale)])

    def attention(x: Any) -> Any:
        y = layers.Reshape((64, 4))(x)
        return layers.Dense(3)(layers.MultiHeadAttention(2, 4)(y, y))

    def shapes(x: Any) -> Any:
        y = ops.concatenate([x[:, ::2, 1:-1:3], ops.pad(x, ((0, 0), (1, 1), (2, 0), (0, 0)))[:, ::3, :2]], axis=1)
        y = ops.transpose(ops.tile(y, (1, 1, 2, 1)), (0, 2, 1, 3))
        parts = ops.split(ops.take(y, [3, 0, 1, 2], axis=-1), 2, axis=-1)
        return ops.stack([parts[0], ops.flip(parts[1], axis=1)], axis=1)

    def reductions(x: Any) -> Any:
        y = ops.max(x, axis=1) - ops.mean(x, axis=(1, 2), keepdims=True)[:, 0] + ops.sum(x, axis=2)
        return ops.where(y > 0, y, ops.exp(y) * 0.1) + ops.cast(ops.logical_and(y > 0, y < 1), "float32")

    def sizes(x: Any) -> Any:
        y = layers.UpSampling2D(2, interpolation="bilinear")(layers.MaxPooling2D(3, 2, padding="same")(x))
        return layers.UpSampling2D(2)(layers.AveragePooling2D(2)(y))

    def normalised(x: Any) -> Any:
        return layers.GroupNormalization(2)(layers.LayerNormalization()(conv(4)(x)))

    def activations(x: Any) -> Any:
        y = layers.PReLU(shared_axes=[1, 2])(layers.Activation("gelu")(x)) + layers.LeakyReLU()(x)
        return layers.Activation("tanh")(y) * layers.Activation("elu")(x) / (ops.abs(x) + 1.0)

    return {
        "plain": lambda x: layers.Dense(3, activation="softmax")(layers.Flatten()(conv(5, strides=2)(x))),
        "residual": residual,
        "gate": gate,
        "dilated": lambda x: conv(4, dilation_rate=2)(conv(4, groups=2)(x)),
        "transposed": lambda x: layers.Conv2DTranspose(3, 3, strides=2, padding="same")(x),
        "attention": attention,
        "shapes": shapes,
        "reductions": reductions,
        "sizes": sizes,
        "normalised": normalised,
        "activations": activations,
        "mirrored": lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 2), (0, 0)), mode="reflect"),
        "embedded": lambda x: layers.Embedding(9, 2)(ops.clip(x, 0, 8)),
        "ranked": lambda x: ops.top_k(x, 2)[0],
        "recurrent": lambda x: layers.LSTM(3, unroll=True)(layers.Reshape((4, 64))(x)),
    }


def write(folder: Path, only: Iterable[str] | None = None) -> None:
    """Write all stores, or only some, each into a folder of its name."""
    import keras

    from legodnn.blocks.export.convert import convert

    keras.utils.set_random_seed(0)
    for name, body in bodies().items():
        inputs = keras.Input((8, 8, 4))
        model = keras.Model(inputs, body(inputs))
        for precision in ("float32", "float16", "int8"):
            full = name if precision == "float32" else f"{name}-{precision}"
            if (only is not None and full not in only) or full == "recurrent-int8":
                continue
            images = [np.random.default_rng(0).normal(size=(4, 8, 8, 4)).astype(np.float32)]
            original, other = convert(model), convert(model, precision=precision, calibration=images)
            write_store(folder / full, full, model.output.shape[1:], [original, other])


def write_store(path: Path, name: str, shape: tuple[int, ...], files: list[bytes]) -> None:
    """Write a store of one block with two options, `s0` and `s0.5`."""
    path.mkdir(parents=True)
    options = []
    for option, sparsity, content in zip(("s0", "s0.5"), (0.0, 0.5), files, strict=True):
        (path / f"{option}.tflite").write_bytes(content)
        options.append(
            {
                **{"name": option, "sparsity": sparsity, "file": f"{option}.tflite", "sha256": sha256_bytes(content)},
                **{"bytes": len(content), "params": 1, "macs": 1},
            }
        )
    manifest = {
        "schema": "legodnn.store/1",
        "model": {"name": name, "task": "none"},
        "inputs": [{"name": "x", "shape": [8, 8, 4]}],
        "outputs": ["y"],
        "tensors": [{"name": "y", "shape": list(shape)}],
        "segments": [{"name": "block", "kind": "block", "inputs": ["x"], "outputs": ["y"], "options": options}],
        "accuracy": {
            **{"metric": "top1", "data": "none", "original": 1.0, "error": 0.0, "samples": 0},
            "link": {"x": [0, 1], "y": [1, 0]},
        },
        "built": {"created": "", "versions": {}, "seed": 0, "recipe": {}},
    }
    (path / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:] or None)
