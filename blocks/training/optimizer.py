"""How every training step is compiled: the optimizer, its learning rate, and the precision of computation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from legodnn.errors import ConfigError

_LEAST_SIZE = 1e-3  # a kernel of zeros has to learn too
_USUAL_SIZE = 0.1  # root mean square of a kernel whose learning rate is the full one; ResNet-20's have .05 to .15


def compile_for(
    model: keras.Model,
    learning_rate: float,
    steps: int,
    loss: Any = None,
    factors: Mapping[int, float] = MappingProxyType({}),
) -> None:
    """Compile a model for Adam with a learning rate that decays by a cosine to 1 % over `steps` steps.

    Args:
        model: a built model; which of its weights are trainable must be settled.
        learning_rate: that of the first step.
        steps: length of the training.
        loss: a Keras loss; None for a model that computes its own.
        factors: by what the learning rate is multiplied for some variables, by their `id()`; for others by 1.
    """
    optimizer = adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01))
    if factors:
        update = optimizer._backend_update_step
        optimizer._backend_update_step = functools.partial(_update_by_factor, update, factors)
    # If its variables are not built beforehand, TensorFlow traces the whole training step twice.
    optimizer.build(model.trainable_variables)
    # On a CPU, XLA takes longer to compile these graphs than it saves.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")


def relative_rates(model: keras.Model) -> dict[int, float]:
    """Return by what the learning rate is multiplied for each trainable variable of a trained model, by its `id()`.

    Adam moves every weight by about its learning rate, however small weights are. At 1e-3 a step changes a kernel of
    ResNet-20 by a hundredth, but one of VGG16's last layers, whose root mean square is .005, by a fifth: what it knew
    is lost. So kernels that are smaller than usual get a rate that is smaller in proportion, as in Adafactor (Shazeer
    and Stern, ICML 2018); biases and the like get the full one.
    """
    factors = {id(v): 1.0 for v in model.trainable_variables}
    for kernel in (v for v in model.trainable_variables if len(v.shape) > 1):
        size = float(np.sqrt(np.mean(np.square(keras.ops.convert_to_numpy(kernel)))))
        factors[id(kernel)] = min(1.0, max(size, _LEAST_SIZE) / _USUAL_SIZE)
    return factors


def adam(learning_rate: Any) -> keras.optimizers.Adam:
    """Return Keras' Adam; with TensorFlow, the update of a variable is one operation, where Keras has a dozen.

    Args:
        learning_rate: a number, or a schedule of Keras.
    """
    optimizer = keras.optimizers.Adam(learning_rate)
    # No class of our own: a saved model would ask for it.
    if keras.backend.backend() == "tensorflow":
        optimizer._backend_update_step = functools.partial(_update_at_once, optimizer)
    return optimizer


def _update_by_factor(
    update: Callable[[Sequence[Any], Sequence[Any], Any], None],
    factors: Mapping[int, float],
    gradients: Sequence[Any],
    variables: Sequence[Any],
    rate: Any,
) -> None:
    """Update variables, those of one factor together, on any backend as `update` does it at one rate."""
    of_factor: dict[float, list[tuple[Any, Any]]] = {}
    for gradient, variable in zip(gradients, variables, strict=True):
        of_factor.setdefault(factors.get(id(variable), 1.0), []).append((gradient, variable))
    for factor, pairs in of_factor.items():
        update([gradient for gradient, _ in pairs], [variable for _, variable in pairs], rate * factor)


def _update_at_once(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any], rate: Any) -> None:
    """Update variables of TensorFlow and their moments, as Adam's `update_step` does one by one."""
    import tensorflow as tf

    step, rate = tf.cast(optimizer.iterations + 1, tf.float32), tf.cast(rate, tf.float32)
    beta1, beta2 = (tf.constant(beta, tf.float32) for beta in (optimizer.beta_1, optimizer.beta_2))
    power1, power2 = tf.pow(beta1, step), tf.pow(beta2, step)
    for gradient, variable in zip(gradients, variables, strict=True):
        place = optimizer._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[place].value.handle,
            v=optimizer._velocities[place].value.handle,
            beta1_power=power1,
            beta2_power=power2,
            lr=rate,
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
