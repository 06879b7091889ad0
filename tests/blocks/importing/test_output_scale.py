"""What an output's values are is told by its last activation, wherever that stands, and by trying the user's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.importing.output_scale import scale_of


@keras.saving.register_keras_serializable("tests")
class Own(layers.Layer):
    """A layer of the user's own."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def own_softmax(x: Any) -> Any:
    return ops.softmax(x)


def flat(x: Any) -> Any:
    return layers.Dense(4)(layers.Flatten()(x))


CASES: dict[str, tuple[str, Any]] = {
    "dense": ("linear", flat),
    "relu": ("linear", lambda x: layers.ReLU()(flat(x))),
    "softmax of a dense layer": ("softmax", lambda x: layers.Dense(4, "softmax")(flat(x))),
    "softmax layer": ("softmax", lambda x: layers.Softmax()(flat(x))),
    "activation layer": ("softmax", lambda x: layers.Activation("softmax")(flat(x))),
    "softmax operation": ("softmax", lambda x: ops.softmax(flat(x))),
    "softmax, then identity": ("softmax", lambda x: layers.Identity()(layers.Softmax()(flat(x)))),
    "softmax, then linear": ("softmax", lambda x: layers.Activation("linear")(layers.Softmax()(flat(x)))),
    "softmax, then reshape": ("softmax", lambda x: layers.Reshape((1, 4))(layers.Softmax()(flat(x)))),
    "softmax, then another last axis": ("sigmoid", lambda x: layers.Reshape((4, 1))(layers.Softmax()(flat(x)))),
    "softmax over places": ("sigmoid", lambda x: layers.Softmax(axis=1)(layers.Conv2D(3, 1)(x))),
    "softmax, then pooling": (
        "softmax",
        lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, activation="softmax")(x)),
    ),
    "softmax, then dense": ("linear", lambda x: layers.Dense(3)(layers.Softmax()(flat(x)))),
    "softmax function of the user's own": ("softmax", lambda x: layers.Dense(4, activation=own_softmax)(flat(x))),
    "layer of the user's own": ("softmax", lambda x: Own(ops.softmax)(flat(x))),
    "lambda": ("sigmoid", lambda x: layers.Lambda(ops.sigmoid)(flat(x))),
    "linear layer of the user's own": ("linear", lambda x: Own(lambda v: 3 * v)(flat(x))),
    "sigmoid": ("sigmoid", lambda x: layers.Dense(1, "sigmoid")(flat(x))),
    "sigmoid operation": ("sigmoid", lambda x: ops.sigmoid(flat(x))),
    "sigmoids together": (
        "sigmoid",
        lambda x: layers.Concatenate()([layers.Dense(1, "sigmoid")(flat(x)), layers.Dense(2, "sigmoid")(flat(x))]),
    ),
    "sigmoid and linear together": (
        "linear",
        lambda x: layers.Concatenate()([layers.Dense(1, "sigmoid")(flat(x)), layers.Dense(2)(flat(x))]),
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_the_last_activation_tells_what_values_are(case: str) -> None:
    keras.utils.set_random_seed(0)
    scale, body = CASES[case]
    image = keras.Input((4, 4, 2))
    x = np.random.default_rng(0).normal(0, 3, (40, 4, 4, 2)).astype(np.float32)
    assert scale_of(keras.Model(image, body(image)), 0, x) == scale
