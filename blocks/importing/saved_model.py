"""TensorFlow SavedModels: their signature is converted to a `.tflite` file, and that becomes a graph of layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from legodnn.arrays import Shape
from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.errors import ModelError
from legodnn.native_stderr import native_stderr_silenced
from legodnn.root_logger import same_root_logger

SIGNATURE = "serving_default"


def load_saved_model(path: str, cut_at: Sequence[str] = (), input_shape: Shape | None = None) -> keras.Model:
    """Return the model that a SavedModel serves, as a Functional graph in float32.

    Args:
        path: the SavedModel's folder.
        cut_at, input_shape: see `legodnn.blocks.importing.tflite.graph.load_tflite`.

    Raises:
        ModelError: the folder has no signature `serving_default`, or what it computes cannot be converted to builtin
            operators of TensorFlow Lite, or has no rule there.
    """
    try:
        with native_stderr_silenced(), same_root_logger():
            converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=[SIGNATURE])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            content: bytes = converter.convert()
    except Exception as e:  # the converter has no error type of its own
        reason = next((line for line in str(e).splitlines() if line.strip()), type(e).__name__)
        raise ModelError(
            f"{path} cannot be converted by its signature {SIGNATURE!r}: {reason.strip():.200}; save the model with "
            "Keras 3 instead, or convert it to a .tflite file and give that"
        ) from None
    return graph_of(as_signed(content), Path(path).resolve().name, cut_at, input_shape)


def as_signed(content: bytes) -> bytes:
    """Return a converted file with the names of its signature, and with outputs in the order of these names.

    Converters order outputs by themselves. A signature is a map of names, which Keras calls `output_0`, `output_1`, ...
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    if not model.signatureDefs:
        return content
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    for entry in (*signature.inputs, *signature.outputs):
        graph.tensors[entry.tensorIndex].name = entry.name
    if len({entry.tensorIndex for entry in signature.outputs}) == len(graph.outputs):
        graph.outputs = [e.tensorIndex for e in sorted(signature.outputs, key=lambda e: _counted(e.name.decode()))]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _counted(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts names by their numbers, so that output_2 comes before output_10."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
