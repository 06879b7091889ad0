"""Rules for operators over the pixels of images or over channels: pools, reductions, resizing, softmax."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import keras
from keras import layers, ops

from legodnn.blocks.importing.file_layers import CornerResizing
from legodnn.blocks.importing.tflite.call import NoRule, Rule, RuleCall
from legodnn.blocks.importing.tflite.values import GraphValue, as_value, canonical
from legodnn.blocks.importing.tflite.weight_rules import padding_of, strides_of

_MOST_OVER_LAST = 4  # dimensions, the batch counted


def _pool(make: Callable[..., Any]) -> Rule:
    def rule(op: RuleCall) -> GraphValue:
        size = op.option("filter_h"), op.option("filter_w")
        if min(size) < 1:
            raise NoRule(f"its window is {size}")
        return as_value(op.activated(make(size, strides_of(op), padding_of(op), name=op.name)(op.image(0))))

    return rule


def _over_last(make: Callable[[RuleCall, Any], Any]) -> Rule:
    """Make the rule for an operator over the last dimension. TensorFlow Lite has it for few dimensions before that."""

    def rule(op: RuleCall) -> GraphValue:
        value = op.settled(0)
        if len(value.tensor.shape) < 2:
            raise NoRule(f"it works over the only dimension of {value.shape}")
        shape = value.tensor.shape[1:]
        if len(shape) < _MOST_OVER_LAST:
            return value.now(make(op, value.tensor))
        rows = layers.Reshape((prod(shape[:-1]), shape[-1]), name=f"{op.name}.rows")(value.tensor)
        return value.now(layers.Reshape(shape, name=f"{op.name}.divided")(make(op, rows)))

    return rule


def _softmax(op: RuleCall, x: Any) -> Any:
    beta = float(op.option("beta", 1.0))
    return layers.Softmax(name=op.name)(x if beta == 1 else layers.Rescaling(beta, name=f"{op.name}.beta")(x))


def _reduction(function: Callable[..., Any], pool: Callable[..., Any] | None = None) -> Rule:
    """Make the rule for a reduction by a function of `keras.ops`, or over height and width by a layer."""

    def rule(op: RuleCall) -> GraphValue:
        value, keep = op.value(0), bool(op.option("keep_dims"))
        rank = len(value.order)
        axes = sorted({op.axis(a, rank) for a in op.numbers(1)})
        stored = sorted(value.keras_axis(a) for a in axes)
        stored = [a for a in stored if a > 0]  # one image has nothing to reduce over in the batch
        tensor, images = value.tensor, value.batched and len(value.tensor.shape) == 4
        if not stored:
            result = tensor
        elif images and stored == [1, 2] and pool is not None:
            result = pool(keepdims=keep, name=op.name)(tensor)
        else:
            result = op.named(function(tensor, axis=tuple(stored), keepdims=keep))
        if keep:
            return value.now(result)
        left = [value.order[a] for a in range(rank) if a not in axes]
        order = tuple(sorted(left).index(i) for i in left)
        return canonical(GraphValue(result, value.batched and 0 in left, order), f"{op.name}.batch")

    return rule


def _resize(interpolation: str) -> Rule:
    def rule(op: RuleCall) -> GraphValue:
        x, (height, width) = op.image(0), op.numbers(1)
        corners, centres = bool(op.option("align_corners")), bool(op.option("half_pixel_centers"))
        if centres and not corners:
            return as_value(layers.Resizing(height, width, interpolation, name=op.name)(x))
        if keras.backend.backend() != "tensorflow":
            raise NoRule("it resizes as TensorFlow 1 did, which needs KERAS_BACKEND=tensorflow")
        return as_value(CornerResizing(height, width, interpolation, corners, name=op.name)(x))

    return rule


IMAGE_RULES: dict[str, Rule] = {
    "AVERAGE_POOL_2D": _pool(layers.AveragePooling2D),
    "MAX_POOL_2D": _pool(layers.MaxPooling2D),
    "SOFTMAX": _over_last(_softmax),
    "LOG_SOFTMAX": _over_last(lambda op, x: op.named(ops.log_softmax(x))),
    "L2_NORMALIZATION": _over_last(lambda op, x: op.activated(layers.UnitNormalization(axis=-1, name=op.name)(x))),
    "MEAN": _reduction(ops.mean, layers.GlobalAveragePooling2D),
    "SUM": _reduction(ops.sum),
    "REDUCE_MAX": _reduction(ops.max, layers.GlobalMaxPooling2D),
    "REDUCE_MIN": _reduction(ops.min),
    "REDUCE_PROD": _reduction(ops.prod),
    "RESIZE_BILINEAR": _resize("bilinear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
}
