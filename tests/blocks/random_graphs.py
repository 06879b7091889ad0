"""Small random models of everything that pruning knows, for tests of what must hold for any graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from hypothesis import Phase
from hypothesis import strategies as st
from keras import layers, ops

# Shrinking a counterexample would build models for minutes; they are small as they are.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Ramp(keras.layers.Layer):
    """An operation that pruning cannot know: its result depends on a channel's place."""

    def call(self, x: Any) -> Any:
        return x * ops.arange(1, x.shape[-1] + 1, dtype="float32")


def conv(filters: int, **options: Any) -> keras.layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", **options)


def _step(draw: Draw, tensors: list[Any]) -> Any:
    """One more tensor of the same height and width."""
    x = draw(st.sampled_from(tensors[-3:]))
    others = [t for t in tensors if t is not x and t.shape == x.shape]
    kind = draw(st.integers(0, 22))
    if kind <= 3:
        act = draw(st.sampled_from([None, "relu", "sigmoid", "tanh"]))
        return conv(draw(st.integers(1, 6)), activation=act, use_bias=draw(st.booleans()))(x)
    if kind <= 6 and others:
        return draw(st.sampled_from([layers.Add(), layers.Multiply(), layers.Maximum()]))([x, others[-1]])
    if kind == 7:
        return layers.Concatenate()([x, draw(st.sampled_from(tensors))])
    if kind == 8:
        return draw(st.sampled_from([Ramp, layers.LayerNormalization, layers.PReLU]))()(x)
    if kind == 9:
        return layers.MaxPooling2D(2, 1, padding="same")(x)
    if kind == 10:
        return layers.Dropout(0.5)(x)
    if kind == 11:
        return ops.relu(x) if draw(st.booleans()) else layers.ReLU()(x)
    if kind == 12:
        return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=draw(st.integers(1, 2)))(x)
    if kind == 13:
        made = draw(st.sampled_from([layers.SeparableConv2D, layers.Conv2DTranspose]))
        return made(draw(st.integers(1, 6)), 3, padding="same")(x)
    if kind == 14 and x.shape[-1] % 2 == 0:
        return conv(draw(st.sampled_from([2, 4, 6])), groups=2)(x)
    if kind == 15:
        gate = layers.Reshape((1, 1, x.shape[-1]))(layers.GlobalAveragePooling2D()(x))
        gate = layers.Dense(x.shape[-1], activation="sigmoid")(layers.Dense(2, activation="relu")(gate))
        return layers.Multiply()([x, gate])
    if kind == 16:
        return layers.Multiply()([x, conv(1, activation="sigmoid")(x)])
    if kind == 18 and x.shape[-1] % 2 == 0:
        return layers.GroupNormalization(x.shape[-1] // 2)(x)
    if kind == 19 and x.shape[-1] > 1:
        first, second = ops.split(x, [draw(st.integers(1, x.shape[-1] - 1))], axis=-1)
        return layers.Concatenate()([second, conv(2)(first), x[..., : draw(st.integers(1, x.shape[-1]))]])
    if kind == 20:
        return ops.pad(x, ((0, 0), (0, 0), (0, 0), (draw(st.integers(0, 2)), draw(st.integers(0, 2)))))
    if kind >= 21:  # a layer that is used again
        shared = draw(
            st.sampled_from(
                [
                    conv(x.shape[-1], activation="relu"),
                    layers.SeparableConv2D(x.shape[-1], 3, padding="same"),
                    layers.DepthwiseConv2D(3, padding="same"),
                    layers.BatchNormalization(),
                    layers.PReLU(shared_axes=[1, 2]),
                ]
            )
        )
        again = draw(st.sampled_from([shared(x), layers.ReLU()(x), *others[-1:]]))
        return draw(st.sampled_from([layers.Add(), layers.Concatenate()]))([shared(x), shared(again)])
    if kind == 17:
        there, back = draw(
            st.sampled_from(
                [
                    (layers.ZeroPadding2D(1), layers.Cropping2D(1)),
                    (layers.UpSampling2D(2, interpolation="bilinear"), layers.AveragePooling2D(2)),
                    (layers.Reshape((16, x.shape[-1])), layers.Reshape((4, 4, x.shape[-1]))),
                    (layers.Rescaling(0.5, 0.1), layers.LeakyReLU()),
                ]
            )
        )
        return back(there(x))
    return layers.BatchNormalization()(x)


def small_model(draw: Draw) -> keras.Model:
    """A small Functional model."""
    inputs = keras.Input((4, 4, draw(st.integers(1, 3))))
    tensors = [inputs, conv(draw(st.integers(2, 6)))(inputs)]
    for _ in range(draw(st.integers(1, 7))):
        tensors.append(_step(draw, tensors))
    x, end = tensors[-1], draw(st.integers(0, 3))
    if end == 0:
        x = conv(3)(x)
    elif end == 1:
        x = layers.Dense(3)(layers.Flatten()(layers.AveragePooling2D(2)(x)))
    elif end == 2:
        x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)
