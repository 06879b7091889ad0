"""Making descendants: choose channels by a criterion, remove them, keep the interface.

A criterion is a function from a layer to the importance of each of its output channels; any function of that shape
serves (`l1` is the default). What hangs together is found by `channels`; training is left to `distill`.
"""

from __future__ import annotations

from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.channels import Channels, Group, Ids, analyse
from legodnn.blocks.graph import Call, rebuild
from legodnn.errors import ModelError


class Criterion(Protocol):
    """How important each output channel of a layer is."""

    def __call__(self, layer: keras.layers.Layer) -> NDArray[np.float32]:
        """Importance of the output channels of a layer with a `kernel`, shape (channels,); larger is kept."""


def l1(layer: keras.layers.Layer) -> NDArray[np.float32]:
    """Sum of absolute weights of each filter (Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017)."""
    kernel = np.abs(keras.ops.convert_to_numpy(layer.kernel))
    sums: NDArray[np.float32] = kernel.sum(axis=tuple(range(kernel.ndim - 1)), dtype=np.float32)
    return sums


def choose(block: keras.Model, channels: Channels, sparsity: float, criterion: Criterion = l1) -> Ids:
    """The channel numbers to remove: in each group the least important share, but never the last class.

    Args:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        sparsity: share of each group's channels to remove, in [0, 1).
        criterion: importance of a layer's channels; a class counts the sum over the layers that make it.
    """
    importance = np.zeros(1 + max((int(ids.max()) for ids in channels.of.values()), default=0))
    for layer, ids in channels.made.items():
        importance[ids] += criterion(block.get_layer(layer))
    removed = [_least(group, importance, sparsity) for group in channels.groups]
    return np.concatenate(removed) if removed else np.empty(0, np.int64)


def _least(group: Group, importance: NDArray[np.float64], sparsity: float) -> Ids:
    count = len(group.classes)
    drop = min(count - 1, round(sparsity * count))
    order = np.argsort([importance[ids].sum() for ids in group.classes], kind="stable")
    return np.concatenate([np.empty(0, np.int64), *(group.classes[i] for i in order[:drop])])


def remove(block: keras.Model, channels: Channels, removed: Ids) -> keras.Model:
    """A new model without these channels, with its own copies of the remaining weights.

    It computes what `block` computes when every reader of the removed channels gets zeros for them.
    """
    gone = set(removed.tolist())
    keep = {key: np.array([i not in gone for i in ids.tolist()], bool) for key, ids in channels.of.items()}
    copies: dict[int, tuple[Any, list[NDArray[np.float32]]]] = {}

    def replace(call: Call) -> Any:
        layer = call.operation
        if not isinstance(layer, keras.layers.Layer):
            return layer  # a keras.ops call: no weights, nothing to change
        if id(layer) not in copies:
            whole = call.name in channels.kept_whole
            copies[id(layer)] = _copy(call, keep[id(call.inputs[0])], keep[id(call.outputs[0])], whole)
        return copies[id(layer)][0]

    pruned = rebuild(block, replace)
    for layer, weights in copies.values():
        layer.set_weights(weights)
    return pruned


def _copy(call: Call, keep_in: Any, keep_out: Any, whole: bool) -> tuple[Any, list[NDArray[np.float32]]]:
    """A layer with the kept channels only, not yet built, and the weights it shall get."""
    layer: Any = call.operation
    weights = layer.get_weights()
    changes = {}
    if not whole and call.kind in ("Conv2D", "Dense"):
        changes["filters" if call.kind == "Conv2D" else "units"] = int(keep_out.sum())
        kernel, *bias = weights
        weights = [kernel[..., keep_in, :][..., keep_out], *(b[keep_out] for b in bias)]
    elif not whole and weights:
        weights = [w[..., keep_in] if w.ndim and w.shape[-1] == len(keep_in) else w for w in weights]
    try:
        copy = type(layer).from_config({**layer.get_config(), **changes})
    except (TypeError, ValueError, NotImplementedError) as e:
        reason = str(e).strip().partition("\n")[0]
        raise ModelError(f"layer {call.name} ({call.kind}) cannot be copied from its configuration: {reason}") from None
    copy.trainable = True  # the original may be frozen, descendants are there to be trained
    return copy, weights


def descendant(block: keras.Model, sparsity: float, criterion: Criterion = l1) -> keras.Model:
    """A copy of a block with a share of its inner channels removed; inputs and outputs keep their shapes.

    Args:
        block: a Functional model.
        sparsity: share of the channels of each group to remove, in [0, 1); 0 gives a plain copy.
        criterion: which channels go.

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
    return remove(block, channels, choose(block, channels, sparsity, criterion))
