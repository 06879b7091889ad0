"""Comparing an imported `.tflite` file with the interpreter that runs the same file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from legodnn.blocks.importing.graph import alone, as_list
from legodnn.blocks.importing.tflite.graph import graph_of
from legodnn.native_stderr import native_stderr_silenced
from legodnn.runtime.executors.interpreter import open_interpreter

TOLERANCE = 1e-5  # of the largest value


def converted(
    model: keras.Model | Callable[..., Any],
    shape: Sequence[int] = (),
    how: str = "float32",
    samples: Sequence[Any] = (),
) -> bytes:
    """What the converter makes of a Keras model, or of a TensorFlow function of one input of this shape.

    It is calibrated on `samples` of the one input; without any, on numbers from 0 to 1.
    """
    if isinstance(model, keras.Model):
        of, shapes = model, [(1, *t.shape[1:]) for t in model.inputs]
    else:
        of, shapes = model, [tuple(shape)]
    specs = [tf.TensorSpec(s, tf.float32, name=f"x{i}") for i, s in enumerate(shapes)]

    def function(*xs: Any) -> Any:
        return of(alone(xs), training=False) if isinstance(of, keras.Model) else of(*xs)

    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if how != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if how == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if how in ("int8", "int8 in and out", "uint8 in and out"):
        rng = np.random.default_rng(0)
        chance = [[rng.random(s, np.float32) for s in shapes] for _ in range(8)]
        converter.representative_dataset = lambda: iter([[x] for x in samples] or chance)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if how == "uint8 in and out":
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    if how == "int8 in and out":
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with native_stderr_silenced():
        content: bytes = converter.convert()
    return content


def by_interpreter(content: bytes, inputs: Sequence[Any]) -> list[Any]:
    """What the interpreter gives; quantised outputs as the numbers that they stand for."""
    interpreter = open_interpreter(model_content=content, threads=1)
    for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    found = []
    for detail in interpreter.get_output_details():
        y, (scale, zero) = np.array(interpreter.get_tensor(detail["index"])), detail["quantization"]
        found.append((y.astype(np.float32) - zero) * scale if scale else y)
    return found


def differences(model: keras.Model, content: bytes, seed: int = 0, scale: float = 1.0) -> list[float]:
    """For each output the largest difference of an imported model from the interpreter, over the largest value."""
    interpreter = open_interpreter(model_content=content, threads=1)
    rng, inputs = np.random.default_rng(seed), []
    for detail in interpreter.get_input_details():
        x = rng.normal(size=detail["shape"]) * scale
        whole = rng.integers(0, 256, detail["shape"])
        inputs.append((x if detail["dtype"] == np.float32 else whole).astype(detail["dtype"]))
    wanted = by_interpreter(content, inputs)
    turned = [
        x.transpose(0, 2, 3, 1) if x.shape[1:] != tuple(t.shape[1:]) else x
        for x, t in zip(inputs, model.inputs, strict=True)
    ]
    found = []
    for a, b in zip(as_list(model(alone(turned), training=False)), wanted, strict=True):
        assert a.shape == b.shape or a.shape[1:] == b.shape, (a.shape, b.shape)
        found.append(float(np.abs(np.asarray(a).reshape(b.shape) - b).max() / max(np.abs(b).max(), 1e-6)))
    return found


def imported(content: bytes, **settings: Any) -> keras.Model:
    """An imported file that computes what the interpreter computes of it."""
    model = graph_of(content, "file.tflite", **settings)
    assert max(differences(model, content)) <= TOLERANCE
    return model


def kinds(model: keras.Model) -> list[str]:
    """The kinds of the layers and operations of a model, in order, without its inputs."""
    return [type(o).__name__ for o in model.operations if not isinstance(o, keras.layers.InputLayer)]
