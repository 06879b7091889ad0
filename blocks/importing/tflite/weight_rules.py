"""Rules for operators with weights: convolutions and dense layers; and products of matrices."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from string import ascii_lowercase
from typing import Any

import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from legodnn.blocks.importing.file_layers import ConstantOperand, with_constant
from legodnn.blocks.importing.tflite.call import LAYER_ACTIVATIONS, NoRule, Rule, RuleCall, activation_layer
from legodnn.blocks.importing.tflite.values import (
    GraphValue,
    aligned,
    as_value,
    canonical,
    flattened_turned,
    led_by_batch,
    not_led,
    reshaped_value,
    settled,
    transposed_value,
    unbatched,
)

_MOST_SPREAD = 1 << 12  # of a dilated kernel along an axis
_ZEROS = {"kernel_initializer": "zeros"}  # weights are set once the layer is built


def _weighted(op: RuleCall, make: partial[Any], kernel: NDArray[Any], bias_at: int, tensor: Any) -> GraphValue:
    """Return the output of a layer with a kernel, perhaps a bias, and a fused activation.

    Args:
        op: the operator.
        make: makes the layer, whose weights are set here, of the arguments that all such layers have.
        kernel: laid out as the layer has it.
        bias_at: the number of the input that is the bias.
        tensor: what the layer is called on.
    """
    number = op.option("activation")
    fused = LAYER_ACTIVATIONS.get(number)
    weights = [kernel, op.constant(bias_at).ravel()] if op.has(bias_at) else [kernel]
    layer = op.layer_of(
        # Padding may depend on the size of the image, so operators that share weights need not share the layer.
        (op.key, repr(make.keywords)),
        lambda: make(use_bias=len(weights) == 2, bias_initializer="zeros", activation=fused, name=op.name),
    )
    new = not layer.built
    result = layer(tensor)
    if new:
        shapes = [tuple(w.shape) for w in weights]
        if shapes != [tuple(v.shape) for v in layer.weights]:
            raise NoRule(f"its weights have shapes {shapes} instead of {[tuple(v.shape) for v in layer.weights]}")
        layer.set_weights(weights)
    if number not in LAYER_ACTIVATIONS:
        result = activation_layer(number, result, f"{op.name}.activation")
    return as_value(result)


def padding_of(op: RuleCall) -> str:
    """Return the padding of an operator with a window, as layers call it."""
    if op.option("padding") not in (0, 1):
        raise NoRule(f"its padding is number {op.option('padding')}")
    return ("same", "valid")[op.option("padding")]


def strides_of(op: RuleCall) -> tuple[int, int]:
    """Return the strides of an operator with a window, down and to the right."""
    found = op.option("stride_h"), op.option("stride_w")
    if min(found) < 1:
        raise NoRule(f"its strides are {found}")
    return found


def _spread(kernel: NDArray[Any], dilations: tuple[int, int]) -> NDArray[Any]:
    """Return a kernel (height, width, ...) with the zeros between its values that a dilation stands for."""
    sizes = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilations, strict=False)]
    if max(sizes) > _MOST_SPREAD:
        raise NoRule(f"its kernel is spread over {sizes}")
    spread = np.zeros((*sizes, *kernel.shape[2:]), kernel.dtype)
    spread[:: dilations[0], :: dilations[1]] = kernel
    return spread


def _dilated(op: RuleCall, kernel: NDArray[Any], plain: bool) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return a kernel (height, width, ...), and the dilations that are left to the layer.

    Args:
        op: the operator.
        kernel: the kernel without its zeros.
        plain: whether the layer can dilate; no layer can where its strides are not 1.
    """
    dilations = op.option("dilation_h", 1), op.option("dilation_w", 1)
    if min(dilations) < 1:
        raise NoRule(f"its dilations are {dilations}")
    if dilations == (1, 1) or (plain and strides_of(op) == (1, 1)):
        return kernel, dilations
    return _spread(kernel, dilations), (1, 1)


def _rank_4(op: RuleCall) -> NDArray[Any]:
    found = op.constant(1)
    if found.ndim != 4 or not found.size or found.dtype != np.float32:
        raise NoRule(f"its weights are {found.dtype} of shape {found.shape}")
    return found


def _convolution(op: RuleCall) -> GraphValue:
    x, kernel = op.image(0), _rank_4(op).transpose(1, 2, 3, 0)
    kernel, dilations = _dilated(op, kernel, plain=True)
    groups = x.shape[3] // kernel.shape[2]
    arguments = {"strides": strides_of(op), "padding": padding_of(op), "dilation_rate": dilations}
    make = partial(layers.Conv2D, kernel.shape[3], kernel.shape[:2], groups=max(groups, 1), **arguments, **_ZEROS)
    return _weighted(op, make, kernel, 2, x)


def _scaled(op: RuleCall, x: Any, factors: NDArray[Any]) -> GraphValue:
    """Return the output of a depthwise convolution of 1x1: a factor and a bias for each channel, as of a norm."""
    terms = [("multiply", factors), *([("add", op.constant(2))] if op.has(2) else [])]
    for i, (operation, numbers) in enumerate(terms, start=1):
        name = op.name if i == len(terms) else f"{op.name}.scale"
        x = with_constant(x, ConstantOperand(operation, (False, False, True), name=name), numbers.reshape(1, 1, -1))
    return as_value(op.activated(x))


def _depthwise_convolution(op: RuleCall) -> GraphValue:
    x, weights = op.image(0), _rank_4(op)
    if weights.shape[0] != 1 or weights.shape[3] % x.shape[3]:
        raise NoRule(f"its weights have shape {weights.shape} for {x.shape[3]} channels")
    channels, strides = int(x.shape[3]), strides_of(op)
    if weights.shape == (1, 1, 1, channels) and strides == (1, 1) and channels > 1:
        return _scaled(op, x, weights)
    kernel = weights.reshape(*weights.shape[1:3], channels, -1)
    alike = strides[0] == strides[1] and op.option("dilation_h", 1) == op.option("dilation_w", 1)
    kernel, dilations = _dilated(op, kernel, plain=alike)
    arguments = {"strides": strides, "padding": padding_of(op), "dilation_rate": dilations}
    size, multiplier = kernel.shape[:2], kernel.shape[3]
    if channels == 1 or strides[0] != strides[1]:  # of one channel it is an ordinary convolution, which can be pruned
        kernel = kernel.reshape(*size, 1, channels * multiplier)
        make = partial(layers.Conv2D, channels * multiplier, size, groups=channels, **arguments, **_ZEROS)
    else:
        arguments |= {"depth_multiplier": multiplier, "depthwise_initializer": "zeros"}
        make = partial(layers.DepthwiseConv2D, size, **arguments)
    return _weighted(op, make, kernel, 2, x)


def _transposed_convolution(op: RuleCall) -> GraphValue:
    x, kernel = op.image(2), _rank_4(op).transpose(1, 2, 0, 3)
    wanted, strides, padding = op.numbers(0)[1:3], strides_of(op), padding_of(op)
    added = []
    for size, filters, stride, length in zip(wanted, kernel.shape, strides, x.shape[1:3], strict=False):
        least = (length - 1) * stride + (filters if padding == "valid" else filters % 2)
        usual = length * stride + (max(filters - stride, 0) if padding == "valid" else 0)
        added.append((size - least, size == usual))
    if not all(usual for _, usual in added) and not all(
        0 <= more < stride for (more, _), stride in zip(added, strides, strict=True)
    ):
        raise NoRule(f"its output of {wanted} is not what strides {strides} give")
    output_padding = None if all(usual for _, usual in added) else tuple(more for more, _ in added)
    arguments = {"strides": strides, "padding": padding, "output_padding": output_padding}
    make = partial(layers.Conv2DTranspose, kernel.shape[2], kernel.shape[:2], **arguments, **_ZEROS)
    return _weighted(op, make, kernel, 3, x)


def _fully_connected(op: RuleCall) -> GraphValue:
    value = op.settled(0)
    if not isinstance(op.inputs[1], np.ndarray):
        return as_value(op.activated(_matmul(op, value, op.value(1), False, True).tensor), value.batched)
    kernel = op.constant(1)
    if kernel.ndim != 2 or not kernel.size or kernel.dtype != np.float32 or op.option("format"):
        raise NoRule(f"its weights are {kernel.dtype} of shape {kernel.shape}, or in a format of their own")
    elements = int(np.prod(value.shape))
    if value.shape[-1:] != kernel.shape[1:] if op.option("keep_dims") else elements % kernel.shape[1]:
        raise NoRule(f"its weights have shape {kernel.shape} for an input of {value.shape}")
    if not op.option("keep_dims"):
        value = reshaped_value(value, (elements // kernel.shape[1], kernel.shape[1]), f"{op.name}.rows")
    if (turned := flattened_turned(value.tensor)) is not None:
        image, places = turned  # the weights are turned instead
        value = reshaped_value(as_value(image), value.shape, f"{op.name}.rows")
        kernel, op = kernel[:, np.argsort(places)], replace(op, key=(op.key, places.tobytes()))
    make = partial(layers.Dense, kernel.shape[0], **_ZEROS)
    return as_value(_weighted(op, make, kernel.T, 2, value.tensor).tensor, value.batched)


def _matmul(op: RuleCall, a: GraphValue, b: GraphValue, turn_a: bool, turn_b: bool) -> GraphValue:
    if min(len(a.order), len(b.order)) < 2:
        raise NoRule(f"matrices of shapes {a.shape} and {b.shape}")
    a, b = (_turned(v) if turn else v for v, turn in ((a, turn_a), (b, turn_b)))
    if (a.waits or b.waits) and (product := _product_where_stored(op, a, b)) is not None:
        return product
    a, b = aligned(settled(a, f"{op.name}.turned"), settled(b, f"{op.name}.turned1"), op.name)
    if a.batched and len(a.order) < 3:  # the batch would be a dimension of the matrix
        a, b = unbatched(a, f"{op.name}.x"), unbatched(b, f"{op.name}.y")
    return canonical(as_value(op.named(ops.matmul(a.tensor, b.tensor)), a.batched), f"{op.name}.batch")


def _product_where_stored(op: RuleCall, a: GraphValue, b: GraphValue) -> GraphValue | None:
    """Return a product of matrices whose dimensions stay where they are stored, so that channels stay on the last axis.

    None if the two differ in a dimension that is not the matrices' own, or have the batch elsewhere than in front.
    """
    batched = a.batched
    if a.batched != b.batched or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        return None
    if batched and (len(a.order) < 3 or a.order[0] or b.order[0]):
        return None
    a, b = led_by_batch(a), led_by_batch(b)
    outer = ascii_lowercase[: len(a.order) - 2]
    of_a, of_b = ("".join(axes[i] for i in np.argsort(v.order)) for v, axes in ((a, f"{outer}xy"), (b, f"{outer}yz")))
    written = stored = f"{outer}xz"
    # Channels of one factor alone go last, and heads before them, beside which they are put next.
    front, heads = outer[: max(1, len(outer) - 1)], outer[1:][-1:]
    if of_a[-1] == "x" and of_b[-1] != "z":
        stored = f"{front}z{heads}x"
    elif of_b[-1] == "z" and of_a[-1] != "x":
        stored = f"{front}x{heads}z"
    product = op.named(ops.einsum(f"{of_a},{of_b}->{stored}", a.tensor, b.tensor))
    found = GraphValue(product, True, tuple(stored.index(axis) for axis in written))
    return found if batched else not_led(found)


def _turned(value: GraphValue) -> GraphValue:
    """Return the transpose of matrices; the transposition waits."""
    *outer, row, column = range(len(value.order))
    return transposed_value(value, (*outer, column, row))


def _batch_matmul(op: RuleCall) -> GraphValue:
    return _matmul(op, op.value(0), op.value(1), bool(op.option("adjoint_x")), bool(op.option("adjoint_y")))


WEIGHT_RULES: dict[str, Rule] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise_convolution,
    "TRANSPOSE_CONV": _transposed_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
}
