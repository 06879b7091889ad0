"""Opening a user's model: it becomes one flat Functional graph that computes in float32, which all later stages take.

- The layers of nested models take the place of their calls, and so do those inside layers and models of somebody's own
  (`own_layers`), where these do nothing else. Attention becomes dense layers and products (`attention`).
- Inputs take any number of images, also where the user's model takes a fixed one.
- Policies such as mixed_float16 become float32, and so do casts and constants of other float types (`float_types`), and
  inputs of integers (`Input(dtype="uint8")`), which then take the same values as floats.
- Augmentation layers (RandomFlip), which do nothing in inference, are dropped, but for training on labels.
- Recurrent layers are unrolled, because a `.tflite` file runs no loops on a device.
- Layers that need none of this are shared with the user's model.

The result is compared with the user's model on sample inputs, and a model that lost something on the way is refused.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from legodnn.blocks.importing.attention import opened_attention
from legodnn.blocks.importing.checks import check_sizes, run_on_samples
from legodnn.blocks.importing.difference import FLOAT32_TOLERANCE, relative_difference
from legodnn.blocks.importing.float_types import (
    OTHER_FLOATS,
    float32_config,
    float32_constant,
    in_other_float,
    is_other_float,
)
from legodnn.blocks.importing.front import is_augmentation, resized_beforehand
from legodnn.blocks.importing.graph import LayerCall, Tensor, alone, calls, named, submodel
from legodnn.blocks.importing.layer_copies import blank_copy, give_state
from legodnn.blocks.importing.own_layers import called, is_graph, opened_call
from legodnn.errors import ModelError

log = logging.getLogger("legodnn.blocks.importing")

# A model that computes in another float type may differ from its float32 twin by this many rounding errors.
_ROUNDINGS = 64


@contextmanager
def in_float32() -> Iterator[None]:
    """Make new layers and arrays float32 within a `with` statement, whatever the process or a user's code has set."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def functional(model: keras.Model, augmented: bool = False) -> keras.Model:
    """Return a model as one Functional graph in float32, whose outputs have the user's names and order.

    Args:
        model: a Functional or Sequential model, with nested models or without; returned as it is if that will do. One
            that resizes images of any size first becomes one that takes them in that size.
        augmented: whether augmentation layers stay, because the model will be trained on labels.

    Raises:
        ModelError: the model has no graph (subclassed or not built), has inputs or outputs that are not numbers, has a
            layer that is quantised, or one that must be copied and cannot be, or the result is another function than
            the model.
    """
    if isinstance(model, keras.Sequential):
        if not model.built or not model.layers:
            raise ModelError(f"model {model.name!r} is not built: give its first layer an input shape (keras.Input)")
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    model = called(model)
    for t in model.inputs:
        if t.dtype == "string":
            raise ModelError(f"input {t.name!r} of model {model.name!r} takes strings; a store's inputs are numbers")
    _check_floats(model)
    model = resized_beforehand(model)
    if any(_is_lazy(part) for part in model._flatten_layers()) and all(None not in t.shape[1:] for t in model.inputs):
        run_on_samples(model)
    order, names = _outputs(model)
    copies = _Copies(augmented, [t.name for t in model.inputs])
    if _is_flat(model, copies):
        if [*map(id, order)] == [*map(id, model.outputs)] and not _is_dict(model):
            return model
        opened = submodel(model.inputs, order, model.name)
    else:
        check_sizes(model)
        with in_float32():
            inputs = [keras.Input(t.shape[1:], dtype="float32", name=t.name) for t in model.inputs]
            made = zip(_inline(model, order, inputs, copies), names, strict=True)
            outputs = [_float(model, t, name, copies) for t, name in made]
            opened = submodel(inputs, outputs, model.name)
        copies.give_states()
        _check_same(model, opened, copies)
    opened.output_names = names
    key_of = {id(model._inputs_struct[key]): key for key in _keys(model._inputs_struct)}
    opened.keys_given = tuple([key_of[id(t)] for t in model.inputs] if key_of else ()), _keys(model._outputs_struct)
    return opened


def _is_lazy(layer: Any) -> bool:
    """Whether a layer has an activation that is a layer, of which Keras makes the weights when it first runs."""
    activation = getattr(layer, "activation", None)
    return isinstance(activation, keras.layers.Layer) and not activation.built


def _check_floats(model: keras.Model) -> None:
    """Raise ModelError if a layer, also one inside others, has quantised weights, which nothing can be trained from."""
    for layer in model._flatten_layers():
        if layer.quantization_mode:
            raise ModelError(
                f"layer {layer.name!r} ({type(layer).__name__}) of model {model.name!r} is quantised "
                f"({layer.quantization_mode}): build from the float model, as it is before model.quantize; int8 files "
                "are made from that"
            )


def as_given(opened: keras.Model, model: keras.Model) -> keras.Model:
    """Return a model with inputs and outputs like those of an opened one, in dicts where the user's model has dicts."""
    ins, outs = getattr(opened, "keys_given", ((), ()))
    if not (ins or outs):
        return model
    inputs = dict(zip(ins, model.inputs, strict=True)) if ins else model.inputs
    outputs = dict(zip(outs, model.outputs, strict=True)) if outs else model.outputs
    return keras.Model(inputs, outputs, name=model.name)


def _keys(struct: Any) -> tuple[str, ...]:
    """Return the keys of a dict of tensors; none of anything else."""
    plain = isinstance(struct, dict) and all(isinstance(t, keras.KerasTensor) for t in struct.values())
    return tuple(struct) if plain else ()


def _is_dict(model: keras.Model) -> bool:
    """Whether a model takes or gives a dict; the opened model takes and gives its tensors in order instead."""
    return isinstance(model._outputs_struct, dict) or isinstance(model._inputs_struct, dict)


def _is_flat(model: keras.Model, copies: _Copies) -> bool:
    """Whether a model is as an opened one: of any number of images, in float32, with nothing to open, copy or drop."""
    floats = all(t.dtype == "float32" for t in (*model.inputs, *model.outputs))
    return (floats and all(t.shape[0] is None for t in model.inputs)) and not any(
        isinstance(c.operation, keras.Model)
        or _needs_copy(c.operation)
        or _is_dropped(c, copies.augmented)
        or copies.opened(c)
        or any(map(is_other_float, keras.tree.flatten([c.node.arguments.args, c.node.arguments.kwargs])))
        for c in calls(model)
    )


def _is_dropped(call: LayerCall, augmented: bool) -> bool:
    """Whether the opened model does without a call: augmentation, but for one that changes the shape (a crop)."""
    same_shape = [t.shape for t in call.inputs] == [t.shape for t in call.outputs]
    return not augmented and is_augmentation(call.operation) and same_shape


def _outputs(model: keras.Model) -> tuple[list[Tensor], list[str]]:
    """Return a model's outputs in the user's order, and their names: the keys of a dict, or else the layers' names."""
    if keys := _keys(model._outputs_struct):
        return [model._outputs_struct[key] for key in keys], [str(key) for key in keys]
    return list(model.outputs), list(model.output_names)


def _needs_copy(operation: Any) -> bool:
    """Whether the opened model needs a copy of an operation, in float32 or unrolled, instead of itself."""
    return in_other_float(operation) or (
        isinstance(operation, keras.layers.Layer)
        and any(getattr(part, "unroll", None) is False for part in operation._flatten_layers())
    )


def _float(model: keras.Model, tensor: Tensor, name: str, copies: _Copies) -> Tensor:
    """Return an output as float32, or refuse one that is no float."""
    if tensor.dtype == "float32":
        return tensor
    if tensor.dtype not in OTHER_FLOATS:
        raise ModelError(
            f"output {name!r} of model {model.name!r} is {tensor.dtype}, and a store's outputs are float32: give what "
            "it is computed from (such as the scores before an argmax) as the output instead"
        )
    return named(ops.cast(tensor, "float32"), copies.free_name(f"{name}_float32"))


class _Copies:
    """What the opened model has for each operation of the user's: itself where it can, otherwise a copy.

    Operations of different nested models may have one name, or that of an input; a copy then gets another. `augmented`
    says whether augmentation layers stay, and `taken` are the names of the inputs.
    """

    def __init__(self, augmented: bool, taken: Iterable[str]) -> None:
        self.augmented = augmented
        self._of: dict[int, tuple[Any, Any]] = {}
        self._opened: dict[int, tuple[list[LayerCall], list[Tensor]] | None] = {}  # by the call's node
        self._projections: dict[int, dict[str, Any]] = {}  # of attention layers
        self._names = set(taken)

    def opened(self, call: LayerCall) -> tuple[list[LayerCall], list[Tensor]] | None:
        """Return what attention does, or somebody's own layer, but one without weights before training on labels."""
        if id(call.node) not in self._opened:
            parts = opened_attention(call, self._projections)
            opens = not self.augmented or getattr(call.operation, "weights", [])
            self._opened[id(call.node)] = parts or (opened_call(call) if opens else None)
        return self._opened[id(call.node)]

    def free_name(self, name: str) -> str:
        """Return a name that is not taken, the given one if it can be, and take it."""
        number, free = 1, name
        while free in self._names:
            number += 1
            free = f"{name}_{number}"
        self._names.add(free)
        return free

    def of(self, operation: Any, within: str) -> Any:
        if id(operation) not in self._of:
            taken = operation.name in self._names
            name = self.free_name(f"{within}_{operation.name}" if taken else operation.name)
            same = name == operation.name and not _needs_copy(operation)
            self._of[id(operation)] = operation, operation if same else _copy(operation, name)
        return self._of[id(operation)][1]

    def give_states(self) -> None:
        for layer, copied in self._layers():
            give_state(layer, copied)

    def __str__(self) -> str:
        return ", ".join(f"{layer.name} ({type(layer).__name__})" for layer, _ in self._layers())

    def _layers(self) -> list[tuple[Any, Any]]:
        """Return the layers that were copied, with their copies."""
        return [(a, b) for a, b in self._of.values() if b is not a and isinstance(a, keras.layers.Layer)]


def _copy(operation: Any, name: str) -> Any:
    """Return a layer's copy in float32, without its state, or a copy of an operation, which has none."""
    if isinstance(operation, keras.layers.Layer):
        return blank_copy(operation, {"name": name}, float32_config)
    copied = copy.copy(operation)
    copied.name, copied._inbound_nodes, copied._outbound_nodes = name, [], []
    if in_other_float(operation):
        copied.dtype = "float32"
    return copied


def _inline(model: keras.Model, outputs: Sequence[Tensor], inputs: Sequence[Tensor], copies: _Copies) -> list[Tensor]:
    """Call a model's layers, or their copies, on other inputs; nested models are opened. Return the outputs."""
    new = {id(old): t for old, t in zip(model.inputs, inputs, strict=True)}
    _call_again(calls(model), model.name, new, copies)
    return [new[id(t)] for t in outputs]


def _call_again(order: Sequence[LayerCall], name: str, new: dict[int, Tensor], copies: _Copies) -> None:
    """Call the layers of a model, or their copies, on the tensors in `new`, and add what they make to these."""
    for call in order:
        try:
            new.update((id(old), t) for old, t in zip(call.outputs, _called(call, name, new, copies), strict=True))
        except (TypeError, ValueError) as e:
            reason = str(e).strip().partition("\n")[0]
            raise ModelError(f"layer {call.name!r} ({call.kind}) cannot be called in float32: {reason}") from None


def _called(call: LayerCall, name: str, new: dict[int, Tensor], copies: _Copies) -> list[Tensor]:
    """Return the outputs of one call on tensors of the opened model; `new` holds them by the old tensors' `id()`."""
    if _is_dropped(call, copies.augmented):
        log.info("%s: %s (%s) is dropped: it varies images in training alone", name, call.name, call.kind)
        return [new[id(t)] for t in call.inputs]
    if own := copies.opened(call):
        _call_again(own[0], call.name, new, copies)
        return [new[id(t)] for t in own[1]]
    if not isinstance(call.operation, keras.Model):
        args, kwargs = keras.tree.map_structure(float32_constant, call.node.arguments.fill_in(new))
        return list(keras.tree.flatten(copies.of(call.operation, name)(*args, **kwargs)))
    inner = call.operation
    if isinstance(inner, keras.Sequential):
        inner = keras.Model(inner.inputs, inner.outputs, name=inner.name)
    if not is_graph(inner):
        raise ModelError(
            f"model {inner.name!r} ({type(inner).__name__}) has no graph of layers, and does more than call layers and "
            "operations of Keras: rebuild it with Keras' functional API, keras.Model(inputs, outputs)"
        )
    read, first = list(call.inputs), next(iter([*call.node.arguments.args, *call.node.arguments.kwargs.values()]))
    if isinstance(first, dict) and not isinstance(inner._inputs_struct, dict):  # Keras takes each by its input's name
        read = [first[t.name] for t in inner.inputs]
    return _inline(inner, inner.outputs, [new[id(t)] for t in read], copies)


def _types(model: keras.Model) -> Iterator[str]:
    """Yield the types that a model computes in, models inside it included."""
    for call in calls(model):
        yield from (str(t.dtype) for t in call.outputs)
        if hasattr(call.operation, "_nodes_by_depth"):
            yield from _types(call.operation)
        elif isinstance(call.operation, keras.layers.Layer):
            yield from (part.compute_dtype for part in call.operation._flatten_layers())


def _check_same(model: keras.Model, opened: keras.Model, copies: _Copies) -> None:
    """Compare the opened model with the user's own on sample inputs; ModelError if they are different functions."""
    rounding = max([0.0, *(OTHER_FLOATS.get(dtype, 0.0) for dtype in _types(model))])
    xs, outputs = run_on_samples(model, largest=1.0 if rounding else 255.0)  # pixels overflow in float16
    with in_float32():
        found = keras.tree.flatten(opened(alone([x.astype(np.float32) for x in xs]), training=False))
    wanted = {id(t): y for t, y in zip(model.outputs, outputs, strict=True)}
    for y, t, name in zip(found, *_outputs(model), strict=True):
        difference = relative_difference(y, wanted[id(t)])
        if not difference <= max(FLOAT32_TOLERANCE, _ROUNDINGS * rounding):
            raise ModelError(
                f"model {model.name!r} is another function once nested models are opened and all is float32: output "
                f"{name!r} differs by {difference:.2g} (copied layers: {copies or 'none'}); a layer of your own must "
                "restore all its state in load_own_variables, and no layer may count on whole numbers or on overflow"
            )
