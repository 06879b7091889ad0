"""How every training step is compiled: the optimizer, its learning rate, and the precision of computation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras


def compile_for(model: keras.Model, learning_rate: float, steps: int, loss: Any = None) -> None:
    """Compile a model for Adam with a learning rate that decays by a cosine to 1 % over `steps` steps.

    Args:
        model: a built model; which of its weights are trainable must be settled.
        learning_rate: that of the first step.
        steps: length of the training.
        loss: a Keras loss; None for a model that computes its own.
    """
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01)
    optimizer = keras.optimizers.Adam(schedule)
    # If its variables are not built beforehand, TensorFlow traces the whole training step twice.
    optimizer.build(model.trainable_variables)
    # On a CPU, XLA takes longer to compile these graphs than it saves.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")


@contextmanager
def bfloat16(models: Sequence[keras.Model], on: bool) -> Iterator[None]:
    """Let the layers of these models compute in bfloat16 while the `with` statement runs; weights stay float32.

    Args:
        models: whose layers are meant.
        on: if false, nothing changes.
    """
    layers = {id(layer): layer for model in models for layer in model.layers} if on else {}
    before = {key: layer.dtype_policy for key, layer in layers.items()}
    try:
        for layer in layers.values():
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
        yield
    finally:
        for key, layer in layers.items():
            layer.dtype_policy = before[key]
