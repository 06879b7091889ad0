"""The work of a model: its multiply-accumulates, by layer."""

from __future__ import annotations

import math
from string import ascii_lowercase
from typing import Any

import keras

from legodnn.blocks.importing.graph import LayerCall, calls


def macs(model: keras.Model) -> int:
    """Return the multiply-accumulates of one inference in convolutions, dense layers and products of tensors."""
    return sum(call_macs(call) for call in calls(model))


def call_macs(call: LayerCall) -> int:
    """Return the multiply-accumulates of one call for one image; 0 where an operation multiplies and sums nothing."""
    layer: Any = call.operation
    if call.kind in ("MultiHeadAttention", "GroupedQueryAttention"):
        return _attention_macs(call)
    if axes := axes_of_product(call):
        return _product_macs(call, axes)
    while isinstance(layer, keras.layers.TimeDistributed | keras.layers.SpectralNormalization):
        layer = layer.layer  # the shapes of the call tell how often it runs
    if isinstance(layer, keras.Model):
        return int(call.outputs[0].shape[1]) * macs(keras.Model(layer.inputs, layer.outputs))
    kind = type(layer).__name__
    separable = "SeparableConv" in kind
    kernel = getattr(layer, "depthwise_kernel" if separable else "kernel", None)
    if kernel is None:
        return 0
    if kind == "EinsumDense":  # Each output value is a sum over the kernel axes that the output does not have.
        _, of_kernel, of_output = layer.equation.replace("->", ",").split(",")
        summed = (n for letter, n in zip(of_kernel, kernel.shape, strict=True) if letter not in of_output)
        return int(math.prod(call.outputs[0].shape[1:]) * math.prod(summed))
    positions = math.prod(call.outputs[0].shape[1:-1])
    if "Transpose" in kind:
        positions = math.prod(call.inputs[0].shape[1:-1])
    total = positions * math.prod(kernel.shape)
    if separable:
        total += positions * math.prod(layer.pointwise_kernel.shape)
    return int(total)


def axes_of_product(call: LayerCall) -> tuple[str, str, str] | None:
    """Return a letter for each axis of two factors and of their product; None if a call is no such product.

    Example:
        >>> a, b = keras.Input((5, 2, 8)), keras.Input((7, 2, 8))
        >>> model = keras.Model([a, b], keras.ops.einsum("nqhc,nkhc->nhqk", a, b))
        >>> axes_of_product(calls(model)[0])
        ('nqhc', 'nkhc', 'nhqk')
    """
    if call.kind not in ("Einsum", "Matmul") or len(call.inputs) != 2:
        return None
    if call.kind == "Einsum":
        parts = call.operation.subscripts.replace("->", ",").split(",")
        named = len(parts) == 3 and all(part.isalpha() and len({*part}) == len(part) for part in parts)
        return (parts[0], parts[1], parts[2]) if named else None
    ranks = {len(t.shape) for t in (*call.inputs, *call.outputs)}
    if len(ranks) > 1 or ranks == {1}:
        return None
    outer = ascii_lowercase[: ranks.pop() - 2]
    return f"{outer}xy", f"{outer}yz", f"{outer}xz"


def _product_macs(call: LayerCall, axes: tuple[str, str, str]) -> int:
    """Count a product of two tensors, whose first axis is the batch's."""
    sizes: dict[str, int] = {}
    for part, tensor in zip(axes[:2], call.inputs, strict=True):
        for axis, size in list(zip(part, tensor.shape, strict=True))[1:]:
            sizes[axis] = max(size, sizes.get(axis, 1))  # one of the two may be broadcast
    return math.prod(sizes.values())


def _attention_macs(call: LayerCall) -> int:
    """Count an attention layer with projections, whose inputs have shape (batch, ..., c)."""
    layer: Any = call.operation
    arguments = call.node.arguments
    given = {**dict(zip(("query", "value"), arguments.args, strict=False)), **arguments.kwargs}
    query, value = given["query"].shape[1:-1], given["value"].shape[1:-1]
    asked, told = math.prod(query), math.prod(value)
    projections = (
        (asked, layer._query_dense),
        (told, layer._key_dense),
        (told, layer._value_dense),
        (asked, layer._output_dense),
    )
    total = sum(positions * math.prod(dense.kernel.shape) for positions, dense in projections)
    if call.kind == "GroupedQueryAttention":
        return int(total + asked * told * layer.num_query_heads * 2 * layer.head_dim)
    axes = {axis % (len(query) + 2) for axis in layer._attention_axes}
    seen = math.prod(size for axis, size in enumerate(value, 1) if axis in axes)  # by each place of the query
    return int(total + asked * seen * layer.num_heads * (layer.key_dim + layer.value_dim))
