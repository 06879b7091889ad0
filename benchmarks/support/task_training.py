"""What networks of six tasks are trained by: model, loss, inputs and targets, as docs/tasks.md shows them."""

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

FRAMES = 4  # of a clip
Size = tuple[int, int, int]  # height, width and channels of a model's input


class Training(NamedTuple):
    """What a model is trained by: the model, its loss, inputs, targets, and what its outputs mean."""

    model: keras.Model
    loss: Any
    x: Any
    y: Any
    reading: Reading | None = None


def classifier(data: Dataset, size: Size) -> Training:
    """Return the training of a ResNet-18 on class numbers."""
    model = zoo.resnet18(1 / 8, size)
    return Training(model, keras.losses.SparseCategoricalCrossentropy(True), np.asarray(data.train.x), data.train.y)


def segmenter(data: Dataset, size: Size) -> Training:
    """Return the training of a DeepLabv3 on maps of class numbers."""
    model = zoo.deeplabv3(1 / 8, size, len(data.labels))
    loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=-1)
    return Training(model, loss, np.asarray(data.train.x), data.train.y)


def detector(data: Dataset, size: Size) -> Training:
    """Return the training of a YOLOv3 on boxes; pictures are mirrored too, since cells lie in any direction."""
    height, width, _ = size
    x, y = np.asarray(data.train.x), np.asarray(data.train.y)
    for axis, low, high, extent in ((2, 0, 2, width), (1, 1, 3, height)):
        mirrored, there = y.copy(), y[..., 4] >= 0
        mirrored[there, low], mirrored[there, high] = extent - y[there, high], extent - y[there, low]
        x, y = np.concatenate([x, np.flip(x, axis)]), np.concatenate([y, mirrored])
    reading = AnchorBoxes(anchors=fitted_anchors(y, grids=3, each=3))
    model = zoo.yolov3(1 / 8, size, len(data.labels), anchors=3)
    targets = anchor_targets(y, reading, [grid.shape[1:] for grid in model.outputs], height, width)
    return Training(model, [AnchorLoss(3) for _ in targets], x, targets, reading)


def pose(data: Dataset, size: Size) -> Training:
    """Return the training of a SimpleBaselines on heat maps."""
    height, width, _ = size
    model = zoo.simple_baseline(1 / 8, size, len(data.labels))
    maps = heat_maps_of(np.asarray(data.train.y), height // 4, width // 4, height, width, deviation=1.5)
    reading = HeatMaps(points=data.labels, limbs=LIMBS)
    return Training(model, HeatMapLoss(), np.asarray(data.train.x), maps, reading)


def autoencoder(data: Dataset, size: Size) -> Training:
    """Return the training of an autoencoder on normal images alone."""
    x = np.asarray(data.train.x)
    return Training(zoo.gpnd(1 / 2, size), "mse", x, np.zeros_like(x), Anomaly())


def actions(data: Dataset, size: Size) -> Training:
    """Return the training of a temporal segment network on the frames of clips."""
    model = zoo.tsn(1 / 8, size, len(data.labels))
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    return Training(model, loss, np.asarray(data.train.x), data.train.y, ClassScores(frames=FRAMES))
