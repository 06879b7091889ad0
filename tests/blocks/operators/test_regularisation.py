"""Channels are removed through layers that act only in training, and these layers keep their settings."""

from __future__ import annotations

from typing import Any

import pytest
from keras import layers


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout(0.5, seed=1),
        layers.Dropout(0.5, noise_shape=(None, 1, 1, None)),
        layers.SpatialDropout2D(0.3),
        layers.GaussianDropout(0.3),
        layers.GaussianNoise(0.3),
        layers.AlphaDropout(0.3),
        layers.ActivityRegularization(0.1),
    ],
)
def test_channels_go_through(check_body: Any, layer: Any) -> None:
    _, pruned = check_body(lambda x: layers.Conv2D(3, 3)(layer(layers.Conv2D(6, 3, name="a")(x))))
    assert pruned.get_layer("a").filters == 3
    assert pruned.get_layer(layer.name).get_config() == layer.get_config()


def test_a_mask_with_a_place_for_each_channel_keeps_them(check_body: Any) -> None:
    dropout = layers.Dropout(0.5, noise_shape=(1, 1, 1, 6), name="it")
    channels, _ = check_body(lambda x: layers.Conv2D(3, 3)(dropout(layers.Conv2D(6, 3)(x))))
    assert channels.kept_whole["it"] == "its configuration holds the number of channels"
