"""Networks for segmentation: a score of each class for each place."""

from __future__ import annotations

import keras
from keras import layers

from legodnn.arrays import ImageShape
from legodnn.blocks.zoo.trunks import convolution, enlarged, image_input, resnet50_stages, scaled, vgg16_stages


def fcn(width: float = 1.0, input_shape: ImageShape = (224, 224, 3), classes: int = 21) -> keras.Model:
    """Return FCN-8s on VGG16 (Long et al., Fully Convolutional Networks for Semantic Segmentation, 2015).

    Convolutions have batch norm in place of a bias. Where the paper pads images by 100 pixels and crops scores, fc6
    pads its own input; up-sampling is bilinear, from which the paper's begins to learn.

    Args:
        width: a factor for the channels of every layer but the scores.
        input_shape: height and width, which are multiples of 32, and channels.
        classes: the number of classes, background included.

    Returns:
        A model whose output has the images' height and width: logits, shape (batch, height, width, classes).
    """
    inputs = image_input(input_shape, 32, "fcn")
    pooled = vgg16_stages(inputs, width)
    x = pooled[-1]
    for name, kernel in (("fc6", 7), ("fc7", 1)):
        x = convolution(x, scaled(4096, width), kernel, name)
        x = layers.Dropout(0.5, name=f"{name}_drop")(x)
    x = layers.Conv2D(classes, 1, name="score")(x)
    for stage in (4, 3):
        finer = layers.Conv2D(classes, 1, name=f"score_pool{stage}")(pooled[stage - 1])
        x = layers.Add(name=f"fuse_pool{stage}")([enlarged(x, 2, f"up_pool{stage}"), finer])
    return keras.Model(inputs, enlarged(x, 8, "scores"), name="fcn")


def deeplabv3(
    width: float = 1.0, input_shape: ImageShape = (512, 512, 3), classes: int = 21, stride: int = 16
) -> keras.Model:
    """Return DeepLabv3 on ResNet-50 (Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017).

    Dilations are (6, 12, 18) at a stride of 16, and twice that at 8, beside a 1x1 convolution and the image's mean. The
    3x3 convolution before the scores is torchvision's.

    Args:
        width: a factor for the channels of every layer but the scores.
        input_shape: height and width, which are multiples of the stride, and channels.
        classes: the number of classes, background included.
        stride: of the features, 8 or 16.

    Returns:
        A model whose output has the images' height and width: logits, shape (batch, height, width, classes).
    """
    inputs = image_input(input_shape, stride, "deeplabv3")
    x = resnet50_stages(inputs, width, most_stride=stride)[-1]
    filters = scaled(256, width)
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    pooled = convolution(pooled, filters, 1, "aspp_image")
    pyramid = [convolution(x, filters, 1, "aspp_1")]
    pyramid += [convolution(x, filters, 3, f"aspp_{rate}", dilation=rate * 16 // stride) for rate in (6, 12, 18)]
    pyramid.append(enlarged(pooled, (x.shape[1], x.shape[2]), "aspp_image_up"))
    x = convolution(layers.Concatenate(name="aspp")(pyramid), filters, 1, "project")
    x = convolution(layers.Dropout(0.5, name="project_drop")(x), filters, 3, "head")
    x = layers.Conv2D(classes, 1, name="score")(x)
    return keras.Model(inputs, enlarged(x, stride, "scores"), name="deeplabv3")
