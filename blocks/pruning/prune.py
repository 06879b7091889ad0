"""Making descendants: choose channels by a criterion, remove them, keep the interface.

What hangs together is found by `channels`, what an operation loses with a channel is in `rules`, which channels matter
is said by `criteria`; training is left to `distill`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from legodnn.arrays import Array, Mask
from legodnn.blocks.channels.analysis import ChannelGroup, Channels, analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.channels.rules import rule
from legodnn.blocks.importing.graph import LayerCall, alone, as_list, calls, rebuild, submodel
from legodnn.blocks.importing.layer_copies import blank_copy, give_state, has_state
from legodnn.blocks.importing.opening import same_function, samples
from legodnn.blocks.pruning.criteria import Criterion, Importance, l1
from legodnn.errors import ModelError


def choose(
    block: keras.Model, channels: Channels, sparsity: float, criterion: Criterion = l1, x: Any = None
) -> IdArray:
    """The channel numbers to remove: in each group the least important share, but never the last class.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        sparsity: share of each group's channels to remove, in [0, 1).
        criterion: importance of each channel number; a class counts the sum over its numbers.
        x: sample inputs of the block, for criteria that look at activations.
    """
    if not channels.groups:
        return np.empty(0, np.int64)
    importance = criterion(block, channels, x)
    return np.concatenate([_least(group, importance, sparsity) for group in channels.groups])


def _least(group: ChannelGroup, importance: Importance, sparsity: float) -> IdArray:
    count = len(group.classes)
    drop = min(count - 1, round(sparsity * count))
    order = np.argsort([importance[ids].sum() for ids in group.classes], kind="stable")
    return np.concatenate([np.empty(0, np.int64), *(group.classes[i] for i in order[:drop])])


def remove(block: keras.Model, channels: Channels, removed: IdArray) -> keras.Model:
    """A new model without these channels, with its own copies of the remaining weights.

    It computes what `block` computes when every reader of the removed channels gets zeros for them.
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
            del copies[id(operation)]  # a keras.ops call may stand in the graph again, with other channels
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
    """Compare a copy of a block that has lost nothing with the block itself, on sample inputs.

    Raises:
        ModelError: naming the layer whose copy computes something else, or cannot be made.
    """
    copy = remove(block, analyse(block), np.empty(0, np.int64))
    x = alone(samples(block))
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
    """An operation with the kept channels only, not yet built, and the weights it shall get; None: the original's."""
    operation: Any = call.operation
    known = None if whole else rule(call)
    cut = None if known is None or isinstance(known, str) else known.cut
    changes, weights = cut(call, keep_in, keep_out) if cut else ({}, None)
    if not changes and weights is None and not has_state(operation):
        return operation, None
    copy = blank_copy(operation, changes)
    if isinstance(copy, keras.layers.Layer):
        copy.trainable = True  # the original may be frozen, descendants are there to be trained
    return copy, weights if has_state(operation) else None


def descendant(block: keras.Model, sparsity: float, criterion: Criterion = l1, x: Any = None) -> keras.Model:
    """A copy of a block with a share of its inner channels removed; inputs and outputs keep their shapes.

    Args:
        block: a Functional model.
        sparsity: share of the channels of each group to remove, in [0, 1); 0 gives a plain copy.
        criterion: which channels go.
        x: sample inputs of the block, for criteria that look at activations.

    Raises:
        ModelError: nothing in the block can be removed.

    Example:
        >>> import keras
        >>> from keras.layers import Conv2D
        >>> x = keras.Input((8, 8, 3))
        >>> block = keras.Model(x, Conv2D(3, 3)(Conv2D(6, 3)(x)))
        >>> smaller = descendant(block, 0.5)
        >>> smaller.layers[1].filters, smaller.output_shape == block.output_shape
        (3, True)
    """
    channels = analyse(block)
    if sparsity and not channels.groups:
        reasons = "; ".join(f"{name}: {why}" for name, why in channels.kept_whole.items())
        raise ModelError(f"block {block.name!r} has no inner channels to remove" + (f" ({reasons})" if reasons else ""))
    return remove(block, channels, choose(block, channels, sparsity, criterion, x))
