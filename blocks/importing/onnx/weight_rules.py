"""Rules for ONNX operators with weights: convolutions, dense layers, norms; and products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from legodnn.blocks.importing.onnx.call import OnnxCall, channels_first, channels_last
from legodnn.blocks.importing.onnx.windows import SAME, VALID, Window, as_before, as_image, window_of, zero_padded
from legodnn.blocks.importing.tflite.call import FileInput, NoRule
from legodnn.blocks.importing.tflite.values import GraphValue, settled

OnnxRule = Callable[[OnnxCall], "FileInput | list[GraphValue] | list[FileInput]"]


def _kernel(op: OnnxCall) -> NDArray[Any]:
    """Return the weights of a convolution as those of images, with two more dimensions for channels in front."""
    found = op.constant(1)
    if found.ndim not in (3, 4) or found.dtype != np.float32 or not found.size:
        raise NoRule(f"its weights are {found.dtype} of shape {found.shape}")
    return found if found.ndim == 4 else found[:, :, np.newaxis]


def _images(op: OnnxCall) -> GraphValue:
    value = op.value(0)
    if len(value.order) not in (3, 4) or not value.batched:
        raise NoRule(f"its input has shape {value.shape}, which is no image")
    return channels_last(as_image(op, value))


def _bias(op: OnnxCall) -> NDArray[Any] | None:
    return op.constant(2).ravel() if op.has(2) else None


def _convolution(op: OnnxCall) -> GraphValue:
    before, kernel, groups = op.value(0), _kernel(op), int(op.attributes.get("group", 1))
    image = _images(op)
    window = window_of(op, before.shape[2:], op.constant(1).shape[2:])
    channels = image.shape[3]
    if channels != groups * kernel.shape[1] or kernel.shape[0] % groups:
        raise NoRule(f"its weights have shape {kernel.shape} for {channels} channels in {groups} groups")
    image, padding = zero_padded(op, image, window)
    options: dict[str, Any] = {"padding": padding, **window.options()}
    if groups == channels > 1:
        found = op.run("DEPTHWISE_CONV_2D", image, kernel.transpose(1, 2, 3, 0), _bias(op), **options)
    else:
        found = op.run("CONV_2D", image, kernel.transpose(0, 2, 3, 1), _bias(op), **options)
    return as_before(op, channels_first(found), before)


def _transposed_convolution(op: OnnxCall) -> GraphValue:
    """TensorFlow cuts nothing off (`VALID`), or alike at both ends (`SAME`); other margins are cut off afterwards."""
    before, kernel = op.value(0), _kernel(op)
    image = _images(op)
    window = window_of(op, before.shape[2:], op.constant(1).shape[2:])
    if op.attributes.get("group", 1) != 1 or set(window.dilations) != {1}:
        raise NoRule("it is a transposed convolution in groups, or a dilated one")
    lengths, sizes, strides = (np.array(n) for n in (image.shape[1:3], window.kernel, window.strides))
    whole = (lengths - 1) * strides + sizes
    first, wanted = _margins(op, window, whole)
    same = ((wanted == lengths * strides) & (sizes >= strides) & (first == (sizes - strides) // 2)).all()
    made = wanted if same else np.maximum(whole, first + wanted)
    options: dict[str, Any] = {"padding": SAME if same else VALID, **window.options()}
    ending = "" if (made == wanted).all() else ".whole"
    shape = np.array([1, *made, kernel.shape[1]], np.int32)
    found = op.run("TRANSPOSE_CONV", shape, kernel.transpose(1, 2, 3, 0), image, _bias(op), ending=ending, **options)
    if ending:
        begin, size = ([0, *first, 0], [1, *wanted, kernel.shape[1]])
        found = op.run("SLICE", found, np.array(begin, np.int32), np.array(size, np.int32))
    return as_before(op, channels_first(found), before)


def _margins(op: OnnxCall, window: Window, whole: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how much a transposed convolution cuts off before height and width, and how much of each it wants."""
    added = np.array([0, 0, *(op.attributes.get("output_padding") or (0, 0))][-2:])
    auto, shape = op.attributes.get("auto_pad", "NOTSET"), op.attributes.get("output_shape")
    if not shape and not auto.startswith("SAME"):
        first, last = np.array(window.pads).T
        return first, whole - first - last + added
    wanted = np.array([1, *shape][-2:]) if shape else np.array(window.sizes) * np.array(window.strides)
    total = np.maximum(whole + added - wanted, 0)
    return total // 2 if auto == "SAME_UPPER" else total - total // 2, wanted


def _gemm(op: OnnxCall) -> GraphValue:
    if op.attributes.get("transA", 0):
        raise NoRule("it turns its first matrix")
    kernel = op.constant(1) if op.attributes.get("transB", 0) else op.constant(1).T
    bias = op.constant(2) * np.float32(op.attributes.get("beta", 1.0)) if op.has(2) else None
    if bias is not None:
        if bias.ndim > 1 and bias.shape[0] != 1:
            raise NoRule(f"it adds a matrix of shape {bias.shape}")
        bias = np.broadcast_to(bias.ravel(), kernel.shape[:1])
    kernel = kernel * np.float32(op.attributes.get("alpha", 1.0))
    found: GraphValue = op.run("FULLY_CONNECTED", op.value(0), np.ascontiguousarray(kernel), bias, keep_dims=True)
    return found


def _product(op: OnnxCall) -> GraphValue:
    if op.has(1) and isinstance(op.inputs[1], np.ndarray) and op.constant(1).ndim == 2:
        kernel = np.ascontiguousarray(op.constant(1).T)
        found: GraphValue = op.run("FULLY_CONNECTED", op.value(0), kernel, None, keep_dims=True)
    else:
        found = op.run("BATCH_MATMUL", op.value(0), op.value(1))
    return found


def _normalised(op: OnnxCall, make: Callable[..., Any], weights: list[NDArray[Any]]) -> GraphValue:
    """Return what a layer over channels, dimension 1, makes of the first input."""
    value = op.value(0)
    last = settled(channels_last(value), f"{op.name}.last")
    return channels_first(op.layer(make, weights, last))


def _batch_norm(op: OnnxCall) -> GraphValue:
    if op.attributes.get("training_mode", 0):
        raise NoRule("it takes the statistics of its batch: export the model for inference (model.eval() in PyTorch)")
    if len(op.value(0).order) < 2:
        raise NoRule(f"its input has shape {op.value(0).shape}")
    epsilon = float(op.attributes.get("epsilon", 1e-5))
    return _normalised(op, partial(layers.BatchNormalization, epsilon=epsilon), [op.constant(i) for i in range(1, 5)])


def _instance_norm(op: OnnxCall) -> GraphValue:
    return _group_norm(op, -1, [op.constant(1), op.constant(2)])


def _groups_norm(op: OnnxCall) -> GraphValue:
    """Before version 21 a scale and a shift were given for each group."""
    channels, groups = op.value(0).shape[1], int(op.attributes["num_groups"])
    if groups < 1 or channels % groups:
        raise NoRule(f"it has {groups} groups of {channels} channels")
    weights = [op.constant(i).ravel() for i in (1, 2)]
    return _group_norm(op, groups, [np.repeat(w, channels // groups) if w.size == groups else w for w in weights])


def _group_norm(op: OnnxCall, groups: int, weights: list[NDArray[Any]]) -> GraphValue:
    if not op.value(0).batched or len(op.value(0).order) < 3:
        raise NoRule(f"its input has shape {op.value(0).shape}")
    make = partial(layers.GroupNormalization, groups=groups, epsilon=float(op.attributes.get("epsilon", 1e-5)))
    return _normalised(op, make, weights)


def _layer_norm(op: OnnxCall) -> GraphValue:
    value = op.value(0)
    value = settled(value, f"{op.name}.turned")
    rank = len(value.order)
    if op.axis(int(op.attributes.get("axis", -1)), rank) != rank - 1 or not op.alone:
        raise NoRule("it norms over more than the last dimension")
    weights = [op.constant(1), *([op.constant(2)] if op.has(2) else [])]
    epsilon = float(op.attributes.get("epsilon", 1e-5))
    return op.layer(partial(layers.LayerNormalization, epsilon=epsilon, center=op.has(2)), weights, value)


ONNX_WEIGHT_RULES: dict[str, OnnxRule] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
    "MatMul": _product,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _groups_norm,
    "LayerNormalization": _layer_norm,
}
