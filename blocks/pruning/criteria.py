"""Pruning criteria: how important each channel of a block is.

A criterion is a function (block, channels, sample inputs) that returns the importance of each channel ID. It knows
nothing about sparsities: in each group, `prune.choose` removes the sets of coupled channels whose importance, summed
over the set, is least.

To add a criterion:

1. Write a function with the signature of `Criterion` here, and enter it in `CRITERIA`.
2. Enter its name in `CriterionName` in legodnn/recipe.py, which is read without Keras; a test compares the two. Name it
   in the help of `legodnn build --criterion` and in docs/build.md.
3. Test it in tests/blocks/pruning/test_criteria.py on a block whose importances are known.

A program can also pass a function of its own to `prune.descendant`:

    >>> def position(block, channels, x=None):
    ...     return -np.arange(channels.count, dtype=np.float64)  # the last channel made goes first
    >>> from keras import Input, Model
    >>> from keras.layers import Conv2D
    >>> x = Input((8, 8, 1))
    >>> block = Model(x, Conv2D(2, 3)(Conv2D(4, 3, name="a")(x)))
    >>> from legodnn.blocks.pruning.prune import descendant
    >>> smaller = descendant(block, 0.5, position)
    >>> kept, kernel = smaller.get_layer("a").get_weights()[0], block.get_layer("a").get_weights()[0]
    >>> np.array_equal(kept, kernel[..., :2])
    True
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
from legodnn.blocks.importing.layer_copies import blank_copy

Importance = NDArray[np.float64]

# How many values of a layer's response `reconstruction` looks at, drawn from all images, positions and filters.
_ENTRIES = 4096


class Criterion(Protocol):
    """A function that returns how important each channel of a block is."""

    def __call__(self, block: keras.Model, channels: Channels, x: Any = None) -> Importance:
        """Return the importance of each channel ID, shape (channels.count,); the least important go first.

        Args:
            block: a Functional model.
            channels: what `analyse(block)` returned.
            x: sample inputs of the block, shape (n, ...), or a list with one array for each input. Criteria that look
                at weights alone ignore it.
        """


def l1(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return the L1 norm of each filter (Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017)."""
    return _by_filter(block, channels, lambda weights: np.abs(weights).sum(axis=0))


def l2(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return the L2 norm of each filter (He et al., Soft Filter Pruning, IJCAI 2018)."""
    return _by_filter(block, channels, lambda weights: np.linalg.norm(weights, axis=0))


def batch_norm_scale(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return the absolute batch norm scale (gamma) of each channel (Liu et al., Network Slimming, ICCV 2017).

    In a group where some channels have no batch norm behind them, `l1` holds instead, since the two cannot be compared.
    """
    importance, seen = np.zeros(channels.count), np.zeros(channels.count, bool)
    for call in calls(block):
        if call.kind == "BatchNormalization" and call.operation.scale and call.name not in channels.kept_whole:
            ids = channels.of[id(call.inputs[0])]
            np.add.at(importance, ids, np.abs(keras.ops.convert_to_numpy(call.operation.gamma)))
            seen[ids] = True
    weights = l1(block, channels)
    for group in channels.groups:
        if not all(seen[ids].any() for ids in group.coupled):
            members = np.concatenate(group.coupled)
            importance[members] = weights[members]
    return importance


def reconstruction(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return the rank of each channel in the order of removal that changes the responses of later layers least.

    This is ThiNet's greedy choice (Luo et al., ICCV 2017, algorithm 1). A convolution or dense layer sums what its
    input channels contribute, so removing some changes its response by the sum of their contributions. In each step
    that set of coupled channels goes that adds least to the sum of squares of the change on sample inputs. Responses
    are taken before bias and activation, and divided by their variance, so that all layers that read a set count alike.

    Raises:
        ValueError: there are no sample inputs.
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
        change = np.zeros((len(group.coupled), len(group.coupled)))
        for call, feature, respond in zip(readers, features, linear, strict=True):
            ids = channels.of[id(call.inputs[0])]
            masks = [np.isin(ids, members) for members in group.coupled]
            if np.any(masks):
                # `_sample` draws the same entries each time, so that the parts are comparable.
                whole = _sample(respond(feature))
                parts = np.stack([_sample(respond(feature * mask)) for mask in masks]).astype(np.float64)
                change += parts @ parts.T / max(float(whole.var()), np.finfo(np.float32).tiny)
        for rank, i in enumerate(_greedy(change)):
            importance[group.coupled[i][0]] = rank
    return importance


# The criteria that a recipe can name.
CRITERIA: dict[str, Criterion] = {
    "l1": l1,
    "l2": l2,
    "batch_norm_scale": batch_norm_scale,
    "reconstruction": reconstruction,
}


def _greedy(change: NDArray[np.float64]) -> list[int]:
    """Return an order of rows in which the sum of change[i, j] over all i and j so far grows least in each step."""
    added, order = change.diagonal().copy(), []
    for _ in range(len(change)):
        i = int(np.argmin(added))
        order.append(i)
        added += 2 * change[i]
        added[order] = np.inf
    return order


def _by_filter(block: keras.Model, channels: Channels, score: Callable[[Array], Array]) -> Importance:
    """Return importances from a score of filters, which maps shape (weights of a filter, filters) to (filters,)."""
    importance = np.zeros(channels.count)
    for name, ids in channels.made.items():
        kernel = _filters(block.get_layer(name))
        importance[ids] += score(kernel.reshape(-1, len(ids)))
    return importance


def _filters(layer: Any) -> Array:
    """Return the weights that make a layer's channels, with the channels on the last axis."""
    if hasattr(layer, "pointwise_kernel"):
        return _numpy(layer.pointwise_kernel)
    kernel = _numpy(layer.kernel)
    return np.swapaxes(kernel, -1, -2) if "Transpose" in type(layer).__name__ else kernel


def _linear(layer: Any) -> Callable[[Array], Array]:
    """Return what a layer computes before bias and activation, as a function of its input."""
    copy = blank_copy(layer, {"activation": None, "use_bias": False})
    weights = layer.get_weights()

    def respond(feature: Array) -> Array:
        if not copy.built:
            copy.build(feature.shape)
            copy.set_weights(weights[:-1] if layer.use_bias else weights)
        return _numpy(copy(feature))

    return respond


def _sample(response: Array) -> Array:
    """Return at most `_ENTRIES` values of a response, those in the same places for every response of one shape."""
    flat = response.ravel()
    return flat if flat.size <= _ENTRIES else flat[np.random.default_rng(0).integers(flat.size, size=_ENTRIES)]


def _numpy(tensor: Any) -> Array:
    array: Array = keras.ops.convert_to_numpy(tensor)
    return array
