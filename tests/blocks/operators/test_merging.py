"""Channels are removed through operations that merge tensors: gates, scales, broadcasting, concatenation."""

from __future__ import annotations

from typing import Any

import pytest
from keras import layers, ops


def conv(filters: int, name: str | None = None, **options: Any) -> Any:
    return layers.Conv2D(filters, 3, padding="same", name=name, **options)


def _pooled_and_reshaped(x: Any) -> Any:
    return layers.Reshape((1, 1, x.shape[-1]))(layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize(
    "squeeze",
    [
        layers.GlobalAveragePooling2D(keepdims=True),
        _pooled_and_reshaped,
        layers.GlobalAveragePooling2D(),
        lambda x: ops.mean(x, axis=(1, 2), keepdims=True),
        lambda x: ops.reshape(ops.max(x, axis=(1, 2)), (-1, 1, 1, x.shape[-1])),
        lambda x: ops.expand_dims(ops.mean(x, axis=(1, 2)), (1, 2)),
    ],
)
def test_a_gate_goes_with_the_channels_it_gates(check_body: Any, squeeze: Any) -> None:
    def body(x: Any) -> Any:
        x = conv(6, "a")(x)
        gate = layers.Dense(4, activation="relu", name="down")(squeeze(x))
        return conv(3)(layers.Multiply()([x, layers.Dense(6, activation="hard_sigmoid", name="up")(gate)]))

    channels, pruned = check_body(body)
    assert sorted(map(str, channels.groups)) == ["4 channels made by down", "6 channels made by a + up"]
    assert pruned.get_layer("down").kernel.shape == (3, 2)


@pytest.mark.parametrize("merge", [layers.Multiply, layers.Add, layers.Maximum, layers.Subtract, layers.Average])
def test_a_map_for_all_channels_keeps_its_single_channel(check_body: Any, merge: Any) -> None:
    channels, pruned = check_body(lambda x: conv(3)(merge()([conv(6, "a")(x), conv(1, "map")(x)])))
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert pruned.get_layer("map").filters == 1


def test_channels_go_with_those_that_they_are_compared_with(check_body: Any) -> None:
    def body(x: Any) -> Any:
        a, b, one = conv(6, "a")(x), conv(6, "b")(x), conv(1, "map")(x)
        held = ops.logical_or(ops.logical_and(a > b, a <= 1.0), ops.logical_not(one < 0.0))
        return conv(3)(ops.where(held, a, 0.1 * b))

    channels, pruned = check_body(body)
    assert [str(g) for g in channels.groups] == ["6 channels made by a + b"]
    assert pruned.get_layer("map").filters == 1


def test_joining_positions_ties_channels(check_body: Any) -> None:
    channels, _ = check_body(lambda x: conv(3)(layers.Concatenate(axis=1)([conv(6, "a")(x), conv(6, "b")(x)])))
    assert [str(g) for g in channels.groups] == ["6 channels made by a + b"]


def test_densely_connected_layers_keep_their_channels_apart(check_body: Any) -> None:
    def body(x: Any) -> Any:
        for name in "abc":
            x = layers.Concatenate()([x, conv(4, name)(layers.ReLU()(layers.BatchNormalization()(x)))])
        return conv(3)(x)

    channels, _ = check_body(body)
    assert [str(g) for g in channels.groups] == [f"4 channels made by {name}" for name in "abc"]
