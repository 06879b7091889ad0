"""The networks of the comparison: their data, their originals, and how long each system trains for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from legodnn.blocks import zoo
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from support.task_data import streets
from support.task_training import fit, segmenter
from support.trained import trained

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

# What is compared with ours where there are epochs for it: the same without training in compositions, with any numbers
# of channels, in more blocks.
UNJOINED, UNROUNDED, FINE = "unjoined", "unrounded", "fine"
TRAINED_PARTS = (UNJOINED, UNROUNDED, FINE)
_STREET = (96, 128, 3)  # pixels of a street, and colours
_STREET_EPOCHS = 40


class Network(NamedTuple):
    """A network that is compared.

    Attributes:
        images: returns the images to train on; to fit predictions to, as those of validation; and to test on. It is
            given the folder of data sets, one for links, and the number of images to fit on.
        original: returns the trained network, given the folder of data sets, the images, and whether a network that
            is trained here gets one epoch only.
        narrow: makes it untrained with a factor for the channels of every layer.
        epochs: of each system at effort 1, chosen so that all take about the same processor time: of ours, the joint
            ones, after three quarters as many block by block. AMC, AGMC and MetaPruning search for so long that they
            take two to three times it.
    """

    images: Callable[[Path, Path, int], Dataset]
    original: Callable[[Path, Dataset, bool], keras.Model]
    narrow: Callable[[float], keras.Model]
    epochs: Mapping[str, int]


def _cifar10(data: Path, links: Path, fit: int) -> Dataset:
    """Return CIFAR-10; the networks were trained on all of its training images, so fits have some of the test set."""
    whole = load_data(f"cifar10:{data / 'cifar-10-batches-py'}")
    return replace(whole, val=whole.test.first(fit), test=whole.test.take(slice(fit, None)))


def _streets(data: Path, links: Path, fit: int) -> Dataset:
    """Return CamVid in the parts that it is published in."""
    whole = load_data(streets(data, links, dict.fromkeys(("train", "val", "test"), 0)), image_size=_STREET[:2])
    return replace(whole, val=whole.val.first(fit))


def _street_original(data: Path, images: Dataset, quick: bool) -> keras.Model:
    """Return an FCN trained on streets and their mirror images."""
    keras.utils.set_random_seed(0)
    training = segmenter(images, _STREET)
    x, y = (np.concatenate([each, np.flip(each, 2)]) for each in (training.x, training.y))
    fit(training._replace(x=x, y=y), 1 if quick else _STREET_EPOCHS)
    return training.model


def _cifar(name: str, narrow: Callable[[float], keras.Model], epochs: Mapping[str, int]) -> Network:
    return Network(_cifar10, lambda data, images, quick: trained(name, data / "weights"), narrow, epochs)


_CIFAR_RESNET = {"ours": 4, "uniform": 3, "exact": 2, "paper": 10, "students": 4, "nested": 4, "slimmable": 4, FINE: 4}
NETWORKS = {
    "resnet20": _cifar("resnet20", zoo.resnet20, {**_CIFAR_RESNET, UNJOINED: 10, UNROUNDED: 4}),
    "resnet56": _cifar("resnet56", zoo.resnet56, _CIFAR_RESNET),
    "vgg16_half": _cifar(
        "vgg16_half",
        lambda width: zoo.vgg16(0.5 * width),
        {
            "ours": 4, "uniform": 3, "exact": 2, "paper": 6, "students": 3, "nested": 2, "slimmable": 4,
            "slimming": 2, "amc": 2, "agmc": 2, "metapruning": 2, "pr_darts": 2, UNJOINED: 4, UNROUNDED: 4,
        },
    ),
    "fcn": Network(
        _streets,
        _street_original,
        lambda width: zoo.fcn(width / 8, _STREET, 11),
        {"ours": 16, "uniform": 16, "exact": 12, "paper": 24, "students": 24, "nested": 12, "slimmable": 20},
    ),
}  # fmt: skip
