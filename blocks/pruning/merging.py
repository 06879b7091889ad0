"""Merging channels: instead of being dropped, a set of channels is added to another one that computes the same.

A convolution or dense layer sums what its input channels contribute. Where two channels are equal, one of them can go,
if its slice of every reader's kernel is added to the other's: the block computes what it did before (asymptotic soft
cluster pruning; centripetal SGD, Ding et al., CVPR 2019). Channels are equal when all weights that make them are, from
the layers that make them to those that scale or filter each channel on its own; `pull_together` makes them so. What a
product of two tensors sums, as attention does queries times keys, is dropped: it has no kernel to take it over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Array, Ints
from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.channels.cuts import (
    cut_depthwise_kernel,
    cut_kernel,
    cut_separable_kernels,
    cut_transposed_kernel,
)
from legodnn.blocks.channels.rules import channel_rule
from legodnn.blocks.importing.graph import LayerCall, calls
from legodnn.blocks.pruning.criteria import set_filters
from legodnn.blocks.pruning.surgery import remove

# Which set of its group each set of coupled channels is merged into, by its number; itself if it stays. One array for
# each group of `Channels.groups`, shape (sets,).
Clusters = tuple[Ints, ...]


def nearest_kept(block: keras.Model, channels: Channels, removed: IdArray) -> Clusters:
    """Return the clusters in which every removed set belongs to the set that stays and has the nearest filters.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        removed: IDs of the channels to remove; at least one set of each group stays.
    """
    clusters = []
    for group in channels.groups:
        stays = np.array([not np.isin(ids[0], removed) for ids in group.coupled])
        filters, into = set_filters(block, channels, group), np.arange(len(stays))
        kept = np.flatnonzero(stays)
        for i in np.flatnonzero(~stays):
            into[i] = kept[np.argmin(np.square(filters[kept] - filters[i]).sum(axis=1))]
        clusters.append(into)
    return tuple(clusters)


def pull_together(block: keras.Model, channels: Channels, clusters: Clusters, rate: float) -> None:
    """Move all weights of a cluster's channels towards their mean, in place.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        clusters: the clusters.
        rate: the share of the way, in (0, 1]; with 1 the channels of each cluster become equal.
    """
    into = _into(clusters)
    for call in _first_calls(block):
        for variable, axis, ids in _weights_of_channels(call, channels):
            labels = _places(ids, into, channels)
            if (labels == np.arange(len(labels))).all():
                continue
            values = np.moveaxis(keras.ops.convert_to_numpy(variable), axis, 0).astype(np.float64)
            sums = np.zeros_like(values)
            np.add.at(sums, labels, values)
            sizes = np.bincount(labels, minlength=len(labels))[labels].reshape(-1, *[1] * (values.ndim - 1))
            new = values + rate * (sums[labels] / sizes - values)
            variable.assign(np.moveaxis(new, 0, axis))


def merge_channels(block: keras.Model, channels: Channels, clusters: Clusters) -> tuple[IdArray, keras.Model]:
    """Return the IDs of the channels that were merged into others, and the block without them.

    It computes what `block` computes when the channels of each cluster are equal, and no product of two tensors sums
    them. Its layers have the shapes that `remove` gives them for these IDs; only the weights of readers differ.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        clusters: which sets are merged into which.
    """
    added, into = remove(block, channels, np.empty(0, np.int64)), _into(clusters)
    for call in _first_calls(block):
        if call.name in channels.made:
            _add_slices(call, added.get_layer(call.name), _places(channels.of[id(call.inputs[0])], into, channels))
    removed = [np.empty(0, np.int64)]
    for group, cluster in zip(channels.groups, clusters, strict=True):
        removed += [ids for i, ids in enumerate(group.coupled) if cluster[i] != i]
    gone = np.concatenate(removed)
    return gone, remove(added, analyse(added), gone)


def _first_calls(block: keras.Model) -> list[LayerCall]:
    """Return the first call of every operation: the others of a layer that is used again have the same weights."""
    first: dict[int, LayerCall] = {}
    for call in calls(block):
        first.setdefault(id(call.operation), call)
    return [*first.values()]


def _into(clusters: Clusters) -> Ints:
    """Return the number of the set that each set is merged into, itself if it stays; as `Channels.set_of` counts."""
    starts = np.cumsum([0, *map(len, clusters)])[:-1]
    return np.concatenate([np.empty(0, np.int64), *(start + c for start, c in zip(starts, clusters, strict=True))])


def _places(ids: IdArray, into: Ints, channels: Channels) -> Ints:
    """Return, for each place of a tensor's last axis, the place whose channel it is merged with; its own if it stays.

    A set may have several channels in the tensor. They are merged in their order, which is the same in every set of a
    group, since all relations treat the sets alike.
    """
    sets = channels.set_of[ids]
    if not len(into):
        return np.arange(len(ids))
    by_set = np.argsort(sets, kind="stable")
    rank = np.empty_like(by_set)  # of a place among those of its set
    rank[by_set] = np.arange(len(ids)) - np.searchsorted(sets[by_set], sets[by_set])
    found: Ints = by_set[np.searchsorted(sets[by_set], np.where(sets < 0, sets, into[sets])) + rank]
    return found


def _weights_of_channels(call: LayerCall, channels: Channels) -> Iterator[tuple[Any, int, IdArray]]:
    """Yield the weights of a layer that belong to single channels: the variable, the channels' axis, and their IDs."""
    rule = channel_rule(call)
    if call.name in channels.kept_whole or isinstance(rule, str) or rule.cut is None:
        return
    read, written = (channels.of[id(t)] for t in (call.inputs[0], call.outputs[0]))
    weights: Sequence[Any] = getattr(call.operation, "weights", [])
    if rule.cut is cut_separable_kernels:
        depthwise, *weights = weights
        yield depthwise, -2, read
    elif rule.cut is cut_depthwise_kernel:
        # The output has `depth_multiplier` channels for each input; the bias is one value for each of them.
        kernel, *weights = weights
        yield kernel, -2, read
    elif rule.cut is cut_transposed_kernel:
        kernel, *weights = weights
        yield kernel, -2, written
    for variable in weights:
        if variable.shape[-1] == len(written):
            yield variable, -1, written


def _add_slices(call: LayerCall, layer: Any, places: Ints) -> None:
    """Add the slices of a reader's kernel that are merged to those that stay.

    Args:
        call: the layer's call in the block.
        layer: the layer whose kernel is changed; it has all channels.
        places: for each input channel the one that it is merged with.
    """
    rule, axis, multiplier = channel_rule(call), -2, 1
    assert not isinstance(rule, str)
    kernel = layer.pointwise_kernel if rule.cut is cut_separable_kernels else layer.kernel
    if rule.cut is cut_separable_kernels:
        multiplier = layer.depth_multiplier
    elif rule.cut is cut_transposed_kernel:
        axis = -1
    else:
        assert rule.cut is cut_kernel
        places = places[: kernel.shape[-2]]  # the same in every group
    values = np.moveaxis(keras.ops.convert_to_numpy(kernel), axis, 0)
    rows: Array = values.reshape(len(places), multiplier, *values.shape[1:]).copy()
    gone = np.flatnonzero(places != np.arange(len(places)))
    np.add.at(rows, places[gone], values.reshape(rows.shape)[gone])
    kernel.assign(np.moveaxis(rows.reshape(values.shape), 0, axis))
