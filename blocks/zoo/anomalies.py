"""Networks that tell what is not normal, having seen normal images alone, or images without labels."""

from __future__ import annotations

import keras
from keras import layers

from legodnn.arrays import ImageShape
from legodnn.blocks.zoo.trunks import image_input, resnet50_stages, scaled


def gpnd(width: float = 1.0, input_shape: ImageShape = (32, 32, 1), code: int = 16) -> keras.Model:
    """Return an autoencoder like that of GPND (Pidhorskyi et al., Generative Probabilistic Novelty Detection, 2018).

    It is their encoder and decoder, without the adversaries that they are trained against; and in place of a
    probability, the score is how far an image is from its reconstruction (`legodnn.readings.Anomaly`). So it is trained
    for an output of zeros: `model.fit(x, np.zeros_like(x))`.

    Args:
        width: a factor for the channels of every layer but code and output.
        input_shape: height and width, which are multiples of 8, and channels.
        code: the number of values of the code.

    Returns:
        A model that gives the differences of images and reconstructions, in the images' shape.
    """
    inputs = x = image_input(input_shape, 8, "gpnd")
    for i, channels in enumerate((64, 128, 256), start=1):
        x = layers.Conv2D(scaled(channels, width), 4, 2, "same", use_bias=False, name=f"encode{i}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"encode{i}_bn")(x)
        x = layers.LeakyReLU(0.2, name=f"encode{i}_act")(x)
    height, wide = x.shape[1:3]
    x = layers.Conv2D(code, (height, wide), name="code")(x)
    x = layers.Conv2DTranspose(scaled(256, width), (height, wide), use_bias=False, name="decode0")(x)
    x = layers.ReLU(name="decode0_act")(layers.BatchNormalization(momentum=0.9, name="decode0_bn")(x))
    for i, channels in enumerate((128, 64), start=1):
        x = layers.Conv2DTranspose(scaled(channels, width), 4, 2, "same", use_bias=False, name=f"decode{i}")(x)
        x = layers.ReLU(name=f"decode{i}_act")(layers.BatchNormalization(momentum=0.9, name=f"decode{i}_bn")(x))
    x = layers.Conv2DTranspose(input_shape[-1], 4, 2, "same", name="decode3")(x)
    return keras.Model(inputs, layers.Subtract(name="differences")([x, inputs]), name="gpnd")


def ordinal_regression(width: float = 1.0, input_shape: ImageShape = (224, 224, 3)) -> keras.Model:
    """Return the network of self-trained deep ordinal regression (Pang et al. 2020): an anomaly score of an image.

    Its training has no labels: a simple detector's most and least anomalous images are regressed to 1 and 0, the
    network sorts all images anew, and so on.

    Args:
        width: a factor for the channels of every layer.
        input_shape: height, width and channels.

    Returns:
        A model that gives a score, the larger the less normal, shape (batch, 1).
    """
    inputs = image_input(input_shape, 1, "ordinal_regression")
    x = layers.GlobalAveragePooling2D(name="pool")(resnet50_stages(inputs, width)[-1])
    x = layers.Dense(scaled(100, width), activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(1, name="score")(x), name="ordinal_regression")
