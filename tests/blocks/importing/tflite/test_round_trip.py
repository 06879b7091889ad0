"""A Keras model that goes through a `.tflite` file comes back with the same blocks, and the same channels can go."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from legodnn.blocks import zoo
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.graph import alone, as_list
from legodnn.blocks.importing.tflite.graph import graph_of
from tests.benchmarks.scripts import load

# Networks in which other blocks are found than in the Keras original, or other channels, and why.
OTHER_BLOCKS = {
    "NASNetMobile": "every cell reads the two before it: activations that the converter fuses make other tensors cross",
}


def blocks(model: keras.Model) -> list[tuple[int, tuple[tuple[int, ...], ...]]]:
    """For each block the number of channels that can go, and the shapes of what it gives."""
    return [
        (
            sum(len(group.coupled) for group in analyse(piece.model).groups),
            tuple(tuple(t.shape[1:]) for t in piece.model.outputs),
        )
        for piece in extract(model)
        if piece.kind == "block"
    ]


def distance(model: keras.Model, wanted: list[Any], inputs: list[Any]) -> float:
    """How far a model is from what the interpreter gives, relative to the largest value."""
    found = as_list(model(alone(inputs), training=False))
    return max(
        float(np.abs(np.asarray(a) - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in zip(found, wanted, strict=True)
    )


def check_comes_back(model: keras.Model, inputs: list[Any], same_blocks: bool = True) -> None:
    content = convert(model)
    again = graph_of(content, "again")
    wanted = Runner(content)(*inputs)
    # In deep networks with random weights rounding grows: then Keras' own is as large.
    assert distance(again, wanted, inputs) <= max(1e-5, 2 * distance(model, wanted, inputs))
    assert (blocks(again) == blocks(model)) is same_blocks


@pytest.mark.parametrize("make", [zoo.vgg16, zoo.resnet18, zoo.resnet20])
def test_small_networks_come_back(random_weights: Any, make: Any) -> None:
    model = random_weights(make(0.1))
    check_comes_back(model, [np.random.default_rng(0).random((1, 32, 32, 3), np.float32)])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*load("zoo").APPLICATIONS, *load("support.networks").OTHERS])
def test_every_network_comes_back(name: str) -> None:
    module = load("zoo")
    model = module.make(name)
    check_comes_back(model, list(module.images(model, 1, seed=0).values()), name not in OTHER_BLOCKS)
