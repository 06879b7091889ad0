"""The scale of a model's output: probabilities, values from 0 to 1, or plain numbers.

It is read from the graph, from the last activation before the output; where an operation of the user's own makes the
output, from the values that it gives for some images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np

from legodnn.blocks.importing.data import ModelInputs
from legodnn.blocks.importing.graph import LayerCall, as_list, calls

OutputScale = Literal["softmax", "sigmoid", "linear"]

# Operations that keep probabilities over the last axis, and values from 0 to 1, what they are.
_KEEPING = frozenset(
    [
        "Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "ActivityRegularization",
        "Reshape", "Flatten", "Squeeze", "ExpandDims", "Permute", "Transpose", "Cast", "Clip",
        "GlobalAveragePooling1D", "GlobalAveragePooling2D", "AveragePooling1D", "AveragePooling2D",
        "UpSampling1D", "UpSampling2D", "Resizing", "CornerResizing", "Cropping1D", "Cropping2D", "Average",
        "Concatenate",
    ]
)  # fmt: skip
_SCALES: dict[str, OutputScale] = {
    **dict.fromkeys(("softmax", "Softmax"), "softmax"),
    **dict.fromkeys(("sigmoid", "hard_sigmoid", "Sigmoid", "HardSigmoid"), "sigmoid"),
}
_TRIED_IMAGES = 32


def scale_of(model: keras.Model, number: int, x: ModelInputs) -> OutputScale:
    """Return the scale of an output.

    Args:
        model: a Functional model.
        number: the output's number, from 0.
        x: inputs of the model, on which the model is run where its graph does not tell.

    Returns:
        'softmax': probabilities over the last axis; 'sigmoid': values from 0 to 1; 'linear': anything else, such as
        logits.
    """
    made = {id(t): call for call in calls(model) for t in call.outputs}
    return _scale_by_graph(model.outputs[number], made) or _scale_by_values(model, number, x)


def _scale_by_graph(tensor: Any, made: Mapping[int, LayerCall]) -> OutputScale | None:
    """Return the scale of a tensor; None if an operation of the user's own made it.

    Args:
        tensor: of the model's graph.
        made: the call that made each tensor, by the tensor's `id()`.
    """
    call = made.get(id(tensor))
    if call is None:
        return "linear"
    activation = getattr(call.operation, "activation", None)
    name = call.kind if activation is None else getattr(activation, "__name__", type(activation).__name__)
    axis = getattr(call.operation, "axis", -1) if name == "Softmax" else -1
    if name in _SCALES:
        return _SCALES[name] if axis in (-1, len(tensor.shape) - 1) else "sigmoid"
    if call.kind in _KEEPING or (call.kind == "Activation" and name == "linear"):
        found = {_scale_by_graph(t, made) for t in call.inputs}
        scale = found.pop() if len(found) == 1 else "linear"
        # Along another last axis than before, probabilities no longer add up to 1.
        return "sigmoid" if scale == "softmax" and tensor.shape[-1] != call.inputs[0].shape[-1] else scale
    parts = (call.operation, *([] if activation is None else [activation]))
    own = call.kind == "Lambda" or any(not _module(part).startswith("keras.") for part in parts)
    return None if own else "linear"


def _module(thing: Any) -> str:
    """Return the module that a function, or an object's class, is defined in."""
    return str(getattr(thing, "__module__", None) or type(thing).__module__)


def _scale_by_values(model: keras.Model, number: int, x: ModelInputs) -> OutputScale:
    """Return the scale of an output by what it gives for some images."""
    values = np.asarray(as_list(model.predict_on_batch(x[:_TRIED_IMAGES]))[number], np.float64)
    if not ((values >= 0).all() and (values <= 1).all()):
        return "linear"
    whole = values.ndim > 1 and values.shape[-1] > 1 and np.allclose(values.sum(axis=-1), 1, atol=1e-3)
    return "softmax" if whole else "sigmoid"
