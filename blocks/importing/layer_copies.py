"""Copies of layers with all of their state: weights, and what a layer computes from them when it is loaded.

A copy gets its state through the layer's own `load_own_variables`, which Keras calls when it reads a file. So a layer
that keeps more than weights, such as the mean and variance of an adapted `Normalization`, restores it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import keras
import numpy as np

from legodnn.errors import ModelError


def has_state(operation: Any) -> bool:
    """Whether an operation is a layer with variables. An operation without any can be shared rather than copied."""
    return isinstance(operation, keras.layers.Layer) and bool(operation.variables)


def blank_copy(layer: Any, changes: Mapping[str, Any], rewritten: Callable[[Any], Any] = dict) -> Any:
    """Return a new layer of the same class and configuration, with some entries changed. It is not built yet.

    Args:
        layer: the original.
        changes: entries of the configuration that the copy has instead of the original's.
        rewritten: makes the copy's configuration of the original's, before `changes`.

    Raises:
        ModelError: the layer cannot be made from its configuration.
    """
    if isinstance(layer, keras.layers.Lambda):  # A configuration cannot hold a function that could be read back.
        dtype = keras.dtype_policies.serialize(layer.dtype_policy)
        config = {**rewritten({"name": layer.name, "dtype": dtype}), **changes}
        options = {"output_shape": layer._output_shape, "mask": layer.mask, "arguments": layer.arguments}
        return type(layer)(layer.function, **options, name=config["name"], dtype=config["dtype"])
    try:
        config = layer.get_config()
        copy = type(layer).from_config({**rewritten(config), **own_functions(layer, config), **changes})
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError) as e:
        reason = str(e).strip().partition("\n")[0]
        raise ModelError(
            f"layer {layer.name} ({type(layer).__name__}) cannot be copied from its configuration: {reason}; its "
            "get_config must return every argument that its constructor needs"
        ) from None
    copy.name = changes.get("name", layer.name)  # a configuration that Keras makes may lack it
    return copy


def own_functions(layer: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a layer's configuration that are functions of somebody's own, such as an activation.

    A configuration holds their names, by which Keras does not find them again.
    """
    given = {key: getattr(layer, key, None) for key in config}
    return {
        key: value
        for key, value in given.items()
        if isinstance(value, FunctionType) and not str(value.__module__).startswith("keras.")
    }


def give_state(layer: Any, copy: Any) -> None:
    """Give a copy the state of its original, that of the layers inside them included. The copy must be built.

    Raises:
        ModelError: the copy holds other variables than the original.
    """
    for old, new in zip(_parts(layer), _parts(copy), strict=False):
        saved: dict[str, Any] = {}
        old.save_own_variables(saved)
        arrays = {key: np.array(keras.ops.convert_to_numpy(value)) for key, value in saved.items()}
        try:
            new.load_own_variables(arrays)
        except (TypeError, ValueError, KeyError) as e:
            reason = str(e).strip().partition("\n")[0]
            raise ModelError(f"layer {layer.name} ({type(layer).__name__}) cannot be copied: {reason}") from None
    if [v.shape for v in layer.weights] != [v.shape for v in copy.weights]:
        raise ModelError(
            f"layer {layer.name} ({type(layer).__name__}) cannot be copied: made from its configuration it has other "
            "weights than the original"
        )


def _parts(layer: Any) -> list[Any]:
    parts: list[Any] = layer._flatten_layers()
    return parts
