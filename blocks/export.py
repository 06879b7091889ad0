"""From Keras blocks to `.tflite` files with builtin operators only, each checked against its Keras twin."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from legodnn.blocks.graph import alone, as_list
from legodnn.errors import ModelError
from legodnn.runtime.interpreter import open_interpreter

Array = NDArray[np.float32]

# Converting a function without a SavedModel around it is five times faster; TensorFlow advises against it in a
# warning for every file, on account of variables, which are constants here.
logging.getLogger("absl").setLevel(logging.ERROR)


def convert(model: keras.Model, batch: int = 1) -> bytes:
    """The content of a `.tflite` file that computes `model` for a fixed batch size.

    Weights become constants, so batch norms are folded into convolutions. Input i is the file's input `x{i}`.

    Raises:
        ModelError: the model needs an operator that is not built into TensorFlow Lite.
    """
    specs = [tf.TensorSpec((batch, *t.shape[1:]), t.dtype, name=f"x{i}") for i, t in enumerate(model.inputs)]

    def forward(*xs: Any) -> Any:
        return model(alone(xs), training=False)

    graph = tf.function(forward, input_signature=specs, autograph=False).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        content: bytes = converter.convert()
    except Exception as e:  # the converter has no error type of its own
        reason = next((line for line in str(e).splitlines() if "failed" in line or "op" in line), str(e)[:200])
        raise ModelError(f"{model.name} cannot be converted to TensorFlow Lite: {reason.strip()}") from e
    return content


class Runner:
    """A converted model that takes any number of images.

    Its own batch size divides the work; the last batch is padded.
    """

    def __init__(self, content: bytes) -> None:
        self._interpreter = open_interpreter(model_content=content, threads=os.cpu_count() or 1)
        self._sources = self._interpreter.get_input_details()
        self._targets = [t["index"] for t in self._interpreter.get_output_details()]

    def __call__(self, *xs: Array) -> list[Array]:
        """The model's outputs for its inputs, each of shape (n, ...)."""
        batch, parts = int(self._sources[0]["shape"][0]), []
        for start in range(0, len(xs[0]), batch):
            for source, x in zip(self._sources, xs, strict=True):
                part = x[start : start + batch]
                padded = np.concatenate([part, np.repeat(part[:1], batch - len(part), axis=0)])
                self._interpreter.set_tensor(source["index"], padded)
            self._interpreter.invoke()
            count = min(batch, len(xs[0]) - start)
            parts.append([self._interpreter.get_tensor(index)[:count] for index in self._targets])
        return [np.concatenate(column) for column in zip(*parts, strict=True)]


def check(content: bytes, model: keras.Model, xs: Sequence[Array], where: str, tolerance: float = 1e-4) -> list[Array]:
    """Compare a converted model with its Keras twin on real inputs.

    Args:
        content: the `.tflite` file.
        model: what it was converted from.
        xs: the model's inputs, each of shape (n, ...).
        where: names segment and option in the message.
        tolerance: largest difference allowed, relative to the largest value.

    Returns:
        The outputs of the Keras model.

    Raises:
        ModelError: they differ.
    """
    expected = [keras.ops.convert_to_numpy(y) for y in as_list(model(alone(xs), training=False))]
    for found, wanted in zip(Runner(content)(*xs), expected, strict=True):
        difference = float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
        if not difference <= tolerance:
            raise ModelError(
                f"{where}: the .tflite file differs from Keras by {difference:.2g}, allowed is {tolerance:g}"
            )
    return expected
