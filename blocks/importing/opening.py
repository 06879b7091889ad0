"""A user's model as what the rest of the offline stage works on: one flat Functional graph that computes in float32.

Nested models are put in place of their calls, policies such as mixed_float16 are cast to float32, and so are inputs
of whole numbers (`Input(dtype="uint8")`), which then take the same values as floats. Recurrent layers are unrolled,
for a loop is nothing that a device runs. Layers that need none of this are shared with the user's model. What comes
out is compared with the user's own model on sample inputs, so that nothing that gets lost on the way goes into a
store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from legodnn.blocks.importing.graph import LayerCall, Tensor, alone, calls, submodel
from legodnn.blocks.importing.layer_copies import blank_copy, give_state
from legodnn.errors import ModelError

# Float types that are cast to float32, with the rounding error of one operation.
_CAST = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float64": 0.0}
_CAST_POLICIES = {*_CAST, "mixed_float16", "mixed_bfloat16"}
_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "DTypePolicyMap")
# Largest difference from the user's model, relative to the largest value: in float32, and in roundings of its own type.
_TOLERANCE, _ROUNDINGS = 1e-3, 64


@contextmanager
def in_float32() -> Iterator[None]:
    """Meanwhile new layers and arrays are float32, whatever the process (or a user's function in it) has set."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def functional(model: keras.Model) -> keras.Model:
    """The model as one Functional graph in float32; `output_names` are the user's, in the user's order.

    Raises:
        ModelError: the model has no graph (subclassed or not built), inputs or outputs that are no numbers, a layer
            that cannot be copied where it must be, or it is not the same function any more.
    """
    if isinstance(model, keras.Sequential):
        if not model.built or not model.layers:
            raise ModelError(f"model {model.name!r} is not built: give its first layer an input shape (keras.Input)")
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_nodes_by_depth"):
        raise ModelError(
            f"model {model.name!r} ({type(model).__name__}) has no graph of layers: rebuild it with Keras' functional "
            "API, keras.Model(inputs, outputs)"
        )
    for t in model.inputs:
        if t.dtype == "string":
            raise ModelError(f"input {t.name!r} of model {model.name!r} takes strings; a store's inputs are numbers")
    order, names = _outputs(model)
    if _is_flat(model):
        if [*map(id, order)] == [*map(id, model.outputs)] and not _is_dict(model):
            return model
        opened = submodel(model.inputs, order, model.name)
    else:
        copies = _Copies()
        with in_float32():
            inputs = [keras.Input(batch_shape=t.shape, dtype="float32", name=t.name) for t in model.inputs]
            outputs = [
                _float(model, t, name) for t, name in zip(_inline(model, order, inputs, copies), names, strict=True)
            ]
            opened = submodel(inputs, outputs, model.name)
        copies.give_states()
        _check_same(model, opened, copies)
    opened.output_names = names
    return opened


def is_whole(dtype: str) -> bool:
    """Whether an input's type holds whole numbers only."""
    return dtype.startswith(("int", "uint", "bool"))


def _is_dict(model: keras.Model) -> bool:
    """Tensors are known by their order from here on."""
    return isinstance(model._outputs_struct, dict) or isinstance(model._inputs_struct, dict)


def _is_flat(model: keras.Model) -> bool:
    floats = all(t.dtype == "float32" for t in (*model.inputs, *model.outputs))
    return floats and not any(isinstance(c.operation, keras.Model) or _is_remade(c.operation) for c in calls(model))


def _outputs(model: keras.Model) -> tuple[list[Tensor], list[str]]:
    """Outputs in the user's order, with the user's names: keys of a dict, otherwise names of the layers."""
    struct = model._outputs_struct
    if isinstance(struct, dict) and all(isinstance(t, keras.KerasTensor) for t in struct.values()):
        return list(struct.values()), [str(name) for name in struct]
    return list(model.outputs), list(model.output_names)


def _is_cast(operation: Any) -> bool:
    """Whether a layer computes or keeps its weights in a type that is cast to float32."""
    if not isinstance(operation, keras.layers.Layer) or operation.quantization_mode:
        return False
    return any(p.compute_dtype in _CAST or p.variable_dtype in _CAST for p in operation._flatten_layers())


def _is_remade(operation: Any) -> bool:
    """Whether a copy stands in for a layer: one of another type, or unrolled."""
    return _is_cast(operation) or (
        isinstance(operation, keras.layers.Layer)
        and any(getattr(part, "unroll", None) is False for part in operation._flatten_layers())
    )


def _float(model: keras.Model, tensor: Tensor, name: str) -> Tensor:
    """An output as float32."""
    if tensor.dtype == "float32":
        return tensor
    if tensor.dtype not in _CAST:
        raise ModelError(
            f"output {name!r} of model {model.name!r} is {tensor.dtype}, and a store's outputs are float32: give what "
            "it is computed from (such as the scores before an argmax) as the output instead"
        )
    return ops.cast(tensor, "float32")


class _Copies:
    """Which layer stands in for which: the layer itself where it can, or a copy in float32 or under another name."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Any, Any]] = {}
        self._names: set[str] = set()

    def of(self, operation: Any, model: keras.Model) -> Any:
        if not isinstance(operation, keras.layers.Layer):
            return operation
        if id(operation) not in self._of:
            name = operation.name if operation.name not in self._names else f"{model.name}_{operation.name}"
            number, free = 1, name
            while free in self._names:
                number += 1
                free = f"{name}_{number}"
            self._names.add(free)
            plain = free == operation.name and not _is_remade(operation)
            copy = operation if plain else blank_copy(operation, {**_remade(operation.get_config()), "name": free})
            self._of[id(operation)] = operation, copy
        return self._of[id(operation)][1]

    def give_states(self) -> None:
        for layer, copy in self._of.values():
            if copy is not layer:
                give_state(layer, copy)

    def __str__(self) -> str:
        return ", ".join(f"{layer.name} ({type(layer).__name__})" for layer, c in self._of.values() if c is not layer)


def _remade(config: Any) -> Any:
    """A layer's configuration unrolled, and with every policy that is to be cast replaced, as are layers inside it."""
    if isinstance(config, list | tuple):
        return type(config)(_remade(entry) for entry in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") in _POLICIES:
        named = config.get("config", {})
        return "float32" if "name" not in named or named["name"] in _CAST_POLICIES else config
    changed = {key: _remade(value) for key, value in config.items()}
    if isinstance(config.get("dtype"), str) and config["dtype"] in _CAST_POLICIES:
        changed["dtype"] = "float32"
    return {**changed, "unroll": True} if config.get("unroll") is False else changed


def _inline(model: keras.Model, outputs: Sequence[Tensor], inputs: Sequence[Tensor], copies: _Copies) -> list[Tensor]:
    """Call a model's layers, or what stands in for them, on other inputs, nested models opened."""
    new = {id(old): t for old, t in zip(model.inputs, inputs, strict=True)}
    for call in calls(model):
        try:
            new.update((id(old), t) for old, t in zip(call.outputs, _called(call, model, new, copies), strict=True))
        except (TypeError, ValueError) as e:
            reason = str(e).strip().partition("\n")[0]
            raise ModelError(f"layer {call.name!r} ({call.kind}) cannot be called in float32: {reason}") from None
    return [new[id(t)] for t in outputs]


def _called(call: LayerCall, model: keras.Model, new: dict[int, Tensor], copies: _Copies) -> list[Tensor]:
    if not isinstance(call.operation, keras.Model):
        args, kwargs = call.node.arguments.fill_in(new)
        results: list[Tensor] = keras.tree.flatten(copies.of(call.operation, model)(*args, **kwargs))
        return results
    inner = call.operation
    if isinstance(inner, keras.Sequential):
        inner = keras.Model(inner.inputs, inner.outputs, name=inner.name)
    if not hasattr(inner, "_nodes_by_depth"):
        raise ModelError(
            f"model {inner.name!r} inside {model.name!r} has no graph of layers: rebuild it with keras.Model"
        )
    return _inline(inner, inner.outputs, [new[id(t)] for t in call.inputs], copies)


def samples(model: keras.Model, largest: float = 255.0) -> list[Any]:
    """A few inputs of a model: floats up to 1 and to `largest`; whole numbers are pixels in images, else 0 and 1."""
    rng, found = np.random.default_rng(0), []
    scale = np.array([1.0, 1.0, largest, largest])
    for t in model.inputs:
        shape = (len(scale), *t.shape[1:])
        if is_whole(t.dtype):
            most = 255 if t.dtype != "int8" and len(shape) == 4 else 1
            found.append(rng.integers(0, most + 1, shape).astype(t.dtype))
        else:
            x = rng.normal(size=shape) if len(shape) != 4 else rng.uniform(size=shape)
            found.append((x * scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32))
    return found


def _check_same(model: keras.Model, opened: keras.Model, copies: _Copies) -> None:
    """Compare the opened model with the user's own on sample inputs."""
    layers = [c.operation for c in calls(model) if isinstance(c.operation, keras.layers.Layer)]
    rounding = max([0.0, *(_CAST.get(p.compute_dtype, 0.0) for layer in layers for p in layer._flatten_layers())])
    xs = samples(model, largest=1.0 if rounding else 255.0)  # pixels overflow in float16
    own = [ops.convert_to_tensor(x, t.dtype) for x, t in zip(xs, model.inputs, strict=True)]
    try:
        outputs = keras.tree.flatten(model(keras.tree.pack_sequence_as(model._inputs_struct, own), training=False))
    except Exception as e:  # the user's layers can raise any
        reason = re.sub(r"\x1b\[[0-9;]*m|\s+", " ", str(e))[:200].strip()
        raise ModelError(f"model {model.name!r} does not run on sample inputs of its own shape: {reason}") from None
    with in_float32():
        found = keras.tree.flatten(opened(alone([x.astype(np.float32) for x in xs]), training=False))
    wanted = {id(t): y for t, y in zip(model.outputs, outputs, strict=True)}
    for y, t, name in zip(found, *_outputs(model), strict=True):
        difference = relative_difference(y, wanted[id(t)])
        if not difference <= max(_TOLERANCE, _ROUNDINGS * rounding):
            raise ModelError(
                f"model {model.name!r} is another function once nested models are opened and all is float32: output "
                f"{name!r} differs by {difference:.2g} (copied layers: {copies or 'none'}); a layer of your own must "
                "restore all its state in load_own_variables, and no layer may count on whole numbers or on overflow"
            )


def same_function(found: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether outputs are those of the same function in float32."""
    return all(relative_difference(a, b) <= _TOLERANCE for a, b in zip(found, wanted, strict=True))


def relative_difference(found: Any, wanted: Any) -> float:
    """Root mean square of the difference over that of what is wanted; the worst of all images."""
    a, b = (ops.convert_to_numpy(ops.cast(y, "float32")).astype(np.float64) for y in (found, wanted))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    if (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    a, b = np.where(np.isfinite(a), a, 0), np.where(np.isfinite(b), b, 0)
    scale = np.maximum(np.sqrt(np.square(b).mean(axis=1)), 1e-6)
    return float((np.sqrt(np.square(a - b).mean(axis=1)) / scale).max())
