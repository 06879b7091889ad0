"""Whole networks of keras.applications, pruned and compared with the oracle."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from legodnn.blocks.channels.rules import channel_rule
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.importing.opening import functional


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "least"),
    [
        ("MobileNetV2", 32, 0.7),
        ("MobileNet", 32, 0.7),
        ("MobileNetV3Small", 32, 0.7),
        ("EfficientNetB0", 32, 0.7),
        ("EfficientNetV2B0", 32, 0.7),
        ("VGG16", 32, 0.7),
        ("ResNet50", 32, 0.7),
        ("ResNet50V2", 32, 0.7),
        ("DenseNet121", 32, 0.7),
        ("NASNetMobile", 32, 0.7),
        ("Xception", 75, 0.7),
        ("InceptionV3", 75, 0.7),
        ("InceptionResNetV2", 75, 0.7),
        ("ConvNeXtTiny", 32, 0.45),
    ],
)
def test_half_the_channels_of_a_network_can_go(check_pruned: Any, name: str, size: int, least: float) -> None:
    """`least` is the share of parameters that has to be removed with the channels."""
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    model = functional(make(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None))
    assert not [call.name for call in calls(model) if isinstance(channel_rule(call), str)]
    # Untrained networks answer with tiny numbers; the comparison shall be of large ones.
    output = np.abs(model(np.random.default_rng(0).normal(size=(1, size, size, 3)), training=False)).max()
    last = next(layer for layer in reversed(model.layers) if layer.weights)
    last.set_weights([w * 100 / output for w in last.get_weights()])
    _, pruned = check_pruned(model, 0.5)
    assert pruned.count_params() <= (1 - least) * model.count_params()


def test_the_layer_scale_of_a_convnext_block_goes_with_its_channels(check_body: Any) -> None:
    from keras.src.applications.convnext import LayerScale, StochasticDepth

    def body(x: Any) -> Any:
        y = keras.layers.Dense(6, name="a")(x)
        y = y + StochasticDepth(0.1)(LayerScale(1e-6, 6, name="scale")(keras.layers.Dense(6, name="b")(y)))
        return keras.layers.Dense(3)(y)

    channels, pruned = check_body(body)
    assert [str(g) for g in channels.groups] == ["6 channels made by a + b"]
    assert pruned.get_layer("scale").projection_dim == 3


def test_the_scaled_addition_of_inception_resnet_ties_channels(check_body: Any) -> None:
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    def body(x: Any) -> Any:
        dense = keras.layers.Dense
        return dense(3)(CustomScaleLayer(scale=0.2)([dense(6, name="a")(x), dense(6, name="b")(x)]))

    channels, _ = check_body(body)
    assert [str(g) for g in channels.groups] == ["6 channels made by a + b"]
