"""The convolutional trunks that several networks have in common: VGG16, ResNet-50 and Darknet-53, stage by stage."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from legodnn.arrays import ImageShape
from legodnn.errors import ModelError

_EPSILON = 1e-5


def scaled(channels: int, width: float) -> int:
    """Return a number of channels times a width, at least 1."""
    return max(1, round(channels * width))


def convolution(
    x: Any, filters: int, kernel: int, name: str, stride: int = 1, dilation: int = 1, activation: str | None = "relu"
) -> Any:
    """Return a convolution with batch norm and an activation; it pads by half the kernel on all sides, as PyTorch does.

    Args:
        x: a tensor of shape (batch, height, width, channels).
        filters: the number of output channels.
        kernel: its height and width, an odd number.
        name: of the convolution; layers around it have it with an ending.
        stride: at most 2.
        dilation: distance of the kernel's elements.
        activation: relu, leaky_relu (with a slope of .1), or None.
    """
    # "same" would pad a strided convolution on one side alone, and published weights would lose accuracy.
    if stride > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(
        filters, kernel, stride, padding, dilation_rate=dilation, use_bias=False, kernel_initializer="he_normal",
        name=name,
    )(x)  # fmt: skip
    x = layers.BatchNormalization(momentum=0.9, epsilon=_EPSILON, name=f"{name}_bn")(x)
    if activation == "leaky_relu":
        return layers.LeakyReLU(0.1, name=f"{name}_leaky_relu")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def vgg16_stages(x: Any, width: float = 1.0) -> list[Any]:
    """Return the outputs of the five stages of a VGG16 with batch norm (Simonyan and Zisserman 2015), strides 2 to 32.

    Args:
        x: images, shape (batch, height, width, channels).
        width: a factor for the channels.
    """
    stages = []
    for stage, (channels, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1):
        for i in range(1, depth + 1):
            x = convolution(x, scaled(channels, width), 3, f"conv{stage}_{i}")
        x = layers.MaxPooling2D(name=f"pool{stage}")(x)
        stages.append(x)
    return stages


def _bottleneck(x: Any, filters: int, stride: int, dilation: int, name: str) -> Any:
    """Return a residual block of three convolutions, with the stride in the middle one."""
    shortcut = x
    if stride > 1 or x.shape[-1] != 4 * filters:
        shortcut = convolution(x, 4 * filters, 1, f"{name}_shortcut", stride, activation=None)
    y = convolution(x, filters, 1, f"{name}_conv1")
    y = convolution(y, filters, 3, f"{name}_conv2", stride, dilation)
    y = convolution(y, 4 * filters, 1, f"{name}_conv3", activation=None)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([y, shortcut]))


def resnet_stem(x: Any, width: float) -> Any:
    """Return what a ResNet for large images begins with: a convolution and pooling, of stride 4 together."""
    x = convolution(x, scaled(64, width), 7, "stem", 2)
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    return layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def resnet50_stages(x: Any, width: float = 1.0, most_stride: int = 32) -> list[Any]:
    """Return the outputs of the four stages of a ResNet-50 (He et al. 2016), of strides 4, 8, 16 and 32.

    Args:
        x: images, shape (batch, height, width, channels).
        width: a factor for the channels.
        most_stride: 8, 16 or 32: later stages keep this stride, and dilate their convolutions instead (Chen et al.
            2017).
    """
    x = resnet_stem(x, width)
    stages, reached, dilation = [], 4, 1
    for stage, (channels, depth) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=1):
        stride = 1 if stage == 1 or reached == most_stride else 2
        for i in range(depth):
            # The first block of a dilated stage reads features that are not dilated by this stage yet.
            x = _bottleneck(x, scaled(channels, width), stride if i == 0 else 1, dilation, f"layer{stage}_{i}")
            dilation *= 2 if i == 0 and stage > 1 and stride == 1 else 1
        reached *= stride
        stages.append(x)
    return stages


def darknet53_stages(x: Any, width: float = 1.0) -> list[Any]:
    """Return the outputs of the last three stages of a Darknet-53 (Redmon and Farhadi 2018), of strides 8, 16 and 32.

    Args:
        x: images, shape (batch, height, width, channels).
        width: a factor for the channels.
    """
    x = convolution(x, scaled(32, width), 3, "stem", activation="leaky_relu")
    stages = []
    for stage, (channels, depth) in enumerate([(64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)], start=1):
        filters = scaled(channels, width)
        x = convolution(x, filters, 3, f"down{stage}", 2, activation="leaky_relu")
        for i in range(depth):
            name = f"dark{stage}_{i}"
            y = convolution(x, scaled(channels // 2, width), 1, f"{name}_conv1", activation="leaky_relu")
            y = convolution(y, filters, 3, f"{name}_conv2", activation="leaky_relu")
            x = layers.Add(name=f"{name}_add")([x, y])
        stages.append(x)
    return stages[2:]


def enlarged(x: Any, factor: int | tuple[int, int], name: str, interpolation: str = "bilinear") -> Any:
    """Return a tensor with as many times the height and width."""
    return layers.UpSampling2D(factor, interpolation=interpolation, name=name)(x)


def image_input(shape: ImageShape, multiple: int, name: str) -> Any:
    """Return a model's input of this shape.

    Args:
        shape: height, width and channels.
        multiple: what height and width have to be multiples of, so that features of different strides meet.
        name: of the network, for the message.

    Raises:
        ModelError: height or width is no such multiple.
    """
    if any(side % multiple for side in shape[:2]):
        raise ModelError(f"{name} takes images whose height and width are multiples of {multiple}, not {shape[:2]}")
    return keras.Input(shape, name="image")
