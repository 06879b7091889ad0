"""Layers and models of somebody's own as the graph of what their `call` does, where it calls Keras' layers and ops.

Such a layer is called on symbolic tensors, as its model was when it was made, but without Keras' wrapper around `call`.
So the layers inside it become calls of the graph, from which channels can be removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Shape
from legodnn.blocks.importing.difference import same_function
from legodnn.blocks.importing.graph import LayerCall, Tensor, between, on_one_line
from legodnn.errors import ModelError


def is_graph(model: Any) -> bool:
    """Whether an operation is a model that has a graph of layers."""
    return hasattr(model, "_nodes_by_depth") or isinstance(model, keras.Sequential)


def is_own(operation: Any) -> bool:
    """Whether an operation is a `Lambda`, or a layer or a model without a graph whose class is somebody's own."""
    known = type(operation).__module__.startswith(("keras.", "legodnn."))
    own = isinstance(operation, keras.layers.Lambda) or not known
    return own and isinstance(operation, keras.layers.Layer) and not is_graph(operation)


def opened_call(call: LayerCall) -> tuple[list[LayerCall], list[Tensor]] | None:
    """Return what a call of somebody's own layer does, or None where it has to stay one call.

    It stays if it does more than call layers and operations of Keras on tensors, has weights of its own beside those of
    the layers inside it, or uses the weights of these otherwise than by calling them. What has no weights and reads the
    model's input stays too: nothing can be removed there, and how it scales the image is told by trying it.

    Args:
        call: a call of a model's graph.

    Returns:
        The calls that it consists of, in topological order, and its outputs, which are made of the call's own inputs.
    """
    layer = call.operation
    if not is_own(layer) or (not layer.weights and all(map(_is_input, call.inputs))):
        return None
    arguments = call.node.arguments
    kwargs = {**({"training": None} if layer._call_has_training_arg else {}), **arguments.kwargs}
    try:
        outputs = keras.tree.flatten(layer.call(*arguments.args, **kwargs))
    except Exception:  # somebody's own code, which may do anything that symbolic tensors do not bear
        return None
    if [getattr(t, "shape", None) for t in outputs] != [t.shape for t in call.outputs]:
        return None
    if not all(isinstance(t, keras.KerasTensor) for t in outputs):
        return None
    parts = between(call.inputs, outputs)
    used = {id(w) for part in parts for w in getattr(part.operation, "weights", [])}
    same = used == {*map(id, layer.weights)} and _same(call, parts, outputs)
    return (parts, outputs) if same else None


def _same(call: LayerCall, parts: Sequence[LayerCall], outputs: Sequence[Tensor]) -> bool:
    """Whether the calls that a layer was found to consist of compute what it does, on random values."""
    if any(None in t.shape[1:] for t in call.inputs):
        return False
    rng = np.random.default_rng(0)
    known = {id(t): keras.ops.cast(rng.uniform(size=(t.shape[0] or 2, *t.shape[1:])) * 2, t.dtype) for t in call.inputs}
    args, kwargs = call.node.arguments.fill_in(known)
    wanted = keras.tree.flatten(call.operation(*args, **kwargs))
    try:
        for part in parts:
            args, kwargs = part.node.arguments.fill_in(known)
            known.update(zip(map(id, part.outputs), keras.tree.flatten(part.operation(*args, **kwargs)), strict=True))
    except Exception:  # a reshape to a size that symbolic tensors do not have, for one
        return False
    found = [known[id(t)] for t in outputs]
    alike = [(y.shape, y.dtype) for y in found] == [(y.shape, y.dtype) for y in wanted]
    return alike and same_function(found, wanted)


def _is_input(tensor: Tensor) -> bool:
    return isinstance(tensor._keras_history.operation, keras.layers.InputLayer)


def called(model: keras.Model, shape: Shape | None = None) -> keras.Model:
    """Return a model without a graph as a Functional one of a single call; any other model as it is.

    Args:
        model: a Keras model.
        shape: its input's, without the number of images; None: of the inputs that it was built with.

    Raises:
        ModelError: the model was never called, or cannot be called on symbolic tensors.
    """
    if is_graph(model):
        return model
    remedy = "rebuild it with Keras' functional API, keras.Model(inputs, outputs)"
    what = f"model {model.name!r} ({type(model).__name__}) has no graph of layers"
    built = shape if shape is None else (None, *shape)
    if built is None:
        of_arguments = list((getattr(model, "_build_shapes_dict", None) or {}).values())
        if len(of_arguments) != 1:
            raise ModelError(f"{what}: {remedy}, or call it on an image before it is given, or name its input_shape")
        built = of_arguments[0]
    try:
        inputs = _inputs(built)
        return keras.Model(inputs, model(inputs), name=model.name)
    except Exception as e:  # the user's code can raise any
        raise ModelError(f"{what}, and cannot be called to find it: {on_one_line(e)}; {remedy}") from None


def _inputs(shapes: Any) -> Any:
    """Return inputs of the shapes that a model was built with, in the same structure."""
    if isinstance(shapes, dict):
        return {key: keras.Input(shape[1:], name=str(key)) for key, shape in shapes.items()}
    if shapes and isinstance(shapes[0], list | tuple):
        return [keras.Input(shape[1:], name=f"input_{n}") for n, shape in enumerate(shapes, 1)]
    return keras.Input(shapes[1:], name="input")
