"""A Keras model as a list of operation calls in topological order, and what each call costs.

This is the one place that touches Keras' node objects; it knows nothing of blocks or pruning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from legodnn.errors import ModelError

Tensor = Any  # keras.KerasTensor: a symbolic tensor; identity matters, equality does not exist.


@dataclass(frozen=True, eq=False)
class Call:
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


def functional(model: keras.Model) -> keras.Model:
    """The model as a Functional model with a graph; ModelError if it has none (subclassed or not built)."""
    if isinstance(model, keras.Sequential):
        if not model.built or not model.layers:
            raise ModelError(f"model {model.name!r} is not built: give its first layer an input shape (keras.Input)")
        return keras.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_nodes_by_depth"):
        raise ModelError(
            f"model {model.name!r} ({type(model).__name__}) has no graph of layers: rebuild it with Keras' functional "
            "API, keras.Model(inputs, outputs)"
        )
    return model


def calls(model: keras.Model) -> list[Call]:
    """Every operation call of a Functional model in topological order, input layers left out."""
    found = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                found.append(Call(node.operation, node, tuple(node.input_tensors), tuple(node.output_tensors)))
    return found


def live_after(model: keras.Model, order: Sequence[Call]) -> list[list[Tensor]]:
    """For each call, the tensors written up to and including it (or fed to the model) that are still needed later.

    Where that is one tensor, the model can be cut in two that share nothing but this tensor.
    """
    last_use: dict[int, int] = {}
    for i, call in enumerate(order):
        for t in call.inputs:
            last_use[id(t)] = i
    for t in model.outputs:
        last_use[id(t)] = len(order)
    known = list(model.inputs)
    live = []
    for i, call in enumerate(order):
        known = [t for t in [*known, *call.outputs] if last_use.get(id(t), -1) > i]
        live.append(list(known))
    return live


def submodel(inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str) -> keras.Model:
    """The piece of a model between tensors, with the same layer objects (weights are shared, not copied)."""
    return keras.Model(_alone(inputs), _alone(outputs), name=name)


def _alone(tensors: Sequence[Tensor]) -> Any:
    # Keras warns when a model made with [x] is called with x.
    return tensors[0] if len(tensors) == 1 else list(tensors)


def rebuild(model: keras.Model, replace: Callable[[Call], Any]) -> keras.Model:
    """A new model of the same graph in which each call's operation is `replace(call)`.

    `replace` may return the operation itself, to share it.
    """
    new: dict[int, Tensor] = {
        id(t): keras.Input(batch_shape=t.shape, dtype=t.dtype, name=f"input_{i}") for i, t in enumerate(model.inputs)
    }
    inputs = list(new.values())
    for call in calls(model):
        args, kwargs = call.node.arguments.fill_in(new)
        results = keras.tree.flatten(replace(call)(*args, **kwargs))
        new.update((id(old), result) for old, result in zip(call.outputs, results, strict=True))
    return submodel(inputs, [new[id(t)] for t in model.outputs], model.name)


def macs(model: keras.Model) -> int:
    """Multiply-accumulates of one inference: convolutions and dense layers, counted from shapes."""
    return sum(_call_macs(call) for call in calls(model))


def _call_macs(call: Call) -> int:
    separable = "SeparableConv" in call.kind
    kernel = getattr(call.operation, "depthwise_kernel" if separable else "kernel", None)
    if kernel is None:
        return 0
    positions = math.prod(call.outputs[0].shape[1:-1])
    if "Transpose" in call.kind:
        positions = math.prod(call.inputs[0].shape[1:-1])
    total = positions * math.prod(kernel.shape)
    if separable:
        total += positions * math.prod(call.operation.pointwise_kernel.shape)
    return int(total)
