"""Networks for actions in clips: each frame runs through a trunk, and what it gives is put together.

The trunk is what costs time and memory, so it is the model that is cut into blocks, and it runs once for each frame.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from legodnn.arrays import ImageShape
from legodnn.blocks.zoo.trunks import image_input, resnet50_stages

_RELATIONS = 3  # of each number of frames, as in Zhou et al. 2018
_FEATURES = 256


def tsn(width: float = 1.0, input_shape: ImageShape = (224, 224, 3), classes: int = 400) -> keras.Model:
    """Return a temporal segment network (Wang et al., Temporal Segment Networks, 2016) on ResNet-50, for one frame.

    A clip's scores are the mean of its frames' (`legodnn.readings.ClassScores.frames`).

    Args:
        width: a factor for the channels of every layer but the scores.
        input_shape: height, width and channels of a frame.
        classes: the number of classes.

    Returns:
        A model that gives logits, shape (batch, classes).
    """
    inputs = image_input(input_shape, 1, "tsn")
    x = layers.GlobalAveragePooling2D(name="pool")(resnet50_stages(inputs, width)[-1])
    x = layers.Dropout(0.5, name="drop")(x)
    return keras.Model(inputs, layers.Dense(classes, name="scores")(x), name="tsn")


def trn_frames(width: float = 1.0, input_shape: ImageShape = (224, 224, 3)) -> keras.Model:
    """Return the trunk of a temporal relation network (Zhou et al. 2018) on ResNet-50, for one frame.

    Args:
        width: a factor for the channels of every layer but the features.
        input_shape: height, width and channels of a frame.

    Returns:
        A model that gives 256 features, shape (batch, 256), for `trn_relations`.
    """
    inputs = image_input(input_shape, 1, "trn_frames")
    x = layers.GlobalAveragePooling2D(name="pool")(resnet50_stages(inputs, width)[-1])
    return keras.Model(inputs, layers.Dense(_FEATURES, name="features")(x), name="trn_frames")


def trn_relations(frames: int = 8, classes: int = 174, features: int = _FEATURES) -> keras.Model:
    """Return the multi-scale relations of a temporal relation network (Zhou et al. 2018).

    For 2, 3, ... frames, and for up to three choices of so many frames in their order, features are joined and give
    scores through a hidden layer of 256; the scores of all choices are added up. The paper draws the choices at random;
    here they are fixed, spread evenly over all choices, so that a clip always has the same scores.

    Args:
        frames: frames of a clip.
        classes: the number of classes.
        features: of each frame.

    Returns:
        A model that takes features of clips, shape (batch, frames, features), and gives logits, shape (batch, classes).
    """
    inputs = keras.Input((frames, features), name="features")
    scores: list[Any] = []
    for count in range(frames, 1, -1):
        choices = list(combinations(range(frames), count))
        spread = np.linspace(0, len(choices) - 1, min(_RELATIONS, len(choices))).astype(int)
        chosen = np.concatenate([choices[i] for i in spread])
        x = ops.reshape(ops.take(inputs, chosen, axis=1), (-1, len(spread), count * features))
        x = layers.Dense(256, activation="relu", name=f"relate{count}")(layers.ReLU(name=f"joined{count}")(x))
        scores.append(ops.sum(layers.Dense(classes, name=f"scores{count}")(x), axis=1))
    return keras.Model(inputs, layers.Add(name="scores")(scores), name="trn_relations")
