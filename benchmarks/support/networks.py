"""Networks of kinds that keras.applications lacks: of six tasks, others for the same, small ones, with attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from legodnn.arrays import ImageShape
from legodnn.blocks import zoo
from support.transformers import mobilevit, vit_tiny

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)
from keras import layers  # isort: skip

SHAPE = (96, 96, 3)


def _conv(x: Any, width: int, kernel: int = 3, **options: Any) -> Any:
    x = layers.Conv2D(width, kernel, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def unet(shape: tuple[int, int, int] | None = None) -> keras.Model:
    """Make a U-Net (Ronneberger et al. 2015) with four levels and a quarter of the channels, for `SHAPE` or another."""
    x = inputs = keras.Input(shape or SHAPE)
    skips = []
    for width in (16, 32, 64, 128):
        x = _conv(_conv(x, width), width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _conv(_conv(x, 256), 256)
    for width in (128, 64, 32, 16):
        x = layers.Concatenate()([layers.Conv2DTranspose(width, 2, 2)(x), skips.pop()])
        x = _conv(_conv(x, width), width)
    return keras.Model(inputs, layers.Conv2D(11, 1)(x), name="unet")


def _encoder(stages: Sequence[int]) -> tuple[Any, list[Any]]:
    """Make a ResNet-18; return its input and the outputs of some of its stages."""
    model = zoo.resnet18(0.5, SHAPE)
    return model.inputs[0], [model.get_layer(f"layer{stage}_2_relu").output for stage in stages]


def fcn_resnet18() -> keras.Model:
    """Make a fully convolutional network (Long et al. 2015) on ResNet-18: scores of three stages, added up."""
    inputs, features = _encoder((2, 3, 4))
    fine, middle, coarse = (layers.Conv2D(11, 1)(x) for x in features)
    x = layers.Add()([layers.UpSampling2D(2, interpolation="bilinear")(coarse), middle])
    x = layers.Add()([layers.UpSampling2D(2, interpolation="bilinear")(x), fine])
    return keras.Model(inputs, layers.UpSampling2D(2, interpolation="bilinear")(x), name="fcn_resnet18")


def deeplabv3_resnet18() -> keras.Model:
    """Make a DeepLabV3 (Chen et al. 2017) on ResNet-18: atrous pyramid with image pooling."""
    inputs, (x,) = _encoder((4,))
    side = x.shape[1]
    pooled = _conv(layers.GlobalAveragePooling2D(keepdims=True)(x), 64, 1)
    pyramid = [layers.UpSampling2D(side, interpolation="bilinear")(pooled), _conv(x, 64, 1)]
    pyramid += [_conv(x, 64, dilation_rate=rate) for rate in (2, 4, 6)]
    x = _conv(layers.Concatenate()(pyramid), 64, 1)
    x = layers.UpSampling2D(4, interpolation="bilinear")(layers.Conv2D(11, 1)(_conv(x, 64)))
    return keras.Model(inputs, x, name="deeplabv3_resnet18")


def detector() -> keras.Model:
    """Make a YOLO-style detector: three heads, the coarser features up-sampled into the finer."""
    inputs, features = _encoder((2, 3, 4))
    outputs, x = [], None
    for level, width in zip(reversed(features), (128, 64, 32), strict=True):
        x = level if x is None else layers.Concatenate()([level, layers.UpSampling2D()(_conv(x, width, 1))])
        x = _conv(_conv(_conv(x, width, 1), 2 * width), width, 1)
        outputs.append(layers.Conv2D(3 * (5 + 3), 1)(_conv(x, 2 * width)))
    return keras.Model(inputs, outputs, name="detector")


def autoencoder() -> keras.Model:
    """Make a convolutional autoencoder with a dense code."""
    x = inputs = keras.Input((32, 32, 3))
    for width in (16, 32, 64):
        x = _conv(_conv(x, width, strides=2), width)
    x = layers.Dense(4 * 4 * 64, activation="relu")(layers.Dense(64)(layers.Flatten()(x)))
    x = layers.Reshape((4, 4, 64))(x)
    for width in (64, 32, 16):
        x = _conv(layers.Conv2DTranspose(width, 3, 2, padding="same")(x), width)
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x), name="autoencoder")


def resnet8() -> keras.Model:
    """Make MLPerf Tiny's ResNet-8 for CIFAR-10."""
    inputs = keras.Input((32, 32, 3))
    x = _conv(inputs, 16)
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(x, width, strides=stride)
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(y))
        x = layers.Conv2D(width, 1, stride, padding="same")(x) if stride > 1 else x
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name="resnet8")


def of_six_tasks(width: float, shape: ImageShape) -> dict[str, tuple[str, Callable[[], keras.Model]]]:
    """Return the task of each network of `legodnn.blocks.zoo`, and what makes it.

    Args:
        width: a factor for channels.
        shape: of images; GPND's have 32x32 pixels and one channel, and what is behind a trunk has no images.
    """
    side = max(1, shape[0] // 4)  # of the finest features of a pyramid
    return {
        "vgg16": ("classification", lambda: zoo.vgg16(width, shape)),
        "resnet18": ("classification", lambda: zoo.resnet18(width, shape)),
        "fcn": ("segmentation", lambda: zoo.fcn(width, shape)),
        "deeplabv3": ("segmentation", lambda: zoo.deeplabv3(width, shape)),
        "yolov3": ("detection", lambda: zoo.yolov3(width, shape)),
        "faster_rcnn": ("detection", lambda: zoo.faster_rcnn(width, shape)),
        "faster_rcnn_proposals": ("detection", lambda: zoo.faster_rcnn_proposals(width, side, side)),
        "faster_rcnn_boxes": ("detection", lambda: zoo.faster_rcnn_boxes(width)),
        "simple_baseline": ("pose", lambda: zoo.simple_baseline(width, shape)),
        "deeppose": ("pose", lambda: zoo.deeppose(width, shape)),
        "gpnd": ("anomaly", lambda: zoo.gpnd(width)),
        "ordinal_regression": ("anomaly", lambda: zoo.ordinal_regression(width, shape)),
        "tsn": ("action", lambda: zoo.tsn(width, shape)),
        "trn_frames": ("action", lambda: zoo.trn_frames(width, shape)),
        "trn_relations": ("action", lambda: zoo.trn_relations()),
    }


OTHERS: dict[str, Callable[[], keras.Model]] = {
    "resnet18": lambda: zoo.resnet18(1.0, SHAPE),
    "resnet20": zoo.resnet20,
    "resnet56": zoo.resnet56,
    "unet": unet,
    "fcn_resnet18": fcn_resnet18,
    "deeplabv3_resnet18": deeplabv3_resnet18,
    "detector": detector,
    "autoencoder": autoencoder,
    "resnet8": resnet8,
    "vit_tiny": lambda: vit_tiny(SHAPE),
    "mobilevit": lambda: mobilevit((128, 128, 3)),
}
