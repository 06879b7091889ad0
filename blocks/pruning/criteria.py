"""Criteria of pruning that look at weights: how important each channel of a block is.

A criterion is a function (block, channels, sample inputs) that returns the importance of each channel ID. It knows
nothing about targets: in each group, the sets of coupled channels go first whose importance, summed over the set, is
least. Criteria that look at what a block computes are in `response_criteria`.

A new criterion is a function with the signature of `Criterion`; docs/pruning.md shows how it becomes a strategy that a
recipe can name:

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

from legodnn.arrays import Array, Floats
from legodnn.blocks.channels.analysis import ChannelGroup, Channels
from legodnn.blocks.importing.graph import calls

Importance = NDArray[np.float64]


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


def geometric_median(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return each set's distance to all others of its group, summed (He et al., FPGM, CVPR 2019).

    What lies in the middle is what the others can stand for, however large it is.
    """
    return _by_set(block, channels, lambda filters: _distances(filters).sum(axis=1))


def cluster(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
    """Return the rank of each set in the order in which similar ones are merged.

    The two clusters whose merging adds least to the sum of squared distances from their means are merged again and
    again (Ward, 1963), and the one with the smaller norm goes. So one large set of each cluster stays, and there are as
    many clusters as sets that stay. Clusters of filters are the idea of ASCP (asymptotic soft cluster pruning).
    """
    return _by_set(block, channels, _merging_order)


def drawn(seed: int = 0) -> Criterion:
    """Return a criterion that draws at random, the baseline that all others have to beat."""

    def random_importance(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
        return np.random.default_rng(seed).permutation(channels.count).astype(np.float64)

    return random_importance


def relative(criterion: Criterion) -> Criterion:
    """Return a criterion whose importances compare between groups: those of each group, divided by their mean.

    Norms of filters grow with the number of inputs, for example, so that they only compare within a group.
    """

    def relative_importance(block: keras.Model, channels: Channels, x: Any = None) -> Importance:
        importance, found = criterion(block, channels, x), np.zeros(channels.count)
        for group in channels.groups:
            of_sets = np.array([importance[ids].sum() for ids in group.coupled])
            found[_firsts(group)] = of_sets / max(float(np.abs(of_sets).mean()), np.finfo(np.float64).tiny)
        return found

    return relative_importance


def set_filters(block: keras.Model, channels: Channels, group: ChannelGroup) -> Floats:
    """Return the weights that make each set of a group, side by side, shape (sets, weights of a set).

    The filters of each layer are divided by their root mean square norm, so that all layers count alike.
    """
    parts = []
    for name in dict.fromkeys(group.makers):
        made = channels.made[name]
        rows = _filters(block.get_layer(name)).reshape(-1, len(made)).T.astype(np.float64)
        rows = rows / max(float(np.sqrt(np.square(rows).sum(axis=1).mean())), np.finfo(np.float64).tiny)
        parts.append(np.stack([rows[np.isin(made, ids)].ravel() for ids in group.coupled]))
    return np.concatenate(parts, axis=1)


def _by_set(block: keras.Model, channels: Channels, score: Callable[[Floats], Floats]) -> Importance:
    """Return importances from a score of a group's sets, which maps shape (sets, weights) to (sets,)."""
    importance = np.zeros(channels.count)
    for group in channels.groups:
        importance[_firsts(group)] = score(set_filters(block, channels, group))
    return importance


def _firsts(group: ChannelGroup) -> list[int]:
    """Return one channel ID of each set; it stands for the set where an importance is that of the whole set."""
    return [int(ids[0]) for ids in group.coupled]


def _distances(rows: Floats) -> Floats:
    squares = np.square(rows).sum(axis=1)
    found: Floats = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0))
    return found


def _merging_order(filters: Floats) -> Floats:
    """Return when each row is merged into another by Ward's method; the row that is left last has the largest value."""
    count = len(filters)
    cost = _distances(filters) ** 2 / 2  # what merging two clusters adds to the sum of squares
    np.fill_diagonal(cost, np.inf)
    norms, sizes, order = np.linalg.norm(filters, axis=1), np.ones(count), np.full(count, float(count))
    for rank in range(count - 1):
        i, j = np.unravel_index(np.argmin(cost), cost.shape)
        keep, gone = (i, j) if norms[i] >= norms[j] else (j, i)
        order[gone] = rank
        both = sizes[keep] + sizes[gone]
        merged = (sizes[keep] + sizes) * cost[keep] + (sizes[gone] + sizes) * cost[gone] - sizes * cost[keep, gone]
        cost[keep] = cost[:, keep] = np.where(np.isfinite(merged), merged / (both + sizes), np.inf)
        cost[keep, keep] = cost[gone] = cost[:, gone] = np.inf
        sizes[keep] = both
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


def _numpy(tensor: Any) -> Array:
    array: Array = keras.ops.convert_to_numpy(tensor)
    return array
