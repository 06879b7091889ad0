"""A Keras model as a list of operation calls in topological order: running it, rebuilding it.

Only this module touches Keras' node objects. It knows nothing about blocks or pruning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from legodnn.arrays import Array
from legodnn.errors import ModelError

Tensor = Any  # keras.KerasTensor: a symbolic tensor. Tensors are told apart by identity; they cannot be compared.


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer or Keras operation, with the tensors that it reads and writes."""

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
    """Return every operation call of a Functional model in topological order; input layers are left out.

    Example:
        >>> x = keras.Input((8, 8, 3))
        >>> model = keras.Model(x, keras.layers.ReLU(name="r")(keras.layers.Conv2D(4, 3, name="c")(x)))
        >>> [(call.name, call.kind, call.outputs[0].shape) for call in calls(model)]
        [('c', 'Conv2D', (None, 6, 6, 4)), ('r', 'ReLU', (None, 6, 6, 4))]
    """
    found = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                found.append(LayerCall(node.operation, node, tuple(node.input_tensors), tuple(node.output_tensors)))
    return found


def live_after(order: Sequence[LayerCall], inputs: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return, for each call, the live tensors behind it: those known by then that later calls read.

    Where a single tensor is live, the model can be cut into two that share nothing but this tensor.

    Args:
        order: all calls of a model in topological order.
        inputs: the model's inputs.
    """
    last_use = {id(t): i for i, call in enumerate(order) for t in call.inputs}
    known = list(inputs)
    live = []
    for i, call in enumerate(order):
        known = [t for t in [*known, *call.outputs] if last_use.get(id(t), -1) > i]
        live.append(list(known))
    return live


def submodel(inputs: Sequence[Tensor], outputs: Sequence[Tensor], name: str) -> keras.Model:
    """Return the part of a model between two sets of tensors. It has the same layer objects, so weights are shared."""
    part = between(inputs, outputs)
    made = {id(t): t._keras_history.operation for t in inputs}
    if not any(call.operation is maker for call in part for maker in made.values()):
        return keras.Model(alone(inputs), alone(outputs), name=name)
    # Keras takes a layer that made an input for that input wherever the layer is called again, as in siamese networks.
    # So here all is called anew.
    entries = {key: keras.Input(batch_shape=t.shape, dtype=t.dtype) for key, t in zip(made, inputs, strict=True)}
    new = _called_again(part, entries)
    return keras.Model(alone([*entries.values()]), alone([new[id(t)] for t in outputs]), name=name)


def values_of(model: keras.Model, tensors: Sequence[Tensor], inputs: Sequence[Any]) -> list[Array]:
    """Return tensors of a Functional model in inference, given its inputs, each of shape (n, ...)."""
    part = submodel(model.inputs, tensors, "values")
    return [keras.ops.convert_to_numpy(y) for y in as_list(part(alone(inputs), training=False))]


def _called_again(
    order: Sequence[LayerCall],
    known: Mapping[int, Tensor],
    operation_of: Callable[[LayerCall], Any] = lambda call: call.operation,
) -> dict[int, Tensor]:
    """Return new tensors by the `id()` of those that stand for the same: the known ones, and what calls make of them.

    Args:
        order: calls in topological order.
        known: tensors for what the calls read from elsewhere.
        operation_of: gives what is called in place of a call's operation.

    Raises:
        ModelError: it cannot be called there.
    """
    new = dict(known)
    for call in order:
        args, kwargs = call.node.arguments.fill_in(new)
        operation = operation_of(call)
        try:
            results = keras.tree.flatten(operation(*args, **kwargs))
        except (TypeError, ValueError) as e:
            reason = on_one_line(e)
            raise ModelError(f"layer {call.name} ({call.kind}) cannot be called again: {reason}") from None
        new.update((id(old), result) for old, result in zip(call.outputs, results, strict=True))
    return new


def on_one_line(error: Exception) -> str:
    """Return the first 200 characters of what Keras or TensorFlow says, without line breaks and colours."""
    return re.sub(r"\x1b\[[0-9;]*m|\s+", " ", str(error))[:200].strip()


def between(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[LayerCall]:
    """Return the calls that make outputs of inputs, in topological order."""
    known, found = {id(t) for t in inputs}, list[LayerCall]()
    waiting = [(t, False) for t in reversed(outputs)]
    while waiting:
        tensor, ready = waiting.pop()
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if id(tensor) in known or node.is_input:
            continue
        if ready:
            known.update(map(id, node.outputs))
            found.append(LayerCall(operation, node, tuple(node.input_tensors), tuple(node.outputs)))
        else:
            waiting += [(tensor, True), *((t, False) for t in reversed(node.input_tensors))]
    return found


def alone(values: Sequence[Any]) -> Any:
    """Return inputs or outputs as Keras takes them: a single value as itself, several as a list."""
    return values[0] if len(values) == 1 else list(values)


def named(tensor: Tensor, name: str) -> Tensor:
    """Give the operation of `keras.ops` that made a tensor a name, and return the tensor.

    A layer takes its name when it is made; functions of `keras.ops` take none. It must happen before a model is made of
    the graph.
    """
    tensor._keras_history.operation.name = name
    return tensor


def rebuild(model: keras.Model, replace: Callable[[LayerCall], Any]) -> keras.Model:
    """Return a new model of the same graph in which `replace(call)` stands for the operation of each call.

    Args:
        model: a Functional model.
        replace: gives a new operation, or the call's own, which the two models then share.

    Raises:
        ModelError: a replacement cannot be called where the operation was.
    """
    inputs = {id(t): keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in model.inputs}
    new = _called_again(calls(model), inputs, replace)
    rebuilt = submodel([*inputs.values()], [new[id(t)] for t in model.outputs], model.name)
    rebuilt.output_names = list(model.output_names)
    return rebuilt


def on_other_inputs(model: keras.Model, inputs: Sequence[Tensor], left_out: Any = None) -> keras.Model:
    """Return a model of the same layers on other inputs. It takes and gives its tensors in the same structures.

    Args:
        model: a Functional model.
        inputs: the new inputs, in the order of the model's.
        left_out: the node of a call that the new model does without: what reads its output reads its input.

    Raises:
        ModelError: a layer cannot take what these inputs lead to.
    """
    known = {id(old): t for old, t in zip(model.inputs, inputs, strict=True)}
    new = _called_again(calls(model), known, lambda call: _as_it_is if call.node is left_out else call.operation)
    structs = model._inputs_struct, model._outputs_struct
    taken, given = (keras.tree.map_structure(lambda t: new[id(t)], struct) for struct in structs)
    return keras.Model(taken, given, name=model.name)


def _as_it_is(tensor: Tensor, **_: Any) -> Tensor:
    return tensor


def run_calls(
    model: keras.Model, values: Sequence[Any], training: bool, stand_ins: Mapping[Any, Callable[..., Any]] | None = None
) -> list[Any]:
    """Return the outputs of a Functional model, in inference or while it is trained towards another model's outputs.

    In training, layers that keep statistics of batches (batch norms) update them. Random layers (augmentation, dropout,
    noise) do what they do in inference, because the wanted outputs are those for the image as it is.

    Args:
        model: the model.
        values: its inputs, each of shape (n, ...).
        training: whether this is a training step.
        stand_ins: by the node of a call with one output, what takes the tensors that it reads in its place.

    Raises:
        ModelError: a layer gives another shape in inference than when the graph was made.
    """
    known = {id(t): keras.ops.cast(x, t.dtype) for t, x in zip(model.inputs, values, strict=True)}
    for call in calls(model):
        if stand_ins and call.node in stand_ins:
            results = [stand_ins[call.node](*(known[id(t)] for t in call.inputs))]
        else:
            args, kwargs = call.node.arguments.fill_in(known)
            results = run_call(call, args, kwargs, training)
        known.update((id(t), result) for t, result in zip(call.outputs, results, strict=True))
    return [known[id(t)] for t in model.outputs]


def run_call(call: LayerCall, args: Sequence[Any], kwargs: dict[str, Any], training: bool) -> list[Any]:
    """Return what one operation call gives, as `run_calls` runs it.

    Args:
        call: the call.
        args: its arguments, with values in the place of tensors.
        kwargs: its arguments by name, likewise.
        training: whether this is a training step.

    Raises:
        ModelError: a layer gives another shape in inference than when the graph was made.
    """
    if isinstance(call.operation, keras.layers.Layer):
        kwargs = {**kwargs, "training": training and any(not v.trainable for v in call.operation.weights)}
    results: list[Any] = keras.tree.flatten(call.operation(*args, **kwargs))
    for t, result in zip(call.outputs, results, strict=True):
        if None not in result.shape[1:] and tuple(result.shape[1:]) != t.shape[1:]:
            raise ModelError(
                f"layer {call.name} ({call.kind}) gives {tuple(result.shape[1:])} in inference, where the model's "
                f"graph has {t.shape[1:]}: take it out of the model (augmentation belongs to the data)"
            )
    return results


def holds_integers(dtype: str) -> bool:
    """Whether a tensor's type, such as 'uint8', holds integers (or booleans) only."""
    return dtype.startswith(("int", "uint", "bool"))


def as_list(values: Any) -> list[Any]:
    """Return inputs or outputs as a list, however many they are. This undoes `alone`."""
    return list(values) if isinstance(values, list | tuple) else [values]
