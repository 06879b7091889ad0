"""A small network with two residual blocks, cut and pruned, for tests of training in compositions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from legodnn.blocks.cutting.extract import Piece, compose_pieces, extract
from legodnn.blocks.pruning.prune import descendant

Students = dict[str, list[keras.Model]]

# Of the descendants of each block.
EVEN = ((0.25, 0.75), (0.25, 0.75))
UNEVEN = ((0.25, 0.5, 0.75), (0.5,))


def network() -> keras.Model:
    """Two residual blocks."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.ReLU()(layers.Conv2D(6, 3, padding="same")(x))
    for _ in range(2):
        y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))
        y = layers.Conv2D(6, 3, padding="same")(layers.ReLU()(y))
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def cut(weights: list[np.ndarray], sparsities: tuple[tuple[float, ...], ...]) -> tuple[list[Piece], Students]:
    model = network()
    model.set_weights(weights)
    pieces = extract(model)
    blocks = [p for p in pieces if p.kind == "block"]
    return pieces, {p.name: [descendant(p.model, s) for s in own] for p, own in zip(blocks, sparsities, strict=True)}


def composition_error(pieces: list[Piece], students: Students, x: Any) -> float:
    """Mean squared error of the output of random compositions."""
    rng, name = np.random.default_rng(5), pieces[0].inputs[0]
    wanted = compose_pieces(pieces, {name: x})[pieces[-1].outputs[0]]
    errors = []
    for _ in range(8):
        models = {block: models[rng.integers(len(models))] for block, models in students.items()}
        found = compose_pieces(pieces, {name: x}, models)[pieces[-1].outputs[0]]
        errors.append(float(ops.mean(ops.square(found - wanted))))
    return float(np.mean(errors))
