"""Models to start from: VGG16, ResNet-18 and the CIFAR ResNets, and their published weights.

All of them take images of shape (batch, height, width, channels) and give logits of shape (batch, classes).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from legodnn.array_files import read_arrays
from legodnn.arrays import ImageShape
from legodnn.blocks.zoo.trunks import convolution, resnet_stem, scaled, vgg16_stages
from legodnn.errors import ModelError


def _classifier(x: Any, classes: int) -> Any:
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(classes, name="logits")(x)


def vgg16(width: float = 1.0, input_shape: ImageShape = (32, 32, 3), classes: int = 10) -> keras.Model:
    """Return VGG16 (Simonyan and Zisserman 2015) with batch norm and one dense layer: 13 convolutions in 5 stages.

    Args:
        width: a factor for the channels of every layer.
        input_shape: height, width and channels; height and width must be at least 32.
        classes: the number of logits.
    """
    if min(input_shape[:2]) < 32:
        raise ModelError(f"vgg16 halves its input five times and needs at least 32x32 pixels, got {input_shape[:2]}")
    inputs = keras.Input(input_shape, name="image")
    return keras.Model(inputs, _classifier(vgg16_stages(inputs, width)[-1], classes), name="vgg16")


def _residual(x: Any, filters: int, stride: int, name: str, shortcut: Callable[[Any], Any]) -> Any:
    y = convolution(x, filters, 3, f"{name}_conv1", stride)
    y = convolution(y, filters, 3, f"{name}_conv2", activation=None)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([y, shortcut(x)]))


def resnet18(width: float = 1.0, input_shape: ImageShape = (32, 32, 3), classes: int = 10) -> keras.Model:
    """Return ResNet-18 (He et al. 2016): 8 residual blocks with projection shortcuts.

    The stem is 7x7 with pooling for images of 128 pixels and more, and 3x3, as is usual, for smaller ones.

    Args:
        width: a factor for the channels of every layer.
        input_shape: height, width and channels.
        classes: the number of logits.
    """
    inputs = keras.Input(input_shape, name="image")
    large = min(input_shape[:2]) >= 128
    x = resnet_stem(inputs, width) if large else convolution(inputs, scaled(64, width), 3, "stem")
    for stage, channels in enumerate([64, 128, 256, 512], start=1):
        for i in (1, 2):
            name, stride, filters = f"layer{stage}_{i}", 2 if stage > 1 and i == 1 else 1, scaled(channels, width)

            def shortcut(x: Any, name: str = name, stride: int = stride, filters: int = filters) -> Any:
                same = stride == 1 and x.shape[-1] == filters
                return x if same else convolution(x, filters, 1, f"{name}_shortcut", stride, activation=None)

            x = _residual(x, filters, stride, name, shortcut)
    return keras.Model(inputs, _classifier(x, classes), name="resnet18")


def _cifar_resnet(depth: int, width: float, input_shape: ImageShape, classes: int) -> keras.Model:
    inputs = keras.Input(input_shape, name="image")
    x = convolution(inputs, scaled(16, width), 3, "conv1")
    for stage, channels in enumerate([16, 32, 64], start=1):
        for i in range((depth - 2) // 6):
            filters, stride = scaled(channels, width), 2 if stage > 1 and i == 0 else 1

            def shortcut(x: Any, stride: int = stride, filters: int = filters) -> Any:
                if stride == 1:
                    return x
                before = (filters - x.shape[-1]) // 2
                after = filters - x.shape[-1] - before
                return keras.ops.pad(x[:, ::2, ::2, :], [(0, 0), (0, 0), (0, 0), (before, after)])

            x = _residual(x, filters, stride, f"layer{stage}_{i}", shortcut)
    return keras.Model(inputs, _classifier(x, classes), name=f"resnet{depth}")


def resnet20(width: float = 1.0, input_shape: ImageShape = (32, 32, 3), classes: int = 10) -> keras.Model:
    """Return the CIFAR ResNet with n = 3 (He et al. 2016, section 4.2): 9 residual blocks, no weights in shortcuts."""
    return _cifar_resnet(20, width, input_shape, classes)


def resnet56(width: float = 1.0, input_shape: ImageShape = (32, 32, 3), classes: int = 10) -> keras.Model:
    """Return the CIFAR ResNet with n = 9 (He et al. 2016, section 4.2): 27 residual blocks, no weights in shortcuts."""
    return _cifar_resnet(56, width, input_shape, classes)


MODELS: dict[str, Callable[..., keras.Model]] = {
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "resnet56": resnet56,
}


def load_cifar_resnet_weights(model: keras.Model, path: str | Path) -> None:
    """Fill a resnet20 or resnet56 with published PyTorch weights saved as .npz.

    Args:
        model: what `resnet20()` or `resnet56()` returned, at width 1.
        path: an .npz with arrays named conv1.weight, bn1.*, layerL.B.{conv1,bn1,conv2,bn2}.*, linear.*. Kernels are in
            OIHW order, and batch norms come with their running statistics.

    Raises:
        ModelError: the file cannot be read, or a weight is missing, left over, or of another shape.
    """
    arrays = _read_weights(path)
    for layer in model.layers:
        if not layer.weights:
            continue
        names, transpose = _published_names(layer)
        weights = _pop_weights(arrays, names, layer, model, path)
        if transpose:
            weights[0] = weights[0].transpose(transpose)
        _set_weights(layer, weights, names, model, path)
    _check_nothing_left(arrays, model, path)


def load_vgg16_weights(model: keras.Model, path: str | Path) -> None:
    """Fill a vgg16 with weights saved as .npz, laid out as in Keras.

    Args:
        model: what `vgg16()` returned, at the width of the weights.
        path: an .npz with arrays conv1/kernel to conv13/kernel, bn1/ to bn13/{gamma,beta,moving_mean,moving_variance},
            and dense/{kernel,bias}. The batch norms were trained with Keras' default epsilon, 1e-3.

    Raises:
        ModelError: the file cannot be read, or a weight is missing, left over, or of another shape.
    """
    arrays = _read_weights(path)
    number = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        if layer.name == "logits":
            names = ["dense/kernel", "dense/bias"]
        elif layer.name.endswith("_bn"):
            names = [f"bn{number}/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")]
        else:
            number += 1
            names = [f"conv{number}/kernel"]
        weights = _pop_weights(arrays, names, layer, model, path)
        if layer.name.endswith("_bn"):  # A batch norm uses variance + epsilon alone.
            weights[3] = weights[3] + 1e-3 - layer.epsilon
        _set_weights(layer, weights, names, model, path)
    _check_nothing_left(arrays, model, path)


def _read_weights(path: str | Path) -> dict[str, Any]:
    """Return the arrays of a file of weights, without the counters that PyTorch's batch norms keep."""
    arrays = read_arrays(Path(path), ModelError, "it must be an .npz file of arrays")
    return {k: a for k, a in arrays.items() if not k.endswith("num_batches_tracked")}


def _pop_weights(
    arrays: dict[str, Any], names: list[str], layer: Any, model: keras.Model, path: str | Path
) -> list[Any]:
    """Take a layer's weights out of a file's arrays; ModelError if one is missing."""
    missing = [n for n in names if n not in arrays]
    if missing:
        raise ModelError(f"{path} lacks {missing[0]}, which layer {layer.name} of {model.name} needs")
    return [arrays.pop(n) for n in names]


def _set_weights(layer: Any, weights: list[Any], names: list[str], model: keras.Model, path: str | Path) -> None:
    """Give a layer its weights; ModelError if one has another shape."""
    for name, found, wanted in zip(names, weights, layer.weights, strict=True):
        if found.shape != tuple(wanted.shape):
            raise ModelError(f"{path}: {name} has shape {found.shape}, {model.name} needs {tuple(wanted.shape)}")
    layer.set_weights(weights)


def _check_nothing_left(arrays: dict[str, Any], model: keras.Model, path: str | Path) -> None:
    if arrays:
        raise ModelError(f"{path} holds {next(iter(arrays))}, which {model.name} does not have")


def _published_names(layer: Any) -> tuple[list[str], tuple[int, ...] | None]:
    """Return the names of a layer's weights in the published files, and how to transpose the first weight."""
    if layer.name == "logits":
        return ["linear.weight", "linear.bias"], (1, 0)
    name, prefix = layer.name, ""
    if name.startswith("layer"):  # layer1_0_conv1 is layer1.0.conv1 there
        stage, index, name = name.split("_", 2)
        prefix = f"{stage}.{index}."
    if name.endswith("_bn"):
        name = prefix + name.removesuffix("_bn").replace("conv", "bn")
        return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")], None
    return [f"{prefix}{name}.weight"], (2, 3, 1, 0)
