"""Relations: how a call's output channels depend on its input channels. They are the first half of channel rules.

A relation is a function (call, inputs, ids). `inputs` holds the channel IDs of each input tensor, and `ids` all IDs of
the block, in which a relation may make new ones, unite some, or fix some. It returns the IDs of the output's channels,
of several outputs a tuple of them; or, as a text, the reason why they cannot be told, and then all channels that the
call reads and writes stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from legodnn.blocks.channels.channel_ids import ChannelIds, IdArray
from legodnn.blocks.channels.cuts import borders, padded_channels, picked_channels
from legodnn.blocks.channels.reasons import (
    Reason,
    activation_mixes,
    expands_last_axis,
    is_last_axis,
    normalises_other_axis,
)
from legodnn.blocks.importing.graph import LayerCall
from legodnn.blocks.importing.macs import axes_of_product

Relation = Callable[[LayerCall, Sequence[IdArray], ChannelIds], "IdArray | tuple[IdArray, ...] | str"]


def same_channels(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Relate each output channel to the input channel in the same place, as pooling does."""
    return inputs[0] if len(inputs) == 1 else "it reads more than one tensor, such as a mask"


def same_unless(reason: Reason) -> Relation:
    """Return the relation `same_channels`, but for calls to which `reason` objects."""

    def relation(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
        return reason(call) or same_channels(call, inputs, ids)

    return relation


def united(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Unite the channels of all inputs one by one, as an addition does."""
    arguments = keras.tree.flatten([call.node.arguments.args, call.node.arguments.kwargs])
    if any(np.size(a) > 1 for a in arguments if not isinstance(a, keras.KerasTensor)):
        return "it reads a constant that is not a single number"
    full = max(inputs, key=len)
    for other in inputs:
        if len(other) == len(full):
            ids.unite(full, other)
        elif len(other) == 1:  # It is broadcast over all channels, so it belongs to none of them.
            ids.fix(other)
        else:
            return "its inputs have different numbers of channels"
    return full


def concatenated(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Put the inputs' channels one after another; along another axis than the last, unite them."""
    if is_last_axis(call.operation.axis, len(call.inputs[0].shape)):
        return np.concatenate(inputs)
    return united(call, inputs, ids)


def stacked(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Unite the channels of tensors that are stacked along a new axis before the last one."""
    return expands_last_axis(call) or united(call, inputs, ids)


def made_by_weights(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Make new channels, as a convolution or a dense layer does.

    In a grouped convolution the i-th channels of all groups are united, on both sides, so that the groups that are left
    have equal sizes again. Where the layer's activation mixes the new channels, as a classifier's softmax does, they
    stay; those that the layer reads may go.
    """
    layer: Any = call.operation
    groups = getattr(layer, "groups", 1)
    if 1 < groups == len(inputs[0]):  # a depthwise convolution by another name
        return activation_mixes(call) or np.repeat(inputs[0], layer.filters // groups)
    made = ids.make(call.name, call.outputs[0].shape[-1])
    if reason := activation_mixes(call):
        ids.fix(made)
        ids.held[call.name] = reason
    ids.unite_rows(inputs[0].reshape(groups, -1))
    ids.unite_rows(made.reshape(groups, -1))
    return made


def product_of_two(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Follow channels through a product of two tensors, as in attention.

    Channels that both have on their last axes go in both. Those of one alone become the output's, if they are on its
    last axis. What is multiplied with positions of the other, or becomes positions, stays.
    """
    axes = axes_of_product(call)
    if axes is None:
        return "it is no product of two tensors whose axes are all named"
    first, second, written = axes
    a, b, c = (part[-1] for part in axes)
    if a == b:
        if a in written[:-1]:
            return "its channels become positions"
        ids.unite(*inputs)
        if a != c:
            ids.summed.add(call.name)
    for own, other, channels in ((a, second, inputs[0]), (b, first, inputs[1])):
        if a != b and (own != c or own in other):
            if not ids.are_fixed(channels):
                ids.held[call.name] = "it multiplies or exchanges channels with positions"
            ids.fix(channels)
    if c in (a, b):
        return inputs[0] if c == a else inputs[1]
    made = ids.fresh(call.outputs[0].shape[-1])
    ids.fix(made)
    return made


def repeated(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Repeat each input channel `depth_multiplier` times, as a depthwise convolution does."""
    return activation_mixes(call) or np.repeat(inputs[0], call.operation.depth_multiplier)


def reshaped(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Follow channels through a reshape.

    Positions that move into the last axis repeat its channels, as `Flatten` does. Channels that become positions are
    united.
    """
    before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
    if not after or None in (*before, *after) or math.prod(before) != math.prod(after):
        return "it changes the number of images or has no fixed shape"
    old, new = len(inputs[0]), after[-1]
    if new % old == 0:
        return np.tile(inputs[0], new // old)
    if old % new == 0:
        ids.unite_rows(inputs[0].reshape(-1, new))
        return inputs[0][:new]
    return "it divides channels among positions"


def coupled_in_groups(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Unite the channels of each group of a group normalisation: a whole group may go, since no other depends on it."""
    if reason := normalises_other_axis(call):
        return reason
    if call.operation.groups == 1:
        return "it normalises over all channels, which depend on one another"
    ids.unite_rows(inputs[0].reshape(call.operation.groups, -1).T)
    return inputs[0]


def picked(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Follow channels through indexing that takes all of them, or those that stand side by side, as x[..., 4:] does."""
    taken = picked_channels(call)
    return "it picks channels" if taken is None else inputs[0][taken]


def with_added(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Put new channels, which are constant, before and behind those of the input; most pad other axes alone."""
    before, behind = padded_channels(call)
    if (before or behind) and call.operation.mode != "constant":
        return "it repeats channels"
    return np.concatenate([ids.fresh(before), inputs[0], ids.fresh(behind)])


def taken_apart(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | tuple[IdArray, ...] | str:
    """Give each output of a split its share of the channels; all of them where another axis is divided."""
    if not is_last_axis(call.operation.axis, len(call.inputs[0].shape)):
        return (inputs[0],) * len(call.outputs)
    return tuple(np.split(inputs[0], borders(call)))


def to_positions(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Unite the channels that `depth_to_space` spreads over the positions of one channel."""
    count = call.outputs[0].shape[-1]
    ids.unite_rows(inputs[0].reshape(-1, count))
    return inputs[0][:count]


def from_positions(call: LayerCall, inputs: Sequence[IdArray], ids: ChannelIds) -> IdArray | str:
    """Repeat channels as `space_to_depth` does, which puts those of neighbouring positions one after another."""
    return np.tile(inputs[0], call.operation.block_size**2)
