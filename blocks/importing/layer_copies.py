"""Copies of layers, with all of their state: weights, and what a layer derives from them when they are loaded.

A layer's own `load_own_variables` is what Keras calls when it reads a file, so a layer that keeps more than weights
(the mean and variance of an adapted `Normalization`) restores it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from legodnn.errors import ModelError


def has_state(operation: Any) -> bool:
    """Whether an operation is a layer with variables; what has none may be shared, whatever it is."""
    return isinstance(operation, keras.layers.Layer) and bool(operation.variables)


def blank_copy(layer: Any, changes: Mapping[str, Any]) -> Any:
    """A new layer of the same configuration but for some entries. It is not built, and has no state yet.

    Raises:
        ModelError: the layer cannot be made from its configuration.
    """
    if isinstance(layer, keras.layers.Lambda):  # a function goes into no configuration that is read again
        config = {"name": layer.name, "dtype": layer.dtype_policy, **changes}
        options = {"output_shape": layer._output_shape, "mask": layer.mask, "arguments": layer.arguments}
        return type(layer)(layer.function, **options, name=config["name"], dtype=config["dtype"])
    try:
        return type(layer).from_config({**layer.get_config(), **changes})
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError) as e:
        reason = str(e).strip().partition("\n")[0]
        raise ModelError(
            f"layer {layer.name} ({type(layer).__name__}) cannot be copied from its configuration: {reason}; its "
            "get_config must return every argument that its constructor needs"
        ) from None


def give_state(layer: Any, copy: Any) -> None:
    """Give a copy, which is built, the state of its original, layers inside of them included.

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
