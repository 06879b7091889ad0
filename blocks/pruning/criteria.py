"""Pruning criteria: how important each channel of a block is.

A criterion is a function (block, channels, sample inputs) -> importance of each channel number; any function of that
shape serves. It knows nothing of sparsities: `prune.choose` removes the least important classes of each group, where
a class counts the sum over its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.blocks.channels.analysis import Channels
from legodnn.blocks.importing.graph import alone, calls, submodel

Importance = NDArray[np.float64]

# Entries of a reader's response that `reconstruction` looks at, drawn evenly from all images, positions and filters.
_ENTRIES = 4096


class Criterion(Protocol):
    """How important each channel of a block is."""

    def __call__(self, block: keras.Model, channels: Channels, x: Any = None) -> Importance:
        """Importance by channel number, shape (channels.count,); the larger stay.

        Args:
            block: a Functional model.
            channels: what `analyse(block)` returned.
            x: sample inputs of the block, shape (n, ...), or a list of them, one for each input; most ignore it.
        """


def l1(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Sum of absolute weights of each filter (Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017)."""
    return _by_filter(block, channels, lambda weights: np.abs(weights).sum(axis=0))


def l2(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Euclidean length of each filter (He et al., Soft Filter Pruning, IJCAI 2018)."""
    return _by_filter(block, channels, lambda weights: np.linalg.norm(weights, axis=0))


def batch_norm_scale(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Absolute scale (gamma) of the batch norms that channels go through (Liu et al., Network Slimming, ICCV 2017).

    In a group where some class goes through none, `l1` decides: the two do not compare.
    """
    importance, seen = np.zeros(channels.count), np.zeros(channels.count, bool)
    for call in calls(block):
        if call.kind == "BatchNormalization" and call.operation.scale and call.name not in channels.kept_whole:
            ids = channels.of[id(call.inputs[0])]
            np.add.at(importance, ids, np.abs(keras.ops.convert_to_numpy(call.operation.gamma)))
            seen[ids] = True
    weights = l1(block, channels)
    for group in channels.groups:
        if not all(seen[ids].any() for ids in group.classes):
            members = np.concatenate(group.classes)
            importance[members] = weights[members]
    return importance


def reconstruction(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """The order in which channels can go while their readers' responses change least on sample inputs.

    ThiNet's greedy choice (Luo et al., ICCV 2017, algorithm 1): a convolution or dense layer sums what each channel
    contributes, so removing a set changes its response by the sum of the set's contributions; in each step goes the
    class that adds least to the sum of squares of that change. Responses are taken before bias and activation and
    divided by their variance, so that several readers of one class count alike.

    Raises:
        ValueError: no sample inputs.
    """
    if x is None:
        raise ValueError("criterion `reconstruction` needs sample inputs of the block: pass x")
    readers = [call for call in calls(block) if call.name in channels.made]
    importance = np.zeros(channels.count)
    if not channels.groups:
        return importance
    x = alone(x) if isinstance(x, list | tuple) else x
    features = [_numpy(submodel(block.inputs, [call.inputs[0]], "features")(x, training=False)) for call in readers]
    linear = [_linear(call.operation) for call in readers]
    for group in channels.groups:
        change = np.zeros((len(group.classes), len(group.classes)))
        for call, feature, respond in zip(readers, features, linear, strict=True):
            ids = channels.of[id(call.inputs[0])]
            masks = [np.isin(ids, members) for members in group.classes]
            if np.any(masks):
                # The same entries for every class: a new generator with the same seed each time.
                whole = _sample(respond(feature))
                parts = np.stack([_sample(respond(feature * mask)) for mask in masks]).astype(np.float64)
                change += parts @ parts.T / max(float(whole.var()), np.finfo(np.float32).tiny)
        for rank, i in enumerate(_greedy(change)):
            importance[group.classes[i][0]] = rank
    return importance


CRITERIA: dict[str, Criterion] = {
    "l1": l1,
    "l2": l2,
    "batch_norm_scale": batch_norm_scale,
    "reconstruction": reconstruction,
}


def _greedy(change: NDArray[np.float64]) -> list[int]:
    """Order in which rows go so that the sum over change[i, j] for all i, j gone grows least in each step."""
    added, order = change.diagonal().copy(), []
    for _ in range(len(change)):
        i = int(np.argmin(added))
        order.append(i)
        added += 2 * change[i]
        added[order] = np.inf
    return order


def _by_filter(block: keras.Model, channels: Channels, score: Callable[[Array], Array]) -> Importance:
    """Importance from a score of filters: shape (weights of a filter, filters) -> (filters,)."""
    importance = np.zeros(channels.count)
    for name, ids in channels.made.items():
        kernel = _filters(block.get_layer(name))
        importance[ids] += score(kernel.reshape(-1, len(ids)))
    return importance


def _filters(layer: Any) -> Array:
    """The weights that make a layer's channels, channels on the last axis."""
    if hasattr(layer, "pointwise_kernel"):
        return _numpy(layer.pointwise_kernel)
    kernel = _numpy(layer.kernel)
    return np.swapaxes(kernel, -1, -2) if "Transpose" in type(layer).__name__ else kernel


def _linear(layer: Any) -> Callable[[Array], Array]:
    """What a layer computes before bias and activation."""
    copy = type(layer).from_config({**layer.get_config(), "activation": None, "use_bias": False})
    weights = layer.get_weights()

    def respond(feature: Array) -> Array:
        if not copy.built:
            copy.build(feature.shape)
            copy.set_weights(weights[:-1] if layer.use_bias else weights)
        return _numpy(copy(feature))

    return respond


def _sample(response: Array) -> Array:
    flat = response.ravel()
    return flat if flat.size <= _ENTRIES else flat[np.random.default_rng(0).integers(flat.size, size=_ENTRIES)]


def _numpy(tensor: Any) -> Array:
    array: Array = keras.ops.convert_to_numpy(tensor)
    return array
