"""Rewrites of a Keras model at its conversion: operators that the converter leaves, as fewer that compute the same.

TensorFlow's converter folds a batch norm into the convolution before it, fuses activations, and turns zero padding into
that of a convolution where the two are equal. What it leaves is rewritten here. A rewrite says what stands in for which
calls; nothing of the model is changed. benchmarks/rewrites.py measures what each one saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from legodnn.blocks.importing.graph import LayerCall, calls

# What stands in for the operations of calls, by the call's node. It takes the tensors that the call reads.
StandIns = Mapping[Any, Callable[..., Any]]

# The farthest that the mean of a feature lies from 0, in its deviations, for a normalisation to count as an affine.
# Beyond that, factor and offset cancel each other out: float16, which rounds a factor by 1/2048, is off by 1/32 of a
# deviation here. For a feature that was always 5 when the layer was adapted, both are of the order of 1e7.
_FARTHEST_MEAN = 64.0
_UNIT_EPSILON = 1e-12  # of `UnitNormalization`


@dataclass(frozen=True, eq=False)
class Wiring:
    """A model's calls in topological order, and which of them makes and which read a tensor, by the tensor's id."""

    order: Sequence[LayerCall]
    maker: Mapping[int, LayerCall]
    readers: Mapping[int, Sequence[LayerCall]]
    outputs: frozenset[int]

    def only_reader(self, call: LayerCall) -> LayerCall | None:
        """Return the call that alone reads what a call makes; None if others read it too, or the model gives it."""
        read = [reader for t in call.outputs for reader in self.readers.get(id(t), ())]
        given = any(id(t) in self.outputs for t in call.outputs)
        return read[0] if len(read) == 1 and not given else None


Rewrite = Callable[[Wiring], StandIns]


@dataclass(frozen=True, eq=False)
class Affine:
    """Calls one behind the other that together multiply each channel by a factor and add an offset.

    `scale` and `offset` have the shape (channels,), in float64.
    """

    calls: tuple[LayerCall, ...]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


def affines_as_depthwise(wiring: Wiring) -> StandIns:
    """Rewrite a lone batch norm of images as one depthwise convolution of size 1x1.

    The converter makes a multiplication and an addition of it. As a convolution it is one operator, which takes the
    activation that follows into itself, and in int8 has a scale for each channel. What scales the three channels of a
    picture stays: kernels compute a tile of channels of a pixel at a time, and would leave most of it empty.
    """
    found: dict[Any, Callable[..., Any]] = {}
    for affine in affines(wiring):
        norm = any(type(call.operation) is layers.BatchNormalization for call in affine.calls)
        images = len(affine.calls[0].inputs[0].shape) == 4
        if norm and images and affine.offset.any() and not _is_folded_back(wiring, affine):
            kernel, bias = affine.scale.astype(np.float32).reshape(1, 1, -1, 1), affine.offset.astype(np.float32)
            found |= dict.fromkeys((call.node for call in affine.calls), _unchanged)
            found[affine.calls[-1].node] = _depthwise(kernel, bias)
    return found


def affines_into_convolutions(wiring: Wiring) -> StandIns:
    """Fold a batch norm, or what normalises an input, into the convolution or dense layer that alone reads it.

    There must be no padding in between: it would be scaled and moved as well.
    """
    found: dict[Any, Callable[..., Any]] = {}
    for affine in affines(wiring):
        reader = wiring.only_reader(affine.calls[-1])
        if reader and not _is_folded_back(wiring, affine) and (folded := _with_affine(reader, affine)):
            found |= dict.fromkeys((call.node for call in affine.calls), _unchanged)
            found[reader.node] = folded
    return found


def nearest_upsampling_as_resizing(wiring: Wiring) -> StandIns:
    """Rewrite up-sampling that repeats pixels as one operator, where the converter makes five: reshaping and tiling."""
    return {
        call.node: _nearest(call.outputs[0].shape[1:3])
        for call in wiring.order
        if type(call.operation) is layers.UpSampling2D
        and call.operation.interpolation == "nearest"
        and call.operation.data_format == "channels_last"
    }


def volume_pooling_in_two_steps(wiring: Wiring) -> StandIns:
    """Rewrite the pooling of volumes, such as clips, for which there is no builtin operator, as two poolings of images.

    The largest value of a box, or the mean of what it covers, is that of its frames, and then of these over time.
    """
    return {
        call.node: _pooling(call)
        for call in wiring.order
        if type(call.operation) in (layers.MaxPooling3D, layers.AveragePooling3D)
        and call.operation.data_format == "channels_last"
    }


def unit_lengths_of_zeros(wiring: Wiring) -> StandIns:
    """Rewrite what brings vectors to length 1 so that a vector of zeros stays one, as in Keras.

    Keras multiplies by the reciprocal of the root of a sum of squares. XNNPACK's is NaN where the sum is 0.
    """
    found: dict[Any, Callable[..., Any]] = {}
    for call in wiring.order:
        operation: Any = call.operation
        if type(operation) is layers.UnitNormalization:
            found[call.node] = _unit_length(operation.axis, _UNIT_EPSILON)
        elif call.kind == "Normalize" and operation.order == 2 and operation.axis is not None:
            found[call.node] = _unit_length(operation.axis, operation.epsilon or keras.config.epsilon())
        elif type(operation) is layers.Dot and operation.normalize:
            found[call.node] = _cosine(operation.axes)
    return found


# In this order: an affine that can be folded into what follows is gone, one that cannot is one operator.
REWRITES: tuple[Rewrite, ...] = (
    affines_into_convolutions,
    affines_as_depthwise,
    nearest_upsampling_as_resizing,
    volume_pooling_in_two_steps,
    unit_lengths_of_zeros,
)


def stand_ins(model: keras.Model, rewrites: Sequence[Rewrite] = REWRITES) -> StandIns:
    """Return what stands in for calls of a model by these rewrites; where two rewrite the same call, the first does."""
    wiring, found = wiring_of(model), dict[Any, Callable[..., Any]]()
    for rewrite in rewrites:
        found = {**rewrite(wiring), **found}
    return found


def wiring_of(model: keras.Model) -> Wiring:
    """Return how the calls of a Functional model are connected."""
    order, readers = calls(model), dict[int, list[LayerCall]]()
    for call in order:
        for t in call.inputs:
            readers.setdefault(id(t), []).append(call)
    maker = {id(t): call for call in order for t in call.outputs}
    return Wiring(order, maker, readers, frozenset(id(t) for t in model.outputs))


def affines(wiring: Wiring) -> Iterator[Affine]:
    """Yield the longest runs of calls that multiply channels and add to them, each read by the next one alone."""
    taken: set[Any] = set()
    for first in wiring.order:
        run: list[LayerCall] = []
        call: LayerCall | None = first
        scale, offset = np.ones(()), np.zeros(())
        while call and call.node not in taken and (one := _affine(call)):
            run.append(call)
            taken.add(call.node)
            scale, offset = scale * one[0], offset * one[0] + one[1]
            call = wiring.only_reader(call)
        if run:
            channels = run[0].inputs[0].shape[-1]
            yield Affine(tuple(run), np.broadcast_to(scale, channels), np.broadcast_to(offset, channels))


def _affine(call: LayerCall) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return factors and offsets of a call by channel, or one for all; None if it is something else."""
    layer: Any = call.operation
    if len(call.inputs) != 1 or {call.inputs[0].dtype, call.outputs[0].dtype} != {"float32"}:
        return None
    rank, channels = len(call.inputs[0].shape), call.inputs[0].shape[-1]
    if rank < 2 or channels is None:
        return None
    if type(layer) is layers.BatchNormalization and layer.axis in (-1, rank - 1):
        root = np.sqrt(_array(layer.moving_variance) + layer.epsilon)
        scale = (_array(layer.gamma) if layer.scale else 1.0) / root
        return scale, (_array(layer.beta) if layer.center else 0.0) - _array(layer.moving_mean) * scale
    if type(layer) is layers.Rescaling:
        return _by_channel(layer.scale, layer.offset, rank, channels)
    if type(layer) is layers.Normalization and not layer.invert:
        root = np.maximum(np.sqrt(_array(layer.variance)), keras.config.epsilon())
        offset = -_array(layer.mean) / root
        return None if np.abs(offset).max() > _FARTHEST_MEAN else _by_channel(1.0 / root, offset, rank, channels)
    return None


def _by_channel(
    scale: Any, offset: Any, rank: int, channels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return factors and offsets that are one number or differ by the last axis only; None for others."""
    flat = []
    for values in (_array(scale), _array(offset)):
        last = values.shape[-1] if values.ndim else 1
        if values.ndim > rank or values.size != last or last not in (1, channels):
            return None
        flat.append(values.reshape(-1) if values.size > 1 else values.reshape(()))
    return flat[0], flat[1]


def _is_folded_back(wiring: Wiring, affine: Affine) -> bool:
    """Whether the converter folds an affine into the layer before: it is linear, and nothing else reads it."""
    before = wiring.maker.get(id(affine.calls[0].inputs[0]))
    kinds = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)
    return (
        before is not None
        and type(before.operation) in kinds
        and before.operation.activation is keras.activations.linear
        and wiring.only_reader(before) is affine.calls[0]
    )


def _with_affine(call: LayerCall, affine: Affine) -> Callable[..., Any] | None:
    """Return a convolution or dense layer without padding that has an affine before it in its weights, else None."""
    layer: Any = call.operation
    kind = type(layer)
    if kind not in (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense) or call.outputs[0].dtype != "float32":
        return None
    if kind is layers.Dense:
        padded = False
    else:
        padded = layer.padding != "valid" and tuple(layer.kernel_size) != (1, 1)
        if layer.data_format != "channels_last" or getattr(layer, "groups", 1) != 1:
            return None
    if padded or getattr(layer, "quantization_mode", None):
        return None
    kernel = _array(layer.kernel)
    axis = 0 if kind is layers.Dense else 2
    shape = [-1 if d == axis else 1 for d in range(kernel.ndim)]
    moved = kernel * affine.offset.reshape(shape)
    bias = moved.sum((0, 1)).ravel() if kind is layers.DepthwiseConv2D else moved.reshape(-1, kernel.shape[-1]).sum(0)
    bias = (bias + (_array(layer.bias) if layer.use_bias else 0.0)).astype(np.float32)
    scaled = (kernel * affine.scale.reshape(shape)).astype(np.float32)

    def folded(x: Any) -> Any:
        if kind is layers.Dense:
            y = ops.matmul(x, scaled)
        else:
            convolve = ops.depthwise_conv if kind is layers.DepthwiseConv2D else ops.conv
            y = convolve(x, scaled, layer.strides, layer.padding, "channels_last", layer.dilation_rate)
        return layer.activation(ops.add(y, bias))

    return folded


def _depthwise(kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> Callable[..., Any]:
    return lambda x: ops.add(ops.depthwise_conv(x, kernel, 1, "valid", "channels_last"), bias)


def _nearest(shape: Sequence[int]) -> Callable[..., Any]:
    return lambda x: ops.image.resize(x, shape, interpolation="nearest", data_format="channels_last")


def _pooling(call: LayerCall) -> Callable[..., Any]:
    layer: Any = call.operation
    pool = ops.max_pool if isinstance(layer, layers.MaxPooling3D) else ops.average_pool
    frames, height, width, channels = call.inputs[0].shape[1:]
    after = call.outputs[0].shape[1:]
    (time, *size), (step, *strides) = layer.pool_size, layer.strides

    def pooled(x: Any) -> Any:
        y = ops.reshape(x, (-1, height, width, channels))
        y = pool(y, tuple(size), tuple(strides), layer.padding, "channels_last")
        y = ops.reshape(y, (-1, frames, after[1] * after[2], channels))
        y = pool(y, (time, 1), (step, 1), layer.padding, "channels_last")
        return ops.reshape(y, (-1, *after))

    return pooled


def _unit_length(axis: Any, epsilon: float) -> Callable[[Any], Any]:
    """Return a function that divides by the length over one axis or several; a length below `epsilon` counts as it."""

    def divided(x: Any) -> Any:
        squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
        # The choice comes last: no float16 is as small as a limit that would keep the sum from 0.
        return ops.multiply(x, ops.where(squares > 0, ops.minimum(ops.rsqrt(squares), 1 / epsilon), 0.0))

    return divided


def _cosine(axes: Any) -> Callable[..., Any]:
    """Return what `Dot(axes, normalize=True)` does."""
    dot = layers.Dot(axes)
    each = (axes, axes) if isinstance(axes, int) else axes
    units = [_unit_length(axis, keras.config.epsilon()) for axis in each]
    return lambda *xs: dot([unit(x) for unit, x in zip(units, xs, strict=True)])


def _unchanged(x: Any) -> Any:
    return x


def _array(values: Any) -> NDArray[np.float64]:
    return np.asarray(ops.convert_to_numpy(values), np.float64)
