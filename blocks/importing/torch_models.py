"""PyTorch models: converted to a `.tflite` file (`blocks.from_torch`), which becomes a graph of ordinary layers."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import keras

from legodnn.arrays import Shape
from legodnn.blocks.from_torch.module import convert_module
from legodnn.blocks.importing.difference import FLOAT32_TOLERANCE, relative_difference
from legodnn.blocks.importing.graph import alone, as_list
from legodnn.blocks.importing.saved_model import as_signed
from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.errors import ModelError

_OPENED: weakref.WeakSet[keras.Model] = weakref.WeakSet()


def torch_graph(made: Any, name: str, cut_at: Sequence[str] = (), input_shape: Shape | None = None) -> keras.Model:
    """Return a PyTorch module as a Functional graph in float32, which takes and gives images with channels last.

    Args:
        made: what a function of the user's own gave, see `legodnn.blocks.from_torch.module.convert_module`.
        name: the function's name, `module:function`.
        cut_at: see `legodnn.blocks.importing.tflite.graph.load_tflite`.
        input_shape: the shape of the module's input, channels first, where no example inputs are given.

    Raises:
        ModelError: the module cannot be converted, has an operator without a rule, or the graph is another function.
        DependencyError: litert-torch is not installed.
    """
    converted = convert_module(made, name, input_shape)
    model = graph_of(as_signed(converted.content), name.rpartition(":")[2], cut_at)
    if not cut_at:  # otherwise there is nothing in PyTorch to compare with, but for the file as a whole
        found = as_list(model(alone(converted.inputs), training=False))
        for number, (y, wanted) in enumerate(zip(found, converted.outputs, strict=True), 1):
            if not (difference := relative_difference(y, wanted)) <= FLOAT32_TOLERANCE:
                raise ModelError(f"{name}: output {number} differs from PyTorch's by {difference:.2g} once it is Keras")
        model.output_names = list(converted.output_names) or model.output_names
    _OPENED.add(model)
    return model


def is_from_torch(model: keras.Model) -> bool:
    """Whether `torch_graph` made a model, so that it has no code of the user's own, whose name a function has."""
    return model in _OPENED
