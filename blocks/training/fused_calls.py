"""Running models in a training step, with batch norms computed together with what stands before them.

A batch norm that keeps its statistics is a factor and an offset for every channel: the factor goes into the kernel of
the convolution before it, and the offset becomes its bias. TensorFlow then computes convolution, bias and ReLU at once.
Where that kernel is larger than what the convolution writes, the factor stays behind it.
One that takes the statistics of the batch is one operation forward and one back, where Keras has a dozen. And where
several models read the same tensor, as the descendants of a block do, the convolutions that they begin with are one
convolution with all their channels, with batch norm and ReLU behind it.

All of this is the same function as the layers are, gradients and updates of statistics included, but for the order of
rounding. Layers that are not known to allow it (subclasses, other axes or precisions) run as they are.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from legodnn.blocks.importing.graph import LayerCall, calls, run_call


@dataclass(frozen=True, eq=False)
class Chain:
    """A convolution with what is computed at once with it.

    Attributes:
        convolution: the layer.
        norm: the batch norm behind it, or None.
        relu: whether a ReLU follows.
        read: the tensor that the convolution reads, in the model's graph.
        written: what the last of them writes.
        inner: what is between them.
    """

    convolution: Any
    norm: Any
    relu: bool
    read: Any
    written: Any
    inner: tuple[Any, ...]

    def kind(self) -> Hashable:
        """Return what chains must have in common to be computed as one with more channels."""
        c, n = self.convolution, self.norm
        geometry = type(c), tuple(c.kernel_size), tuple(c.strides), c.padding, tuple(c.dilation_rate), c.use_bias
        return geometry, n and (n.epsilon, n.trainable), self.relu


def run_fused(model: keras.Model, values: Sequence[Any]) -> list[Any]:
    """Return the outputs of a Functional model whose batch norms keep their statistics.

    Args:
        model: the model.
        values: its inputs, each of shape (n, ...).

    Raises:
        ModelError: a layer gives another shape in inference than when the graph was made.
    """
    return _run(model, values, False, _chains(model, False), {})


def run_together(models: Sequence[keras.Model], values: Sequence[Any], training: bool) -> list[list[Any]]:
    """Return the outputs of several models that are given the same inputs.

    Each gives what `legodnn.blocks.importing.graph.run_calls` does.

    Args:
        models: the models.
        values: their inputs, each of shape (n, ...).
        training: whether batch norms take the statistics of the batch, and keep them.

    Raises:
        ModelError: a layer gives another shape in inference than when the graph was made.
    """
    chains = [_chains(model, training) for model in models]
    begun: list[dict[int, Any]] = [{} for _ in models]
    alike: dict[Hashable, list[tuple[int, Chain]]] = {}
    for number, (model, own) in enumerate(zip(models, chains, strict=True)):
        for chain in own:
            for place, tensor in enumerate(model.inputs):
                if chain.read is tensor and chain.convolution.groups == 1:
                    alike.setdefault((place, chain.kind()), []).append((number, chain))
    for (place, _), found in alike.items():  # type: ignore[misc]
        if len(found) > 1:
            results = _run_chains([chain for _, chain in found], values[place], training)
            for (number, chain), result in zip(found, results, strict=True):
                begun[number][id(chain.written)] = result
    return [_run(m, values, training, own, known) for m, own, known in zip(models, chains, begun, strict=True)]


def _run(
    model: keras.Model, values: Sequence[Any], training: bool, found: Sequence[Chain], begun: Mapping[int, Any]
) -> list[Any]:
    """Return the outputs of a model with these chains, of whose tensors some have been computed already, by `id()`."""
    known = {id(t): ops.cast(x, t.dtype) for t, x in zip(model.inputs, values, strict=True)} | dict(begun)
    chains = {id(chain.written): chain for chain in found}
    inner = {id(t) for chain in found for t in chain.inner}
    for call in calls(model):
        written = id(call.outputs[0])
        if written in known or written in inner:
            continue
        if written in chains:
            chain = chains[written]
            known[written] = _run_chains([chain], known[id(chain.read)], training)[0]
            continue
        args, kwargs = call.node.arguments.fill_in(known)
        results = run_call(call, args, kwargs, training)
        known.update((id(t), result) for t, result in zip(call.outputs, results, strict=True))
    return [known[id(t)] for t in model.outputs]


def _chains(model: keras.Model, training: bool) -> list[Chain]:
    """Return the chains of a model, each as long as it can be; what is between its layers is read by nobody else."""
    order = calls(model)
    reads = Counter([id(t) for call in order for t in call.inputs] + [id(t) for t in model.outputs])
    reader = {id(t): call for call in order for t in call.inputs}

    def alone_behind(t: Any) -> Any:
        return reader[id(t)] if reads[id(t)] == 1 and id(t) in reader and len(reader[id(t)].inputs) == 1 else None

    found = []
    for call in order:
        if not _can_be_scaled(call):
            continue
        inner: list[Any] = []
        last, norm, relu = call, None, False
        behind = alone_behind(last.outputs[0])
        if behind is not None and _can_be_fused(behind, training):
            inner, last, norm = [*inner, last.outputs[0]], behind, behind.operation
            behind = alone_behind(last.outputs[0])
        if behind is not None and _is_relu(behind.operation):
            inner, last, relu = [*inner, last.outputs[0]], behind, True
        found.append(Chain(call.operation, norm, relu, call.inputs[0], last.outputs[0], tuple(inner)))
    return found


def _can_be_scaled(call: LayerCall) -> bool:
    """Whether a call is of a plain convolution whose output channels are the last axis of its kernel and its output."""
    layer = call.operation
    return (
        type(layer) in (layers.Conv1D, layers.Conv2D, layers.Conv3D)
        and len(call.inputs) == 1
        and layer.data_format == "channels_last"
        and layer.padding != "causal"  # the layer pads its input itself, before its convolution
        and layer.activation is keras.activations.linear
        and layer.quantization_mode is None
        and layer.compute_dtype == "float32"
    )


def _can_be_fused(call: LayerCall, training: bool) -> bool:
    """Whether a call is of a plain batch norm over the last axis that can be computed at once."""
    layer = call.operation
    if (
        type(layer) is not layers.BatchNormalization
        or layer.axis not in (-1, layer.input_spec.ndim - 1)
        or layer.renorm
        or layer.synchronized
        or layer.compute_dtype != "float32"
    ):
        return False
    takes_statistics = training and layer.trainable
    return not takes_statistics or (keras.backend.backend() == "tensorflow" and layer.input_spec.ndim == 4)


def _is_relu(layer: Any) -> bool:
    """Whether a layer is a plain ReLU in float32."""
    if type(layer) is layers.ReLU:
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
    else:
        plain = type(layer) is layers.Activation and layer.activation is keras.activations.relu
    return bool(plain and layer.compute_dtype == "float32")


def _run_chains(chains: Sequence[Chain], x: Any, training: bool) -> list[Any]:
    """Return what chains of one kind write, which all read x: one convolution with the channels of all."""
    first, norms = chains[0], [chain.norm for chain in chains]
    convolutions = [chain.convolution for chain in chains]
    takes_statistics = training and norms[0] is not None and norms[0].trainable
    kernels, factors = [c.kernel for c in convolutions], []
    biases = [c.bias for c in convolutions if c.use_bias]
    if norms[0] is not None and not takes_statistics:
        acts = [_factor_and_offset(c, norm) for c, norm in zip(convolutions, norms, strict=True)]
        factors, biases = [factor for factor, _ in acts], [offset for _, offset in acts]
        if not _kernels_are_larger(convolutions, x):
            kernels, factors = [k * factor for k, factor in zip(kernels, factors, strict=True)], []
    y = first.convolution.convolution_op(x, _concatenated(kernels))
    if factors:
        y = y * _concatenated(factors)
    if biases:
        y = _with_bias(y, _concatenated(biases))
    if takes_statistics:
        y = _normed_batch(norms, y)
    if first.relu:
        y = ops.relu(y)
    ends = list(itertools.accumulate(c.filters for c in convolutions))
    return [y] if len(chains) == 1 else list(ops.split(y, ends[:-1], axis=-1))


def _kernels_are_larger(convolutions: Sequence[Any], x: Any) -> bool:
    """Whether it is less work to multiply what convolutions write by factors than their kernels.

    Behind small images, as in the last layers of VGG16, kernels have more elements than the outputs. Multiplying the
    latter takes a pass more forward and back, since it is not computed together with the convolution.
    """
    first = convolutions[0]
    shape = first.compute_output_shape(x.shape)
    return None not in shape and 2 * math.prod(shape[:-1]) < math.prod(first.kernel.shape[:-1])


def _factor_and_offset(convolution: Any, norm: Any) -> tuple[Any, Any]:
    """Return the factor and the offset of every channel by which a batch norm acts that keeps its statistics."""
    bias = convolution.bias if convolution.use_bias else 0.0
    factor = ops.rsqrt(ops.convert_to_tensor(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        factor = factor * norm.gamma
    offset = (bias - norm.moving_mean) * factor
    return factor, offset + norm.beta if norm.center else offset


def _normed_batch(norms: Sequence[Any], y: Any) -> Any:
    """Return what batch norms make of y, shape (n, height, width, channels), which keep its statistics."""
    import tensorflow as tf

    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        y,
        _concatenated([norm.gamma if norm.scale else ops.ones_like(norm.moving_mean) for norm in norms]),
        _concatenated([norm.beta if norm.center else ops.zeros_like(norm.moving_mean) for norm in norms]),
        epsilon=norms[0].epsilon,
        is_training=True,
    )
    count = tf.cast(tf.reduce_prod(tf.shape(y)[:-1]), tf.float32)
    variance = variance * ((count - 1) / count)  # Keras keeps that of the batch, without Bessel's correction
    sizes = [norm.moving_mean.shape[0] for norm in norms]
    for norm, *found in zip(norms, tf.split(mean, sizes), tf.split(variance, sizes), strict=True):
        for kept, new in zip((norm.moving_mean, norm.moving_variance), found, strict=True):
            kept.assign(kept * norm.momentum + new * (1 - norm.momentum))
    return y


def _with_bias(y: Any, bias: Any) -> Any:
    if keras.backend.backend() != "tensorflow":
        return y + bias
    import tensorflow as tf

    return tf.nn.bias_add(y, bias)  # a sum would not be computed together with the convolution


def _concatenated(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)
