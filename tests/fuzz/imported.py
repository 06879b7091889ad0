"""Cases of damaged `.tflite` files that are opened as models. They need TensorFlow, which other kinds do not load."""

from __future__ import annotations

import functools
import random

import numpy as np

from tests.fuzz.tflite_damage import damaged

SEEDS = ("plain", "residual", "shapes", "sizes", "normalised", "activations", "mirrored")


@functools.cache
def seeds() -> list[bytes]:
    """Return sound files, in every precision, as the converter writes them."""
    import keras

    from legodnn.blocks.export.convert import convert
    from tests.fuzz.tflite_seeds import bodies

    keras.utils.set_random_seed(0)
    images = [np.random.default_rng(0).normal(size=(4, 8, 8, 4)).astype(np.float32)]
    found = []
    for name, body in bodies().items():
        if name in SEEDS:
            inputs = keras.Input((8, 8, 4))
            model = keras.Model(inputs, body(inputs))
            found += [convert(model, precision=p, calibration=images) for p in ("float32", "float16", "int8")]
    for content in found:
        opened(content)  # so that no case pays for what is loaded once
    return found


def opened(content: bytes) -> None:
    """Open a file as a model."""
    from legodnn.blocks.importing.tflite.graph import graph_of

    graph_of(content, "file.tflite")


def case(rng: random.Random) -> None:
    """Damage a file and open it."""
    content, _ = damaged(rng.choice(seeds()), np.random.default_rng(rng.getrandbits(63)))
    opened(content)
