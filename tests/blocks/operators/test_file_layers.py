"""Layers of imported files: constants follow channels, resizing by corners keeps them apart.

Covers also: blocks.importing.file_layers.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.export.convert import check_converted, convert
from legodnn.blocks.importing.file_layers import BINARY_OPERATIONS, ConstantOperand, ConstantTensor, CornerResizing


def conv(filters: int) -> Any:
    return layers.Conv2D(filters, 3, padding="same")


@pytest.mark.parametrize("follows", [(False, False, True), (True, False, False), (True, True, True)])
def test_a_constant_is_cut_with_the_channels_that_it_is_for(check_body: Any, follows: tuple[bool, ...]) -> None:
    channels, pruned = check_body(lambda x: conv(3)(ConstantOperand("multiply", follows, name="by")(conv(8)(x))))
    assert not channels.kept_whole
    assert pruned.get_layer("by").constant.shape[-1] == (4 if follows[-1] else 1)


def test_images_are_resized_channel_by_channel(check_body: Any) -> None:
    channels, _ = check_body(lambda x: conv(3)(CornerResizing(9, 4, "bilinear", True)(conv(8)(x))))
    assert not channels.kept_whole


def test_a_constant_among_tensors_keeps_its_channels(check_body: Any) -> None:
    def body(x: Any) -> Any:
        y = conv(8)(x)
        return conv(3)(layers.Add()([y, ConstantTensor((6, 6, 8), name="constant")(y)]))

    channels, _ = check_body(body)
    assert "constant" in channels.kept_whole


@pytest.mark.parametrize("first", [False, True])
def test_constants_survive_saving_and_conversion(random_weights: Any, first: bool) -> None:
    x = image = keras.Input((4, 4, 3))
    for kind in list(BINARY_OPERATIONS)[:6]:
        x = ConstantOperand(kind, (False, False, True), first)(x)
    model = random_weights(keras.Model(image, CornerResizing(8, 8, "nearest", False)(x)))
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    images = np.random.default_rng(0).random((4, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(again(images), model(images))
    check_converted(convert(model), model, [images], "constants")


def test_only_constants_that_can_be_learned_are_trained() -> None:
    x = keras.Input((4, 4, 3))
    trained = {kind: ConstantOperand(kind, (False, False, True)) for kind in BINARY_OPERATIONS}
    for layer in trained.values():
        layer(x)
    assert [k for k, layer in trained.items() if layer.trainable_weights] == ["add", "subtract", "multiply", "divide"]
