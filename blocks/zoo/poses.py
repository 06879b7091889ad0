"""Networks for key points: by heat maps, and by coordinates."""

from __future__ import annotations

import keras
from keras import layers

from legodnn.arrays import ImageShape
from legodnn.blocks.zoo.trunks import image_input, resnet50_stages, scaled


def simple_baseline(width: float = 1.0, input_shape: ImageShape = (256, 192, 3), points: int = 17) -> keras.Model:
    """Return SimpleBaselines on ResNet-50 (Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, 2018).

    Args:
        width: a factor for the channels of every layer but the maps.
        input_shape: height and width, which are multiples of 32, and channels.
        points: the number of key points.

    Returns:
        A model that gives a heat map for each point, shape (batch, height / 4, width / 4, points); see
        `legodnn.readings.HeatMaps`, and `legodnn.tasks.key_points.heat_maps_of` for what it is trained for.
    """
    inputs = image_input(input_shape, 32, "simple_baseline")
    x = resnet50_stages(inputs, width)[-1]
    for i in (1, 2, 3):
        x = layers.Conv2DTranspose(scaled(256, width), 4, 2, "same", use_bias=False, name=f"deconv{i}")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"deconv{i}_bn")(x)
        x = layers.ReLU(name=f"deconv{i}_act")(x)
    return keras.Model(inputs, layers.Conv2D(points, 1, name="heat_maps")(x), name="simple_baseline")


def deeppose(width: float = 1.0, input_shape: ImageShape = (256, 192, 3), points: int = 17) -> keras.Model:
    """Return DeepPose's first stage, a regression of coordinates (Toshev and Szegedy, DeepPose, 2014), on ResNet-50.

    ResNet-50 stands in for the paper's AlexNet, as in OpenMMLab's MMPose.

    Args:
        width: a factor for the channels of every layer but the coordinates.
        input_shape: height, width and channels.
        points: the number of key points.

    Returns:
        A model that gives x and y of each point as shares of width and height, shape (batch, 2 points); see
        `legodnn.readings.Coordinates`.
    """
    inputs = image_input(input_shape, 1, "deeppose")
    x = layers.GlobalAveragePooling2D(name="pool")(resnet50_stages(inputs, width)[-1])
    return keras.Model(inputs, layers.Dense(2 * points, name="coordinates")(x), name="deeppose")
