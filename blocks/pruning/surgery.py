"""Removing channels from a block: a copy without them is made, whose inputs and outputs keep their shapes.

Which channels are coupled is told by `channels.analysis`, and what an operation loses with a channel by
`channels.rules`. Which channels go is decided elsewhere (`criteria`, `allocation`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Array, Mask
from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.channels.rules import channel_rule
from legodnn.blocks.importing.difference import same_function, sample_inputs
from legodnn.blocks.importing.graph import LayerCall, alone, as_list, calls, rebuild, submodel
from legodnn.blocks.importing.layer_copies import blank_copy, give_state, has_state
from legodnn.errors import ModelError


def remove(block: keras.Model, channels: Channels, removed: IdArray) -> keras.Model:
    """Return a new model without some channels, with its own copies of the remaining weights.

    It computes what `block` computes when every layer that sums over removed channels reads zeros for them.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        removed: IDs of the channels to remove; coupled ones go together.
    """
    keep = {key: ~np.isin(ids, removed) for key, ids in channels.of.items()}
    copies: dict[int, tuple[Any, list[Array] | None]] = {}

    def replace(call: LayerCall) -> Any:
        operation, keep_in, keep_out = call.operation, keep[id(call.inputs[0])], keep[id(call.outputs[0])]
        whole = call.name in channels.kept_whole or bool(keep_in.all() and keep_out.all())
        if id(operation) not in copies:
            copies[id(operation)] = _copy(call, keep_in, keep_out, whole)
        copy = copies[id(operation)][0]
        if not isinstance(operation, keras.layers.Layer) and not whole:
            del copies[id(operation)]  # Another call of the same operation may have other channels.
        return copy

    pruned = rebuild(block, replace)
    originals = {id(call.operation): call.operation for call in calls(block)}
    for key, (layer, weights) in copies.items():
        if weights is not None:
            layer.set_weights(weights)
        elif layer is not originals[key]:
            give_state(originals[key], layer)
    return pruned


def check_copy(block: keras.Model) -> None:
    """Copy a block with all of its channels, and compare the copy with the block on sample inputs.

    Raises:
        ModelError: a layer's copy cannot be made or computes something else; the message names the layer.
    """
    copy = remove(block, analyse(block), np.empty(0, np.int64))
    x = alone(sample_inputs(block))
    if same_function(as_list(copy(x, training=False)), as_list(block(x, training=False))):
        return
    for mine, own in zip(calls(copy), calls(block), strict=True):
        pair = (submodel(m.inputs, c.outputs, "until")(x, training=False) for m, c in ((copy, mine), (block, own)))
        if not same_function(*map(as_list, pair)):
            raise ModelError(
                f"layer {own.name} ({own.kind}) cannot be copied: its copy computes something else; it must restore "
                "all its state in load_own_variables and from its configuration, and give the same for the same input"
            )
    raise ModelError(f"{block.name} gives other outputs for the same input each time it is run")


def _copy(call: LayerCall, keep_in: Mask, keep_out: Mask, whole: bool) -> tuple[Any, list[Array] | None]:
    """Return an operation with only the kept channels, not built yet, and its weights; None: the original's weights."""
    operation: Any = call.operation
    rule = None if whole else channel_rule(call)
    cut = None if rule is None or isinstance(rule, str) else rule.cut
    changes, weights = cut(call, keep_in, keep_out) if cut else ({}, None)
    if not changes and not weights and not has_state(operation):
        return operation, None
    if "key" in changes:  # of indexing, an argument of the call
        return lambda x, _: operation(x, changes["key"]), None
    copy = blank_copy(operation, changes)
    if isinstance(copy, keras.layers.Layer):
        copy.trainable = True  # The original may be frozen, but a descendant is trained.
    return copy, weights if has_state(operation) else None


def channels_left(block: keras.Model, channels: Channels, smaller: keras.Model, removed: IdArray) -> Channels:
    """Return the channels of a smaller block, with the IDs, and in the groups, that they have in its original.

    An analysis of the smaller block may find other groups: a grouped convolution that has a single input channel left
    in each group is a depthwise one by another name, which makes no channels of its own.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        smaller: what `remove` made of the block, perhaps in several steps.
        removed: IDs of the channels that it lost.
    """

    def left(ids: IdArray) -> IdArray:
        return ids[~np.isin(ids, removed)]

    pairs = list(zip(block.inputs, smaller.inputs, strict=True))
    for call, twin in zip(calls(block), calls(smaller), strict=True):
        pairs += zip(call.outputs, twin.outputs, strict=True)
    groups = (replace(g, coupled=tuple(ids for ids in g.coupled if len(left(ids)))) for g in channels.groups)
    return replace(
        channels,
        of={id(kept): left(channels.of[id(tensor)]) for tensor, kept in pairs},
        groups=tuple(groups),
        made={name: left(ids) for name, ids in channels.made.items()},
    )
