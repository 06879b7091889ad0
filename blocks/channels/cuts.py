"""Cuts: what a copy of a layer changes when it keeps only some channels. They are the second half of channel rules.

A cut is a function (call, keep_in, keep_out). The masks say which channels of the call's first input and of its output
stay; their shapes are (c_in,) and (c_out,). It returns changed entries of the layer's configuration, and the weights
that the copy gets. Making the copy is left to `legodnn.blocks.pruning.prune`, which knows nothing about layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from legodnn.arrays import Array, Mask
from legodnn.blocks.importing.graph import LayerCall

Parts = tuple[dict[str, Any], list[Array]]
Cut = Callable[[LayerCall, Mask, Mask], Parts]


def _cut_rest(call: LayerCall, rest: list[Array], keep_out: Mask) -> list[Array]:
    """Cut the bias among the weights behind a layer's kernels; its activation's own stay, as its outputs then do."""
    layer: Any = call.operation
    biases = 1 if layer.use_bias else 0
    return [*(b[keep_out] for b in rest[:biases]), *rest[biases:]]


def cut_kernel(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Cut a kernel of shape (..., c_in / groups, c_out) and a bias of shape (c_out,)."""
    layer: Any = call.operation
    kernel, *rest = layer.get_weights()
    if call.kind == "Dense":
        changes = {"units": int(keep_out.sum())}
    else:
        changes = {"filters": int(keep_out.sum())}
        if 1 < layer.groups == len(keep_in):
            changes["groups"] = int(keep_in.sum())
            keep_in = np.ones(1, bool)
    rows = keep_in[: kernel.shape[-2]]  # the same in every group
    return changes, [kernel[..., rows, :][..., keep_out], *_cut_rest(call, rest, keep_out)]


def cut_transposed_kernel(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Cut the kernel of a transposed convolution, shape (..., c_out, c_in), and its bias, shape (c_out,)."""
    kernel, *rest = call.operation.get_weights()
    cut = [kernel[..., keep_out, :][..., keep_in], *_cut_rest(call, rest, keep_out)]
    return {"filters": int(keep_out.sum())}, cut


def cut_depthwise_kernel(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Cut a depthwise kernel of shape (..., c_in, multiplier) and a bias of shape (c_in * multiplier,)."""
    kernel, *rest = call.operation.get_weights()
    return {}, [kernel[..., keep_in, :], *_cut_rest(call, rest, keep_out)]


def cut_separable_kernels(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Cut the three weights of a separable convolution.

    They are a depthwise kernel (..., c_in, multiplier), a pointwise one (..., c_in * multiplier, c_out), and a bias
    (c_out,).
    """
    depthwise, pointwise, *rest = call.operation.get_weights()
    middle = np.repeat(keep_in, call.operation.depth_multiplier)
    pointwise = pointwise[..., middle, :][..., keep_out]
    return {"filters": int(keep_out.sum())}, [depthwise[..., keep_in, :], pointwise, *_cut_rest(call, rest, keep_out)]


def cut_last_axis(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Cut weights of shape (..., c), and leave those of shape (..., 1), which all channels share."""
    return {}, [w[..., keep_in] if w.shape[-1] == len(keep_in) else w for w in call.operation.get_weights()]


def cut_and_count(entry: str) -> Cut:
    """Return a cut of weights of shape (..., c) that also writes the number of channels into a configuration entry."""

    def cut(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
        return {entry: int(keep_in.sum())}, cut_last_axis(call, keep_in, keep_out)[1]

    return cut


def cut_shape(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Change the target shape of a Reshape layer or a `keras.ops.reshape` call, (..., c_out); it has no weights."""
    shape = (*call.outputs[0].shape[1:-1], int(keep_out.sum()))
    return {"target_shape": shape} if hasattr(call.operation, "target_shape") else {"newshape": (-1, *shape)}, []


def cut_groups(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Cut scale and offset of a group normalisation, shape (c,), and count the groups that stay."""
    size = len(keep_in) // call.operation.groups
    return {"groups": int(keep_in.sum()) // size}, cut_last_axis(call, keep_in, keep_out)[1]


def picked_channels(call: LayerCall) -> slice | None:
    """Return which channels indexing takes, by a slice of step 1; None if it is more than integers and such slices."""
    key, last = _key(call)
    if any(not isinstance(k, int | slice) and k is not Ellipsis for k in key):
        return None
    whole = slice(None) if last is None else key[last]
    if not isinstance(whole, slice) or whole.step not in (None, 1):
        return None
    return slice(*whole.indices(call.inputs[0].shape[-1]))


def _key(call: LayerCall) -> tuple[tuple[Any, ...], int | None]:
    """Return the entries of a call's key, and the place of the one for the last axis; None if that is left whole."""
    key = call.node.arguments.args[1] if len(call.node.arguments.args) > 1 else None
    key = tuple(key) if isinstance(key, list | tuple) else (key,)
    entries = [i for i, k in enumerate(key) if k is not Ellipsis]
    if len(entries) == len(call.inputs[0].shape):
        return key, entries[-1]
    return key, len(key) - 1 if len(entries) < len(key) and key[-1] is not Ellipsis else None


def cut_key(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Change the key of indexing, an argument of the call, so that it takes those of its channels that stay."""
    (key, last), taken = _key(call), picked_channels(call)
    if last is None or taken is None:
        return {"key": key}, []
    start, stop = (int(keep_in[:end].sum()) for end in (taken.start, taken.stop))
    return {"key": (*key[:last], slice(start, stop), *key[last + 1 :])}, []


def padded_channels(call: LayerCall) -> tuple[int, int]:
    """Return how many channels `keras.ops.pad` puts before those of its input, and how many behind them."""
    before, behind = np.broadcast_to(call.operation.pad_width, (len(call.inputs[0].shape), 2))[-1].tolist()
    return before, behind


def cut_padding(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Change how many channels `keras.ops.pad` adds: those that stay."""
    before, _ = padded_channels(call)
    left = int(keep_out[:before].sum()), int(keep_out[before + len(keep_in) :].sum())
    whole = np.broadcast_to(call.operation.pad_width, (len(call.inputs[0].shape), 2)).tolist()
    return {"pad_width": (*map(tuple, whole[:-1]), left)}, []


def borders(call: LayerCall) -> list[int]:
    """Return the channels at which a split begins a new part, without the first one, 0."""
    return [int(n) for n in np.cumsum([t.shape[-1] for t in call.outputs])[:-1]]


def cut_borders(call: LayerCall, keep_in: Mask, keep_out: Mask) -> Parts:
    """Change where `keras.ops.split` divides the channels; a split of another axis stays as it is."""
    if call.operation.axis % len(call.inputs[0].shape) != len(call.inputs[0].shape) - 1:
        return {}, []
    return {"indices_or_sections": [int(keep_in[:border].sum()) for border in borders(call)]}, []
