"""The work of a model: its multiply-accumulates, by layer."""

from __future__ import annotations

import math
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
    if call.kind in ("Einsum", "Matmul") and len(call.inputs) == 2:
        return _product_macs(call)
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


def _product_macs(call: LayerCall) -> int:
    """Count a product of two tensors, whose first axis is the batch's."""
    shapes = [tensor.shape for tensor in call.inputs]
    if call.kind == "Matmul":
        return int(math.prod(call.outputs[0].shape[1:]) * shapes[0][-1])
    if (parts := einsum_axes(call)) is None:
        return 0
    sizes = {axis: n for part, shape in zip(parts, shapes, strict=False) for axis, n in zip(part, shape, strict=True)}
    return int(math.prod(n for axis, n in sizes.items() if axis != parts[0][0]))


def einsum_axes(call: LayerCall) -> tuple[str, str, str] | None:
    """Return a letter for each axis of both inputs and of the output of `keras.ops.einsum`; None if they are not named.

    Example:
        >>> a, b = keras.Input((5, 2, 8)), keras.Input((7, 2, 8))
        >>> model = keras.Model([a, b], keras.ops.einsum("nqhc,nkhc->nhqk", a, b))
        >>> einsum_axes(calls(model)[0])
        ('nqhc', 'nkhc', 'nhqk')
    """
    parts = call.operation.subscripts.replace("->", ",").split(",")
    named = len(parts) == 3 and all(part.isalpha() and len({*part}) == len(part) for part in parts)
    return (parts[0], parts[1], parts[2]) if named else None


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
