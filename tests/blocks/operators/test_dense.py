"""Dense layers that read images and vectors lose units, and the layers that read these lose the rows for them."""

from __future__ import annotations

from typing import Any

import pytest
from keras import layers


def test_units_of_a_perceptron_go(check_body: Any) -> None:
    channels, pruned = check_body(
        lambda x: layers.Dense(2)(layers.Dense(8, "relu", name="b")(layers.Dense(6, "tanh", name="a")(x))), (5,)
    )
    assert [str(g) for g in channels.groups] == ["6 channels made by a", "8 channels made by b"]
    assert pruned.get_layer("b").kernel.shape == (3, 4)


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_dense_layer_on_an_image_is_a_pointwise_convolution(check_body: Any, use_bias: bool) -> None:
    _, pruned = check_body(lambda x: layers.Dense(3)(layers.Dense(6, "relu", use_bias, name="a")(x)))
    assert pruned.get_layer("a").units == 3


@pytest.mark.parametrize(
    "flatten", [layers.Flatten(), layers.Reshape((-1,)), lambda x: layers.Flatten()(layers.MaxPooling2D(2)(x))]
)
def test_a_dense_layer_loses_all_positions_of_a_flattened_channel(check_body: Any, flatten: Any) -> None:
    def body(x: Any) -> Any:
        return layers.Dense(3, name="d")(flatten(layers.Conv2D(6, 3, activation="relu", name="a")(x)))

    channels, pruned = check_body(body)
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert 2 * pruned.get_layer("d").kernel.shape[0] in (4 * 4 * 6, 2 * 2 * 6)


def test_a_code_between_encoder_and_decoder_goes_too(check_body: Any) -> None:
    def body(x: Any) -> Any:
        x = layers.Dense(8, name="code")(layers.Flatten()(layers.Conv2D(4, 3, strides=2, name="down")(x)))
        x = layers.Reshape((3, 3, 4))(layers.Dense(36, "relu", name="up")(x))
        return layers.Conv2DTranspose(3, 2, strides=2)(x)

    channels, pruned = check_body(body)
    found = ["4 channels made by down", "8 channels made by code", "4 channels made by up x 9"]
    assert [str(g) for g in channels.groups] == found
    assert pruned.get_layer("up").kernel.shape == (4, 18)
