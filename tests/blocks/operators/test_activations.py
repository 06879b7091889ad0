"""Channels are removed through activations of single values, as layers and as arguments of other layers."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from legodnn.blocks.channels.reasons import ELEMENTWISE_ACTIVATIONS


def between(middle: Any, **options: Any) -> Any:
    """Return a block: a convolution `a` of 6 channels, the operation under test, and the output."""
    return lambda x: layers.Conv2D(3, 3)(middle(layers.Conv2D(6, 3, name="a", **options)(x)))


@pytest.mark.parametrize("name", sorted(ELEMENTWISE_ACTIVATIONS))
def test_elementwise_activations_let_channels_go(check_body: Any, name: str) -> None:
    channels, pruned = check_body(between(layers.Activation(name)))
    assert [str(g) for g in channels.groups] == ["6 channels made by a"]
    assert pruned.get_layer("a").filters == 3


@pytest.mark.parametrize("activation", [tf.nn.relu, tf.nn.swish, tf.tanh, tf.sigmoid, ops.gelu, ops.relu6])
def test_functions_of_tensorflow_and_of_keras_ops_are_the_activations_of_their_names(
    check_body: Any, activation: Any
) -> None:
    for middle in (layers.Activation(activation), layers.Conv2D(6, 1, activation=activation)):
        channels, pruned = check_body(between(middle, activation=activation))
        assert channels.groups
        assert not channels.reasons
        assert pruned.get_layer("a").filters == 3


@pytest.mark.parametrize("activation", [tf.nn.softmax, tf.nn.log_softmax, ops.softmax, lambda x: x[..., ::-1]])
def test_functions_that_mix_channels_keep_them_and_are_copied(check_body: Any, activation: Any) -> None:
    channels, pruned = check_body(
        lambda x: layers.Conv2D(3, 3)(layers.Conv2D(6, 3, activation=activation, name="a")(x))
    )
    assert not channels.groups
    assert pruned.get_layer("a").filters == 6


@pytest.mark.parametrize("layer", [layers.ReLU(6.0, 0.1, 0.5), layers.LeakyReLU(0.2), layers.ELU(0.7)])
def test_activation_layers_keep_their_settings(check_body: Any, layer: Any) -> None:
    _, pruned = check_body(between(layer))
    assert pruned.get_layer("a").filters == 3
    assert pruned.get_layer(layer.name).get_config() == layer.get_config()


@pytest.mark.parametrize("activation", ["sigmoid", keras.activations.silu, keras.activations.exponential])
def test_an_activation_that_does_not_keep_zeros_is_no_obstacle(check_body: Any, activation: Any) -> None:
    """Readers are given zeros for removed channels, although sigmoid(0) is not zero."""
    _, pruned = check_body(between(layers.Identity(), activation=activation))
    assert pruned.get_layer("a").filters == 3


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax"])
def test_activations_over_channels_keep_them_all(check_body: Any, name: str) -> None:
    def body(x: Any) -> Any:
        x = layers.Activation(name, name="over")(layers.Conv2D(6, 3, name="a")(x))
        return layers.Conv2D(3, 3)(x)

    channels, pruned = check_body(body)
    assert not channels.groups
    assert channels.kept_whole["over"].endswith("is not known to keep channels apart")
    assert pruned.get_layer("a").filters == 6
