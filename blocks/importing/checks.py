"""Refusals of models: unknown shapes, outputs that are no tensors of their own, NaN in weights, and what does not run.

They look at a Functional model before anything is trained or measured. What `opening` refuses is no graph at all.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from legodnn.blocks.importing.difference import sample_inputs
from legodnn.blocks.importing.graph import calls, on_one_line
from legodnn.errors import ModelError


def check_sizes(model: keras.Model) -> None:
    """Refuse a Functional model with an input of unknown size.

    Raises:
        ModelError: naming the input.
    """
    for t in model.inputs:
        if None in t.shape[1:]:
            raise ModelError(
                f"input {t.name!r} of model {model.name!r} has shape {t.shape}; give keras.Input a fixed shape, or "
                "name its sizes by input_shape (--input-shape 224,224,3)"
            )


def check_shapes(model: keras.Model) -> None:
    """Refuse a Functional model in which a tensor's shape is unknown, or whose outputs are not tensors of their own.

    Raises:
        ModelError: naming the input, the output or the layer.
    """
    check_sizes(model)
    images = {t.shape[0] for t in model.inputs}
    for t in model.inputs:
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
                    "every size must be known but the first, which is the number of images (-1 in a reshape)"
                )


def check_weights(model: keras.Model) -> None:
    """Refuse a model whose weights hold NaN or infinity.

    Raises:
        ModelError: naming the layer and the weight.
    """
    for layer in model.layers:
        for variable in layer.weights:
            if not np.isfinite(np.asarray(keras.ops.convert_to_numpy(variable), float)).all():
                raise ModelError(
                    f"layer {layer.name!r} of model {model.name!r} has NaN or infinity in its weights "
                    f"({variable.name}): load or train it again"
                )


def run_on_samples(model: keras.Model, largest: float = 255.0) -> tuple[list[Any], list[Any]]:
    """Return sample inputs of a model of known sizes, and its outputs for them, both as lists.

    Args:
        model: it may take and give its tensors in dicts.
        largest: see `sample_inputs`.

    Raises:
        ModelError: it does not run.
    """
    xs = sample_inputs(model, largest)
    if (fixed := model.inputs[0].shape[0]) is not None:  # the user's model takes so many images, no more and no fewer
        xs = [np.resize(x, (fixed, *x.shape[1:])) for x in xs]
    own = [ops.convert_to_tensor(x, t.dtype) for x, t in zip(xs, model.inputs, strict=True)]
    try:
        outputs = keras.tree.flatten(model(keras.tree.pack_sequence_as(model._inputs_struct, own), training=False))
    except Exception as e:  # the user's layers can raise any
        reason = on_one_line(e)
        raise ModelError(f"model {model.name!r} does not run on sample inputs of its own shape: {reason}") from None
    return xs, outputs
