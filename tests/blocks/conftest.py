"""The oracle that pruning is tested against: a block in which all readers of removed channels are given zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.importing.graph import LayerCall, calls
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.prune import choose
from legodnn.blocks.pruning.surgery import remove

# Layers that sum over channels: they can be given zeros for some.
READERS = (
    *(layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.SeparableConv1D, layers.SeparableConv2D),
    *(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
)


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give a model random weights and batch-norm statistics, none near zero; return it."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.3, 1.5, w.shape) * rng.choice([-1, 1], w.shape) for w in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance))
    return model


def _sums(call: LayerCall) -> bool:
    """Whether a call sums over the channels that it reads."""
    if call.kind == "Einsum":  # of two tensors whose last axes are one that is summed over
        *read, product = call.operation.subscripts.replace("->", ",").split(",")
        return len({part[-1] for part in read}) == 1 and read[0][-1] not in product
    # A grouped convolution with one channel a group sums nothing.
    return isinstance(call.operation, READERS) and getattr(call.operation, "groups", 1) != call.inputs[0].shape[-1]


def zeroed(model: keras.Model, gone: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the model's output when convolutions and dense layers read zeros for all that depends on removed filters.

    The code under test tells only which filters were removed. What depends on them is found by experiment: in further
    runs these filters give noise, and in the last one NaN, which is still NaN after a multiplication by 0. Every
    feature that differs between the runs depends on them.

    Args:
        model: the block, unpruned.
        gone: for each layer with removed filters, a mask of these.
        x: the block's input.
    """
    rng, runs = np.random.default_rng(5), 5
    values: list[dict[int, Any]] = [{id(model.inputs[0]): ops.convert_to_tensor(x)} for _ in range(runs)]
    for call in calls(model):
        given = values
        if _sums(call):
            # Only this reader gets zeros: the others must still see which features depend on the removed filters.
            given = [{} for _ in values]
            for t in call.inputs:
                read = [np.array(v[id(t)]) for v in values]
                keep = np.all([(r == read[0]).all(axis=tuple(range(r.ndim - 1))) for r in read], axis=0)
                for known, r in zip(given, read, strict=True):
                    known[id(t)] = ops.convert_to_tensor(np.where(keep, r, np.float32(0)))
        for number, known in enumerate(values):
            args, kwargs = call.node.arguments.fill_in(given[number])
            results = [np.array(result) for result in keras.tree.flatten(call.operation(*args, **kwargs))]
            if number and call.name in gone:
                (result,) = results
                noise = rng.normal(0, 3, result[..., gone[call.name]].shape)
                result[..., gone[call.name]] = noise if number < runs - 1 else np.nan
            known.update((id(t), ops.convert_to_tensor(y)) for t, y in zip(call.outputs, results, strict=True))
    outputs = [np.array(v[id(model.outputs[0])]) for v in values]
    assert all((o == outputs[0]).all() for o in outputs), "the output depends on what was removed"
    return outputs[0]


def _check(model: keras.Model, sparsity: float) -> tuple[Channels, keras.Model]:
    channels = analyse(model)
    removed = choose(model, channels, Target("sparsity", sparsity))
    pruned = remove(model, channels, removed)
    gone = {layer: np.isin(ids, removed) for layer, ids in channels.made.items()}
    x = np.random.default_rng(3).normal(size=(5, *model.input_shape[1:])).astype(np.float32)
    expected = zeroed(model, gone, x)
    found = ops.convert_to_numpy(pruned(x, training=False))
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
    assert pruned.input_shape == model.input_shape
    assert pruned.output_shape == model.output_shape
    assert all(not mask.all() for mask in gone.values())
    assert pruned.count_params() <= model.count_params()
    assert macs(pruned) <= macs(model)
    if any(round(sparsity * len(group.coupled)) and len(group.coupled) > 1 for group in channels.groups):
        assert removed.size
        assert pruned.count_params() < model.count_params()
        assert macs(pruned) < macs(model)
    return channels, pruned


def _check_body(body: Callable[[Any], Any], shape: tuple[int, ...] = (6, 6, 3), sparsity: float = 0.5) -> Any:
    inputs = keras.Input(shape)
    return _check(randomise(keras.Model(inputs, body(inputs))), sparsity)


@pytest.fixture(scope="session")
def check_pruned() -> Callable[..., tuple[Channels, keras.Model]]:
    """A function that prunes a model, compares it with the oracle, and returns its channels and the pruned model."""
    return _check


@pytest.fixture(scope="session")
def check_body() -> Callable[..., tuple[Channels, keras.Model]]:
    """The same for a model that is given as a function of its input tensor, and gets random weights."""
    return _check_body


@pytest.fixture(scope="session")
def random_weights() -> Callable[..., keras.Model]:
    """The function that gives a model random weights."""
    return randomise
