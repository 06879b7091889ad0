"""Networks with attention: a vision transformer, and one that is half of convolutions."""

from __future__ import annotations

from typing import Any

from legodnn.arrays import ImageShape

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)
from keras import layers  # isort: skip


def _encoder(x: Any, heads: int, hidden: int, activation: str, axes: tuple[int, ...] | None = None) -> Any:
    """Add an encoder: attention over some axes or all, and two dense layers, each beside a shortcut."""
    width = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(heads, width // heads, attention_axes=axes)(y, y)])
    y = layers.Dense(hidden, activation=activation)(layers.LayerNormalization(epsilon=1e-6)(x))
    return layers.Add()([x, layers.Dense(width)(y)])


def vit_tiny(shape: ImageShape) -> keras.Model:
    """Make a vision transformer (ViT-Ti: Touvron et al. 2021) of patches of 8x8 pixels.

    Positions are told by a depthwise convolution (Chu et al. 2021), and classes by the mean of all patches.
    """
    inputs = keras.Input(shape)
    x = layers.Conv2D(192, 8, 8)(inputs)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.Reshape((-1, 192))(x)
    for _ in range(12):
        x = _encoder(x, 3, 768, "gelu")
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="vit_tiny")


def mobilevit(shape: ImageShape) -> keras.Model:
    """Make a MobileViT of the smallest size, XXS (Mehta and Rastegari 2022); sides are multiples of 64 pixels."""
    inputs = keras.Input(shape)
    x = _conv(inputs, 16, strides=2)
    for width, stride in ((16, 1), (24, 2), (24, 1), (24, 1), (48, 2)):
        x = _inverted(x, width, stride)
    for width, encoders, after in ((64, 2, 64), (80, 4, 80), (96, 3, 0)):
        x = _with_attention(x, width, encoders)
        x = _inverted(x, after, 2) if after else x
    x = layers.GlobalAveragePooling2D()(_conv(x, 320, 1))
    return keras.Model(inputs, layers.Dense(10)(x), name="mobilevit")


def _conv(x: Any, width: int, kernel: int = 3, **options: Any) -> Any:
    x = layers.Conv2D(width, kernel, padding="same", use_bias=False, **options)(x)
    return layers.Activation("swish")(layers.BatchNormalization()(x))


def _inverted(x: Any, width: int, stride: int) -> Any:
    """Add an inverted residual, twice as wide inside."""
    y = _conv(x, 2 * x.shape[-1], 1)
    y = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(y)
    y = layers.Activation("swish")(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(width, 1, use_bias=False)(y))
    return layers.Add()([x, y]) if y.shape == x.shape else y


def _with_attention(x: Any, width: int, encoders: int) -> Any:
    """Add a MobileViT block: attention among the pixels that have the same place in patches of 2x2."""
    _, height, breadth, channels = x.shape
    tall, wide = height // 2, breadth // 2
    y = layers.Conv2D(width, 1)(_conv(x, channels))
    y = layers.Permute((2, 1, 3, 4))(layers.Reshape((tall, 2, breadth, width))(y))
    y = layers.Permute((3, 1, 2, 4))(layers.Reshape((2 * tall, wide, 2, width))(y))
    y = layers.Reshape((4, tall * wide, width))(y)
    for _ in range(encoders):
        y = _encoder(y, 4, 2 * width, "swish", axes=(2,))
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    y = layers.Permute((2, 3, 1, 4))(layers.Reshape((2, 2 * tall, wide, width))(y))
    y = layers.Permute((2, 1, 3, 4))(layers.Reshape((2, tall, breadth, width))(y))
    y = _conv(layers.Reshape((height, breadth, width))(y), channels, 1)
    return _conv(layers.Concatenate()([x, y]), channels)
