"""Float types that become float32 when a model is opened: of layers, of casts, and of constants.

NumPy's numbers are float64, and in a graph one of them makes all that follows float64, which no device computes in:
`x / np.sqrt(8)` is enough.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

# The types, with the rounding error of one operation in each.
OTHER_FLOATS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float64": 0.0}
_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "DTypePolicyMap")
_POLICY_NAMES = {*OTHER_FLOATS, "mixed_float16", "mixed_bfloat16"}


def in_other_float(operation: Any) -> bool:
    """Whether a layer computes, or keeps its weights, in a type that becomes float32, or an operation casts to one."""
    if isinstance(operation, keras.layers.Layer):
        parts = operation._flatten_layers()
        return any(part.compute_dtype in OTHER_FLOATS or part.variable_dtype in OTHER_FLOATS for part in parts)
    return getattr(operation, "dtype", None) in OTHER_FLOATS


def is_other_float(argument: Any) -> bool:
    """Whether an argument of a call is a constant, a number or an array, of a type that becomes float32."""
    if isinstance(argument, keras.KerasTensor) or not hasattr(argument, "dtype"):
        return False
    return keras.backend.standardize_dtype(argument.dtype) in OTHER_FLOATS


def float32_constant(argument: Any) -> Any:
    """Return an argument of a call, in float32 if it is a constant of a type that becomes float32."""
    return np.float32(keras.ops.convert_to_numpy(argument)) if is_other_float(argument) else argument


def float32_config(config: Any) -> Any:
    """Return a layer's configuration, or a part of it, with float32 and unrolled loops for it and the layers inside."""
    if isinstance(config, list | tuple):
        return type(config)(float32_config(entry) for entry in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") in _POLICIES:
        named = config.get("config", {})
        return "float32" if "name" not in named or named["name"] in _POLICY_NAMES else config
    changed = {key: float32_config(value) for key, value in config.items()}
    if isinstance(config.get("dtype"), str) and config["dtype"] in _POLICY_NAMES:
        changed["dtype"] = "float32"
    return {**changed, "unroll": True} if config.get("unroll") is False else changed
