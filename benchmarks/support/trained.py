"""The trained networks for CIFAR-10 that benchmarks prune, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from legodnn.blocks import zoo

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

_Network = tuple[Callable[[], keras.Model], Callable[[keras.Model, Path], None]]

NETWORKS: dict[str, _Network] = {
    "resnet20": (zoo.resnet20, zoo.load_cifar_resnet_weights),
    "resnet56": (zoo.resnet56, zoo.load_cifar_resnet_weights),
    "vgg16_half": (lambda: zoo.vgg16(0.5), zoo.load_vgg16_weights),
}


def trained(name: str, weights: Path) -> keras.Model:
    """Return a network with its weights, which are in NAME_cifar10.npz in a folder."""
    make, load = NETWORKS[name]
    model = make()
    load(model, weights / f"{name}_cifar10.npz")
    return model
