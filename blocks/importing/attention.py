"""Attention layers of Keras as the dense layers and products that they consist of, so that their channels can go.

`MultiHeadAttention` holds four projections as layers of its own. In an opened model they are `Dense` layers, each with
the channels of all heads side by side, between reshapes that tell the heads apart.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras
from keras import ops

from legodnn.blocks.importing.graph import LayerCall, Tensor, between, named

_LABELS = ("query", "key", "value", "output")


def opened_attention(
    call: LayerCall, projections: dict[int, dict[str, Any]]
) -> tuple[list[LayerCall], list[Tensor]] | None:
    """Return what a call of `MultiHeadAttention` consists of, or None where it has to stay one call.

    It stays if it is masked or gives its scores too, is of another class, has a gate, or reads tensors without a fixed
    size.

    Args:
        call: a call of a model's graph.
        projections: the dense layers that were made for a layer, by its `id()`: all calls of one layer share them.
            Those of this layer are added.

    Returns:
        The calls in topological order, and the outputs, which are made of the call's own inputs.
    """
    layer: Any = call.operation
    if type(layer) is not keras.layers.MultiHeadAttention or not _is_plain(layer):
        return None
    given = inspect.signature(layer.call).bind(*call.node.arguments.args, **call.node.arguments.kwargs).arguments
    query, value = given.pop("query"), given.pop("value")
    key = given.pop("key", None)
    key = value if key is None else key
    read = (query, key, value)
    unknown = any(None in t.shape[1:] or t.shape[1:-1] == () for t in read)
    if (
        unknown
        or len({len(t.shape) for t in read}) > 1
        or any(x is not None and x is not False for x in given.values())
    ):
        return None
    if id(layer) not in projections:
        projections[id(layer)] = _projections(layer)
    dense = projections[id(layer)]
    heads = {}
    for label, tensor in zip(_LABELS, read, strict=False):
        made = dense[label](tensor)
        shape = (-1, *tensor.shape[1:-1], layer.num_heads, made.shape[-1] // layer.num_heads)
        heads[label] = named(ops.reshape(made, shape), f"{layer.name}_{label}_heads")
    asked = named(ops.multiply(heads["query"], 1 / math.sqrt(layer.key_dim)), f"{layer.name}_scaled")
    scores = named(ops.einsum(layer._dot_product_equation, heads["key"], asked), f"{layer.name}_scores")
    weights = _softmax(scores, len(layer._attention_axes), layer.name)
    if layer.dropout:
        weights = keras.layers.Dropout(layer.dropout, dtype="float32", name=f"{layer.name}_dropout")(weights)
    mean = named(ops.einsum(layer._combine_equation, weights, heads["value"]), f"{layer.name}_mean")
    flat = (-1, *query.shape[1:-1], layer.num_heads * layer.value_dim)
    outputs = [dense["output"](named(ops.reshape(mean, flat), f"{layer.name}_side_by_side"))]
    return between(call.inputs, outputs), outputs


def _softmax(scores: Tensor, axes: int, name: str) -> Tensor:
    """Return a softmax over some last axes, which a `.tflite` file has over the last one of four at most."""
    shape, softmax = scores.shape[1:], keras.layers.Softmax(dtype="float32", name=f"{name}_weights")
    if axes == 1 and len(shape) < 4:
        return softmax(scores)
    rows = math.prod(shape[:-axes]), math.prod(shape[-axes:])
    weights = softmax(named(ops.reshape(scores, (-1, *rows)), f"{name}_rows"))
    return named(ops.reshape(weights, (-1, *shape)), f"{name}_of_rows")


def _is_plain(layer: Any) -> bool:
    """Whether a layer has four projections of vectors, without a gate, a window, or rules for its weights."""
    rules = ("_kernel_constraint", "_bias_constraint", "_activity_regularizer")
    odd = any(getattr(layer, name, None) for name in ("_use_gate", "_sliding_window", *rules))
    adapted = any(getattr(part, "lora_enabled", False) for part in _parts(layer))
    return not odd and not adapted and layer.output_dense.kernel.ndim == 3


def _parts(layer: Any) -> tuple[Any, ...]:
    return layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense


def _projections(layer: Any) -> dict[str, Any]:
    """Return the projections of an attention layer as dense layers, with its weights."""
    made = {}
    for label, part in zip(_LABELS, _parts(layer), strict=True):
        kernel, *bias = part.get_weights()
        kernel = kernel.reshape((-1, kernel.shape[-1]) if label == "output" else (kernel.shape[0], -1))
        dense = keras.layers.Dense(
            kernel.shape[1],
            use_bias=bool(bias),
            kernel_regularizer=layer._kernel_regularizer,
            bias_regularizer=layer._bias_regularizer,
            dtype="float32",
            name=f"{layer.name}_{label}",
        )
        dense.build((None, kernel.shape[0]))
        dense.set_weights([kernel, *(b.reshape(-1) for b in bias)])
        made[label] = dense
    return made
