"""What networks of six tasks are trained by: model, loss, inputs and targets.

Networks are small and not deep, so that each is trained and built in a few minutes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from legodnn.blocks import zoo
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.training.anchor_loss import AnchorLoss, anchor_targets, fitted_anchors
from legodnn.blocks.training.heat_map_loss import HeatMapLoss
from legodnn.readings import AnchorBoxes, Anomaly, ClassScores, HeatMaps, Reading
from legodnn.tasks.key_points import heat_maps_of
from support.task_data import LIMBS

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)
from keras import layers  # isort: skip

FRAMES = 4  # of a clip
ANCHORS = 6  # of the detector's grid
BATCH = 32
Size = tuple[int, int, int]  # height, width and channels of a model's input


class Training(NamedTuple):
    """What a model is trained by: the model, its loss, inputs, targets, and what its outputs mean."""

    model: keras.Model
    loss: Any
    x: Any
    y: Any
    reading: Reading | None = None


def fit(training: Training, epochs: int) -> None:
    """Train a model by Adam, whose rate falls from 2e-3 by a cosine."""
    steps = epochs * -(-len(training.x) // BATCH)
    training.model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)), training.loss)
    training.model.fit(training.x, training.y, batch_size=BATCH, epochs=epochs, verbose=0)


def classifier(data: Dataset, size: Size) -> Training:
    """Return the training of a VGG16 on class numbers."""
    model = zoo.vgg16(1 / 8, size)
    return Training(model, keras.losses.SparseCategoricalCrossentropy(True), np.asarray(data.train.x), data.train.y)


def segmenter(data: Dataset, size: Size) -> Training:
    """Return the training of an FCN on maps of class numbers."""
    model = zoo.fcn(1 / 8, size, len(data.labels))
    loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=-1)
    return Training(model, loss, np.asarray(data.train.x), data.train.y)


def _trunk(size: Size) -> tuple[Any, Any, Any]:
    """Return an image, and features of strides 4 and 8, of seven convolutions."""
    features, x = [], keras.Input(size, name="image")
    image = x
    for channels, stride in ((12, 2), (12, 1), (24, 2), (24, 1), (48, 2), (48, 1), (48, 1)):
        x = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        features.append(x)
    return image, features[3], features[-1]


def detector(data: Dataset, size: Size) -> Training:
    """Return the training of a grid of boxes; pictures are mirrored too, since cells lie in any direction."""
    height, width, _ = size
    x, y = np.asarray(data.train.x), np.asarray(data.train.y)
    for axis, low, high, extent in ((2, 0, 2, width), (1, 1, 3, height)):
        mirrored, there = y.copy(), y[..., 4] >= 0
        mirrored[there, low], mirrored[there, high] = extent - y[there, high], extent - y[there, low]
        x, y = np.concatenate([x, np.flip(x, axis)]), np.concatenate([y, mirrored])
    reading = AnchorBoxes(anchors=fitted_anchors(y, grids=1, each=ANCHORS))
    image, _, features = _trunk(size)
    grid = layers.Conv2D(ANCHORS * (5 + len(data.labels)), 1, name="grid")(features)
    (targets,) = anchor_targets(y, reading, [grid.shape[1:]], height, width)
    return Training(keras.Model(image, grid, name="detector"), AnchorLoss(ANCHORS), x, targets, reading)


def pose(data: Dataset, size: Size) -> Training:
    """Return the training of heat maps, from fine features and coarse ones that are enlarged."""
    height, width, _ = size
    image, fine, coarse = _trunk(size)
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(24, 3, padding="same")(coarse))
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(24, 1)(fine)]))
    x = layers.ReLU()(layers.Conv2D(24, 5, padding="same")(x))
    model = keras.Model(image, layers.Conv2D(len(data.labels), 1, name="heat_maps")(x), name="pose")
    maps = heat_maps_of(np.asarray(data.train.y), height // 4, width // 4, height, width, deviation=1.5)
    reading = HeatMaps(points=data.labels, limbs=LIMBS)
    return Training(model, HeatMapLoss(), np.asarray(data.train.x), maps, reading)


def autoencoder(data: Dataset, size: Size) -> Training:
    """Return the training of an autoencoder on normal images alone."""
    x = np.asarray(data.train.x)
    return Training(zoo.gpnd(1 / 2, size), "mse", x, np.zeros_like(x), Anomaly())


def actions(data: Dataset, size: Size) -> Training:
    """Return the training of a temporal segment network on the frames of clips, with VGG16 in place of ResNet-50."""
    model = zoo.vgg16(1 / 8, size, len(data.labels))
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    return Training(model, loss, np.asarray(data.train.x), data.train.y, ClassScores(frames=FRAMES))
