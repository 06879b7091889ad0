"""Keras models of any size (`keras.Input((None, None, 3))`), in the size that they are to have on devices."""

from __future__ import annotations

import keras

from legodnn.arrays import Shape
from legodnn.blocks.importing.graph import on_other_inputs
from legodnn.errors import ModelError


def with_input_shape(model: keras.Model, shape: Shape) -> keras.Model:
    """Return a model of the same layers whose input has a shape.

    Args:
        model: a Functional or Sequential model.
        shape: the input's, without the number of images.

    Raises:
        ModelError: the model has several inputs, its input cannot have that shape, or a layer cannot take it.
    """
    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_nodes_by_depth"):  # a Sequential one that is not built, which is refused later
        return model
    if len(model.inputs) > 1:
        raise ModelError(f"an input shape is given, and model {model.name!r} has several inputs; leave the shape out")
    old = model.inputs[0]
    if len(shape) + 1 != len(old.shape) or any(d not in (None, n) for d, n in zip(old.shape[1:], shape, strict=True)):
        raise ModelError(
            f"input {old.name!r} has shape {old.shape}, which {tuple(shape)} does not fit; give one with its fixed "
            "sizes, without the first"
        )
    new = keras.Input(batch_shape=(old.shape[0], *shape), dtype=old.dtype, name=old.name)
    try:
        return on_other_inputs(model, [new])
    except ModelError as e:
        raise ModelError(f"model {model.name!r} does not take inputs of shape {tuple(shape)}: {e}") from None
