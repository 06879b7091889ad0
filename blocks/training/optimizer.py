"""How every training step is compiled: the optimizer, its learning rate, and the precision of computation."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from legodnn.errors import ConfigError


def compile_for(model: keras.Model, learning_rate: float, steps: int, loss: Any = None) -> None:
    """Compile a model for Adam with a learning rate that decays by a cosine to 1 % over `steps` steps.

    Args:
        model: a built model; which of its weights are trainable must be settled.
        learning_rate: that of the first step.
        steps: length of the training.
        loss: a Keras loss; None for a model that computes its own.
    """
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01)
    optimizer = adam(schedule)
    # If its variables are not built beforehand, TensorFlow traces the whole training step twice.
    optimizer.build(model.trainable_variables)
    # On a CPU, XLA takes longer to compile these graphs than it saves.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")


def adam(learning_rate: Any) -> keras.optimizers.Adam:
    """Return Keras' Adam; with TensorFlow, the update of a variable is one operation, where Keras has a dozen.

    Args:
        learning_rate: a number, or a schedule of Keras.
    """
    optimizer = keras.optimizers.Adam(learning_rate)
    if keras.backend.backend() == "tensorflow":  # no class of our own: a saved model would ask for it
        optimizer.update_step = functools.partial(_update_at_once, optimizer)
    return optimizer


def _update_at_once(optimizer: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
    """Update a variable of TensorFlow and its moments, as Adam's `update_step` does."""
    import tensorflow as tf

    place = optimizer._get_variable_index(variable)
    step = tf.cast(optimizer.iterations + 1, tf.float32)
    beta1, beta2 = (tf.constant(beta, tf.float32) for beta in (optimizer.beta_1, optimizer.beta_2))
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[place].value.handle,
        v=optimizer._velocities[place].value.handle,
        beta1_power=tf.pow(beta1, step),
        beta2_power=tf.pow(beta2, step),
        lr=tf.cast(learning_rate, tf.float32),
        beta1=beta1,
        beta2=beta2,
        epsilon=optimizer.epsilon,
        grad=tf.convert_to_tensor(gradient),  # that of an embedding is sparse
    )


def check_mixed_precision() -> None:
    """Refuse to compute in bfloat16 where it would be slower.

    Raises:
        ConfigError: TensorFlow sees no GPU.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise ConfigError(
            "mixed_precision computes in bfloat16, which is slower on a processor, and TensorFlow sees no GPU: leave "
            "it out, or see `legodnn doctor`"
        )


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
