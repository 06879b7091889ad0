"""Networks for detection: in one stage, and in two."""

from __future__ import annotations

import keras
from keras import layers

from legodnn.arrays import ImageShape
from legodnn.blocks.zoo.trunks import convolution, darknet53_stages, enlarged, image_input, resnet50_stages, scaled

_LEVELS = (2, 3, 4, 5)  # of a feature pyramid; level l has the stride 2^l


def yolov3(
    width: float = 1.0, input_shape: ImageShape = (416, 416, 3), classes: int = 80, anchors: int = 3
) -> keras.Model:
    """Return YOLOv3 on Darknet-53 (Redmon and Farhadi, YOLOv3: An Incremental Improvement, 2018).

    Args:
        width: a factor for the channels of every layer but the grids.
        input_shape: height and width, which are multiples of 32, and channels.
        classes: the number of classes.
        anchors: the number of anchors of each grid.

    Returns:
        A model that gives three grids, of strides 32, 16 and 8, the coarsest first, each of shape
        (batch, rows, columns, anchors x (5 + classes)); see `legodnn.readings.AnchorBoxes`.
    """
    inputs = image_input(input_shape, 32, "yolov3")
    grids, x = [], None
    for features, channels in zip(reversed(darknet53_stages(inputs, width)), (512, 256, 128), strict=True):
        filters, name = scaled(channels, width), f"neck{channels}"
        if x is not None:
            x = convolution(x, filters, 1, f"{name}_in", activation="leaky_relu")
            features = layers.Concatenate(name=f"{name}_join")([enlarged(x, 2, f"{name}_up", "nearest"), features])
        x = features
        for i, (factor, kernel) in enumerate([(1, 1), (2, 3), (1, 1), (2, 3), (1, 1)]):
            x = convolution(x, factor * filters, kernel, f"{name}_conv{i}", activation="leaky_relu")
        y = convolution(x, 2 * filters, 3, f"{name}_head", activation="leaky_relu")
        grids.append(layers.Conv2D(anchors * (5 + classes), 1, name=f"grid{channels}")(y))
    return keras.Model(inputs, grids, name="yolov3")


def faster_rcnn(width: float = 1.0, input_shape: ImageShape = (800, 800, 3)) -> keras.Model:
    """Return trunk and neck of Faster R-CNN (Ren et al. 2015): ResNet-50 with a feature pyramid (Lin et al. 2017).

    An application gives the features of each level to `faster_rcnn_proposals`, cuts 7x7 pieces out of the features
    where the best proposals are (RoIAlign), and gives each piece to `faster_rcnn_boxes`.

    Args:
        width: a factor for the channels of every layer but the scores and boxes.
        input_shape: height and width, which are multiples of 32, and channels.

    Returns:
        A model that gives the features of levels 2 to 5, of strides 4 to 32, the finest first.
    """
    inputs = image_input(input_shape, 32, "faster_rcnn")
    filters = scaled(256, width)
    coarser, outputs = None, []
    for level, features in reversed(list(zip(_LEVELS, resnet50_stages(inputs, width), strict=True))):
        inner = layers.Conv2D(filters, 1, name=f"inner{level}")(features)
        if coarser is not None:
            inner = layers.Add(name=f"merge{level}")([inner, enlarged(coarser, 2, f"up{level}", "nearest")])
        coarser = inner
        outputs.append(layers.Conv2D(filters, 3, padding="same", name=f"features{level}")(inner))
    return keras.Model(inputs, outputs[::-1], name="faster_rcnn")


def faster_rcnn_proposals(
    width: float = 1.0, rows: int = 50, columns: int = 50, features: int = 256, anchors: int = 3
) -> keras.Model:
    """Return the region proposal network of `faster_rcnn`, for a level of so many rows and columns.

    Args:
        width: as of `faster_rcnn`.
        rows: of the level's features.
        columns: likewise.
        features: their channels, before the width counts.
        anchors: the number of anchors at each place.

    Returns:
        A model that takes features, shape (batch, rows, columns, features), and gives a logit for each anchor, and four
        numbers for each anchor.
    """
    inputs = keras.Input((rows, columns, scaled(features, width)), name="features")
    x = layers.Conv2D(scaled(features, width), 3, padding="same", activation="relu", name="proposals")(inputs)
    outputs = [layers.Conv2D(anchors, 1, name="objectness")(x), layers.Conv2D(4 * anchors, 1, name="deltas")(x)]
    return keras.Model(inputs, outputs, name="faster_rcnn_proposals")


def faster_rcnn_boxes(width: float = 1.0, classes: int = 91, side: int = 7) -> keras.Model:
    """Return the second stage of `faster_rcnn`: what is in a piece of the features, and where exactly.

    Args:
        width: as of the first stage.
        classes: the number of classes, background included.
        side: height and width of a piece.

    Returns:
        A model that takes pieces, shape (batch, side, side, features), and gives logits of classes, shape (batch,
        classes), and four numbers for each class, shape (batch, 4 classes).
    """
    inputs = x = keras.Input((side, side, scaled(256, width)), name="piece")
    x = layers.Flatten(name="flat")(x)
    for i in (6, 7):
        x = layers.Dense(scaled(1024, width), activation="relu", name=f"fc{i}")(x)
    outputs = [layers.Dense(classes, name="classes")(x), layers.Dense(4 * classes, name="deltas")(x)]
    return keras.Model(inputs, outputs, name="faster_rcnn_boxes")
