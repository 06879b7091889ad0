"""Making descendants: choose channels by a criterion, remove them, keep the interface.

What hangs together is found by `channels`, what an operation loses with a channel is in `rules`, which channels matter
is said by `criteria`; training is left to `distill`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from legodnn.blocks.channels import Channels, Group, analyse
from legodnn.blocks.criteria import Criterion, Importance, l1
from legodnn.blocks.cuts import Array, Mask
from legodnn.blocks.graph import Call, rebuild
from legodnn.blocks.numbering import Ids
from legodnn.blocks.rules import rule
from legodnn.errors import ModelError


def choose(block: keras.Model, channels: Channels, sparsity: float, criterion: Criterion = l1, x: Any = None) -> Ids:
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


def _least(group: Group, importance: Importance, sparsity: float) -> Ids:
    count = len(group.classes)
    drop = min(count - 1, round(sparsity * count))
    order = np.argsort([importance[ids].sum() for ids in group.classes], kind="stable")
    return np.concatenate([np.empty(0, np.int64), *(group.classes[i] for i in order[:drop])])


def remove(block: keras.Model, channels: Channels, removed: Ids) -> keras.Model:
    """A new model without these channels, with its own copies of the remaining weights.

    It computes what `block` computes when every reader of the removed channels gets zeros for them.
    """
    keep = {key: ~np.isin(ids, removed) for key, ids in channels.of.items()}
    copies: dict[int, tuple[Any, list[Array]]] = {}

    def replace(call: Call) -> Any:
        operation, keep_in, keep_out = call.operation, keep[id(call.inputs[0])], keep[id(call.outputs[0])]
        whole = call.name in channels.kept_whole
        if not isinstance(operation, keras.layers.Layer) and (whole or (keep_in.all() and keep_out.all())):
            return operation  # a keras.ops call: no weights, nothing to change
        if id(operation) not in copies:
            copies[id(operation)] = _copy(call, keep_in, keep_out, whole)
        return copies[id(operation)][0]

    pruned = rebuild(block, replace)
    for layer, weights in copies.values():
        if isinstance(layer, keras.layers.Layer):
            layer.set_weights(weights)
    return pruned


def _copy(call: Call, keep_in: Mask, keep_out: Mask, whole: bool) -> tuple[Any, list[Array]]:
    """An operation with the kept channels only, a layer not yet built, and the weights it shall get."""
    operation: Any = call.operation
    known = None if whole else rule(call)
    cut = None if known is None or isinstance(known, str) else known.cut
    if cut:
        changes, weights = cut(call, keep_in, keep_out)
    elif isinstance(operation, keras.layers.Layer):
        changes, weights = {}, operation.get_weights()
    else:
        return operation, []
    try:
        copy = type(operation).from_config({**operation.get_config(), **changes})
    except (TypeError, ValueError, NotImplementedError) as e:
        reason = str(e).strip().partition("\n")[0]
        raise ModelError(f"layer {call.name} ({call.kind}) cannot be copied from its configuration: {reason}") from None
    if isinstance(copy, keras.layers.Layer):
        copy.trainable = True  # the original may be frozen, descendants are there to be trained
    return copy, weights


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
        >>> smaller = descendant(block, 0.5)
        >>> smaller.output_shape == block.output_shape
        True
    """
    channels = analyse(block)
    if sparsity and not channels.groups:
        reasons = "; ".join(f"{name}: {why}" for name, why in channels.kept_whole.items())
        raise ModelError(f"block {block.name!r} has no inner channels to remove" + (f" ({reasons})" if reasons else ""))
    return remove(block, channels, choose(block, channels, sparsity, criterion, x))
