"""A Keras model as a list of operation calls in topological order, and what each call costs.

This is the one place that touches Keras' node objects; it knows nothing of blocks or pruning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from legodnn.errors import ModelError

Tensor = Any  # keras.KerasTensor: a symbolic tensor; identity matters, equality does not exist.


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer or Keras operation: what it reads and writes."""

    operation: Any
    node: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def kind(self) -> str:
        """The operation's class name, such as 'Conv2D'."""
        return type(self.operation).__name__

    @property
    def name(self) -> str:
        """The operation's name in the model."""
        return str(self.operation.name)


def calls(model: keras.Model) -> list[LayerCall]:
    """Every operation call of a Functional model in topological order, input layers left out."""
    found = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                found.append(LayerCall(node.operation, node, tuple(node.input_tensors), tuple(node.output_tensors)))
    return found


def check_shapes(model: keras.Model) -> None:
    """Refuse a Functional model in which a tensor's shape is not known, or whose outputs are not tensors of their own.

    Raises:
        ModelError: naming the input or the layer.
    """
    images = {t.shape[0] for t in model.inputs}
    for t in model.inputs:
        if None in t.shape[1:]:
            raise ModelError(
                f"input {t.name!r} of model {model.name!r} has shape {t.shape}; give keras.Input a fixed shape"
            )
        if any(t is output for output in model.outputs):
            raise ModelError(f"model {model.name!r} gives its input {t.name!r} as an output; leave that output out")
    for number, t in enumerate(model.outputs):
        if any(t is other for other in model.outputs[:number]):
            raise ModelError(
                f"model {model.name!r} gives the output of {model.output_names[number]!r} twice (output {number + 1}); "
                "leave one of them out"
            )
    for call in calls(model):
        for t in call.outputs:
            if None in t.shape[1:] or t.shape[:1] not in [(n,) for n in images]:
                raise ModelError(
                    f"layer {call.name!r} ({call.kind}) of model {model.name!r} gives a tensor of shape {t.shape}; "
                    "every size must be known but the first, which is the number of images"
                )


def check_weights(model: keras.Model) -> None:
    """Refuse a model with weights that are not numbers.

    Raises:
        ModelError: naming the layer and the weight that hold NaN or infinity.
    """
    for layer in model.layers:
        for variable in layer.weights:
            if not np.isfinite(np.asarray(keras.ops.convert_to_numpy(variable), float)).all():
                raise ModelError(
                    f"layer {layer.name!r} of model {model.name!r} has NaN or infinity in its weights "
                    f"({variable.name}): load or train it again"
                )


def live_after(order: Sequence[LayerCall], inputs: Sequence[Tensor]) -> list[list[Tensor]]:
    """For each call of a model, the tensors known once it is done that later calls read.

    Where that is one tensor, the model can be cut in two that share nothing but this tensor.
    """
    last_use = {id(t): i for i, call in enumerate(order) for t in call.inputs}
    known = list(inputs)
    live = []
    for i, call in enumerate(order):
        known = [t for t in [*known, *call.outputs] if last_use.get(id(t), -1) > i]
        live.append(list(known))
    return live


def submodel(inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str) -> keras.Model:
    """The piece of a model between tensors, with the same layer objects (weights are shared, not copied)."""
    return keras.Model(alone(inputs), alone(outputs), name=name)


def alone(values: Sequence[Any]) -> Any:
    """What Keras wants for inputs and outputs: a single value as itself, several as a list."""
    return values[0] if len(values) == 1 else list(values)


def rebuild(model: keras.Model, replace: Callable[[LayerCall], Any]) -> keras.Model:
    """A new model of the same graph in which each call's operation is `replace(call)`.

    `replace` may return the operation itself, to share it.

    Raises:
        ModelError: a replacement cannot be called where the operation was.
    """
    new: dict[int, Tensor] = {
        id(t): keras.Input(batch_shape=t.shape, dtype=t.dtype, name=f"input_{i}") for i, t in enumerate(model.inputs)
    }
    inputs = list(new.values())
    for call in calls(model):
        args, kwargs = call.node.arguments.fill_in(new)
        replacement = replace(call)
        try:
            results = keras.tree.flatten(replacement(*args, **kwargs))
        except (TypeError, ValueError) as e:
            reason = re.sub(r"\x1b\[[0-9;]*m|\s+", " ", str(e))[:200].strip()
            raise ModelError(f"layer {call.name} ({call.kind}) cannot be called again: {reason}") from None
        new.update((id(old), result) for old, result in zip(call.outputs, results, strict=True))
    return submodel(inputs, [new[id(t)] for t in model.outputs], model.name)


def run_calls(model: keras.Model, values: Sequence[Any], training: bool) -> list[Any]:
    """Outputs of a Functional model, in inference or while it is trained to give another model's outputs.

    In training, layers that keep statistics of batches (batch norms) do so; random ones (augmentation, dropout, noise)
    do what they do in inference: the outputs wanted are those for the image as it is.

    Raises:
        ModelError: a layer gives another shape in inference than when the graph was made.
    """
    known = {id(t): keras.ops.cast(x, t.dtype) for t, x in zip(model.inputs, values, strict=True)}
    for call in calls(model):
        args, kwargs = call.node.arguments.fill_in(known)
        if isinstance(call.operation, keras.layers.Layer):
            kwargs["training"] = training and any(not v.trainable for v in call.operation.weights)
        results = keras.tree.flatten(call.operation(*args, **kwargs))
        for t, result in zip(call.outputs, results, strict=True):
            if None not in result.shape[1:] and tuple(result.shape[1:]) != t.shape[1:]:
                raise ModelError(
                    f"layer {call.name} ({call.kind}) gives {tuple(result.shape[1:])} in inference, where the model's "
                    f"graph has {t.shape[1:]}: take it out of the model (augmentation belongs to the data)"
                )
            known[id(t)] = result
    return [known[id(t)] for t in model.outputs]


def as_list(values: Any) -> list[Any]:
    """The way back: always a list."""
    return list(values) if isinstance(values, list | tuple) else [values]


def macs(model: keras.Model) -> int:
    """Multiply-accumulates of one inference: convolutions and dense layers, counted from shapes."""
    return sum(_call_macs(call) for call in calls(model))


def _call_macs(call: LayerCall) -> int:
    layer: Any = call.operation
    if call.kind == "MultiHeadAttention":
        return _attention_macs(layer, [t.shape[1] for t in call.inputs])
    separable = "SeparableConv" in call.kind
    kernel = getattr(layer, "depthwise_kernel" if separable else "kernel", None)
    if kernel is None:
        return 0
    if call.kind == "EinsumDense":  # each output value sums over the kernel's axes that the output has not
        _, of_kernel, of_output = layer.equation.replace("->", ",").split(",")
        summed = (n for letter, n in zip(of_kernel, kernel.shape, strict=True) if letter not in of_output)
        return int(math.prod(call.outputs[0].shape[1:]) * math.prod(summed))
    positions = math.prod(call.outputs[0].shape[1:-1])
    if "Transpose" in call.kind:
        positions = math.prod(call.inputs[0].shape[1:-1])
    total = positions * math.prod(kernel.shape)
    if separable:
        total += positions * math.prod(layer.pointwise_kernel.shape)
    return int(total)


def _attention_macs(layer: Any, lengths: Sequence[int]) -> int:
    """Of a MultiHeadAttention layer for inputs (query, value) or (query, value, key), each (batch, length, c)."""
    query, value = lengths[0], lengths[1]
    projections = (
        (query, layer._query_dense),
        (value, layer._key_dense),
        (value, layer._value_dense),
        (query, layer._output_dense),
    )
    total = sum(length * math.prod(dense.kernel.shape) for length, dense in projections)
    return int(total + query * value * layer.num_heads * (layer.key_dim + layer.value_dim))
