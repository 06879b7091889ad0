"""Multiply-accumulates are counted for every kind of layer that has them, and for products of tensors.

Covers also: blocks.importing.macs.
"""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers, ops

from legodnn.blocks.importing.macs import macs


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.Conv2D(5, 3), (8, 8, 4), 6 * 6 * 5 * 3 * 3 * 4),
        (layers.Conv2D(5, 3, padding="same"), (8, 8, 4), 8 * 8 * 5 * 3 * 3 * 4),
        (layers.Conv2D(5, 3, strides=2, padding="same"), (8, 8, 4), 4 * 4 * 5 * 3 * 3 * 4),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 6, 4), 4 * 4 * 3 * 3 * 4 * 2),
        (layers.SeparableConv2D(5, 3, depth_multiplier=2), (6, 6, 4), 4 * 4 * (3 * 3 * 4 * 2 + 4 * 2 * 5)),
        (layers.Conv2D(6, 3, groups=2), (6, 6, 4), 4 * 4 * 3 * 3 * (4 // 2) * 6),
        (layers.Conv2DTranspose(5, 3, strides=2), (6, 6, 4), 6 * 6 * 3 * 3 * 4 * 5),
        (layers.Conv1D(5, 3), (6, 4), 4 * 3 * 4 * 5),
        (layers.Conv3D(5, 2), (3, 3, 3, 4), 2**3 * 2**3 * 4 * 5),
        (layers.Dense(10), (7,), 70),
        (layers.Dense(5), (6, 4), 6 * 4 * 5),
        (layers.EinsumDense("abc,cde->abde", (6, 2, 5)), (6, 4), 6 * 4 * 2 * 5),
        (layers.EinsumDense("abde,dec->abc", (6, 7)), (6, 2, 5), 6 * 2 * 5 * 7),
        (layers.ReLU(), (6, 6, 4), 0),
        (layers.BatchNormalization(), (8, 8, 4), 0),
        (layers.MaxPooling2D(), (8, 8, 4), 0),
    ],
)
def test_one_layer(layer: Any, shape: tuple[int, ...], expected: int) -> None:
    inputs = keras.Input(shape)
    assert macs(keras.Model(inputs, layer(inputs))) == expected


def test_attention_counts_projections_scores_and_values() -> None:
    query, value = keras.Input((5, 8)), keras.Input((7, 6))
    output = layers.MultiHeadAttention(num_heads=2, key_dim=3, value_dim=4)(query, value)
    projections = 5 * 8 * 2 * 3 + 7 * 6 * 2 * 3 + 7 * 6 * 2 * 4 + 5 * 2 * 4 * 8
    assert macs(keras.Model([query, value], output)) == projections + 5 * 7 * 2 * (3 + 4)


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (lambda a, b: ops.einsum("nqhc,nkhc->nhqk", a, b), 5 * 7 * 2 * 4),
        (lambda a, b: ops.einsum("nqhc,nkhc->nqhc", a, b), 5 * 7 * 2 * 4),
        (lambda a, b: ops.matmul(ops.transpose(a, (0, 2, 1, 3)), ops.transpose(b, (0, 2, 3, 1))), 5 * 7 * 2 * 4),
        (lambda a, b: ops.einsum("...c,...c->...", a[:, :1], b[:, :1]), 0),  # axes without names are not counted
    ],
)
def test_products_of_two_tensors_are_counted(product: Any, expected: int) -> None:
    a, b = keras.Input((5, 2, 4)), keras.Input((7, 2, 4))
    assert macs(keras.Model([a, b], product(a, b))) == expected
