"""Rules for operators that compute. A rule returns what the outputs of an operator must be (see `operators`)."""

from __future__ import annotations

import numpy as np

from legodnn.runtime.tflite.model_file import FileTensor
from legodnn.runtime.tflite.operators import (
    COUNTS,
    FLOAT,
    NUMBERS,
    PLAIN,
    QUANTISED,
    OperatorCall,
    OperatorRule,
    Result,
    broadcast,
    window,
)


def same_shape(types: tuple[str, ...] = NUMBERS) -> OperatorRule:
    """Make the rule for an operator whose output has the shape and type of its one input."""

    def rule(op: OperatorCall) -> list[Result]:
        x = op.tensor(0, types)
        return [(x.shape, x.dtype)]

    return rule


def elementwise(types: tuple[str, ...], most: int = 4, result: str = "") -> OperatorRule:
    """Make the rule for an operator that broadcasts its inputs, which all have one type.

    Args:
        types: the types that inputs may have.
        most: how many dimensions may be broadcast (see `operators.broadcast`).
        result: the type of the output; "" for that of the inputs.
    """

    def rule(op: OperatorCall) -> list[Result]:
        xs = op.alike(types)
        return [(broadcast(op, [x.shape for x in xs], most), result or xs[0].dtype)]

    return rule


def quotient(types: tuple[str, ...], most: int = 4) -> OperatorRule:
    """Make the rule for a division; whole numbers are quotient by constants alone.

    A division by zero would end the process, and so would that of the least number by -1.
    """
    of_floats, of_counts = elementwise(types, most), elementwise(COUNTS, most)

    def rule(op: OperatorCall) -> list[Result]:
        by = op.tensor(1, (*types, *COUNTS))
        if by.dtype not in COUNTS:
            return of_floats(op)
        op.need(by.data is not None and not np.isin(by.values(), (0, -1)).any(), "it divides by what may be 0 or -1")
        return of_counts(op)

    return rule


def added(op: OperatorCall) -> list[Result]:
    """Check a sum. Kernels end the process unless the factor that they scale quantised sums by is less than 1."""
    (result,) = elementwise(PLAIN, 5)(op)
    if result[1] in QUANTISED:
        _less_than_one(op, 2 * _largest_scale(op) / op.output_scale() / 2**20)
    return [result]


def squared_difference(op: OperatorCall) -> list[Result]:
    """Check squared differences, whose factor must be less than 1 as well."""
    (result,) = elementwise(NUMBERS)(op)
    if result[1] in QUANTISED:
        _less_than_one(op, (2 * _largest_scale(op)) ** 2 / op.output_scale() / 2**14)
    return [result]


def comparison(op: OperatorCall) -> list[Result]:
    """Check comparisons, whose factor must be less than 1 as well."""
    (result,) = elementwise(PLAIN, 4, "bool")(op)
    if op.tensor(0, PLAIN).dtype in QUANTISED:
        _less_than_one(op, _largest_scale(op))
    return [result]


def _largest_scale(op: OperatorCall) -> float:
    return max(float(t.scales.max()) for t in op.inputs if t is not None)


def _less_than_one(op: OperatorCall, multiplier: float) -> None:
    op.need(multiplier < 1, f"its quantised inputs are multiplied by {multiplier:.3g}")


def over_last(op: OperatorCall) -> list[Result]:
    """Check an operator over the last dimension, such as softmax."""
    x = op.tensor(0, ranks=range(1, 5))
    return [(x.shape, x.dtype)]


def _check_bias(op: OperatorCall, i: int, x: FileTensor, channels: int) -> None:
    """Refuse the bias that is input `i`, if there is one, unless it has one value for each channel."""
    if i < len(op.inputs) and op.inputs[i] is not None:
        bias = op.tensor(i, ("float32",) if x.dtype == "float32" else ("int32",), (1,))
        op.need(bias.shape == (channels,), f"a bias of {bias.size} for {channels} channels")


def _weights(op: OperatorCall, i: int, x: FileTensor, rank: int, axis: int) -> FileTensor:
    """Return the weights that are input `i`, of the type of `x`. Quantised ones are constant, those of int8 symmetric.

    Weights of int8 may also be applied to float32, which is quantised for it while it runs (dynamic range).

    Args:
        op: the operator.
        i: the number of the input.
        x: the tensor that the weights are applied to.
        rank: how many dimensions they have.
        axis: the dimension of output channels, along which they may be quantised.
    """
    w = op.tensor(i, (x.dtype, *(("int8",) if x.dtype == "float32" else ())), (rank,))
    if w.dtype in QUANTISED:
        op.need(w.data is not None, "quantised weights are not constant")
        op.need(w.dtype == "uint8" or not w.zero_points.any(), "quantised weights have a zero point")
        op.need(len(w.scales) == 1 or w.axis == axis, f"weights are quantised along axis {w.axis}")
    return w


def conv(op: OperatorCall) -> list[Result]:
    """Check a convolution, which may be grouped: weights (out, height, width, in / groups)."""
    x = op.tensor(0, ranks=(4,))
    w = _weights(op, 1, x, 4, 0)
    out, high, wide, depth = w.shape
    op.need(x.shape[3] % depth == 0 and out % (x.shape[3] // depth) == 0, f"{x.shape[3]} channels, weights {w.shape}")
    _check_bias(op, 2, x, out)
    h = window(op, x.shape[1], high, op.option("stride_h"), op.option("dilation_h"))
    return [
        ((x.shape[0], h, window(op, x.shape[2], wide, op.option("stride_w"), op.option("dilation_w")), out), x.dtype)
    ]


def depthwise(op: OperatorCall) -> list[Result]:
    """Check a depthwise convolution: weights (1, height, width, in x multiplier)."""
    x = op.tensor(0, ranks=(4,))
    w = _weights(op, 1, x, 4, 3)
    one, high, wide, out = w.shape
    op.need(one == 1 and out == x.shape[3] * op.option("multiplier"), f"{x.shape[3]} channels, weights {w.shape}")
    _check_bias(op, 2, x, out)
    h = window(op, x.shape[1], high, op.option("stride_h"), op.option("dilation_h"))
    return [
        ((x.shape[0], h, window(op, x.shape[2], wide, op.option("stride_w"), op.option("dilation_w")), out), x.dtype)
    ]


def transposed_conv(op: OperatorCall) -> list[Result]:
    """Check a transposed convolution, whose output shape is an input: weights (out, height, width, in)."""
    shape = op.sizes(0)
    x = op.tensor(2, ranks=(4,))
    w = _weights(op, 1, x, 4, 0)
    out, high, wide, depth = w.shape
    op.need(len(shape) == 4 and shape[0] == x.shape[0] and shape[3] == out and depth == x.shape[3], f"shape {shape}")
    back = [window(op, d, f, op.option(s)) for d, f, s in zip(shape[1:3], (high, wide), _STRIDES, strict=True) if d > 0]
    op.need(tuple(back) == x.shape[1:3], f"shape {shape} from {x.shape}")
    _check_bias(op, 3, x, out)
    return [(tuple(shape), x.dtype)]


_STRIDES = ("stride_h", "stride_w")


def conv_3d(op: OperatorCall) -> list[Result]:
    """Check a convolution in three dimensions, in floating point: weights (depth, height, width, in, out)."""
    x, w = op.tensor(0, FLOAT, (5,)), op.tensor(1, FLOAT, (5,))
    op.need(w.shape[3] == x.shape[4], f"{x.shape[4]} channels, weights {w.shape}")
    _check_bias(op, 2, x, w.shape[4])
    places = (
        window(op, x.shape[i + 1], w.shape[i], op.option(f"stride_{d}"), op.option(f"dilation_{d}"))
        for i, d in enumerate("dhw")
    )
    return [((x.shape[0], *places, w.shape[4]), x.dtype)]


def transposed_conv_3d(op: OperatorCall) -> list[Result]:
    """Check a transposed convolution in three dimensions: weights (depth, height, width, out, in)."""
    shape, w, x = op.sizes(0), op.tensor(1, FLOAT, (5,)), op.tensor(2, FLOAT, (5,))
    op.need(len(shape) == 5 and min(shape) > 0, f"shape {shape}")
    op.need((shape[0], shape[4], w.shape[4]) == (x.shape[0], w.shape[3], x.shape[4]), f"shape {shape}")
    back = [
        window(op, shape[i + 1], w.shape[i], op.option(f"stride_{d}"), op.option(f"dilation_{d}"))
        for i, d in enumerate("dhw")
    ]
    op.need(tuple(back) == x.shape[1:4], f"shape {shape} from {x.shape}")
    _check_bias(op, 3, x, w.shape[3])
    return [(tuple(shape), x.dtype)]


def fully_connected(op: OperatorCall) -> list[Result]:
    """Check a dense layer: weights (out, in)."""
    x = op.tensor(0, ranks=range(1, 7))
    w = _weights(op, 1, x, 2, 0)
    out, depth = w.shape
    op.need(op.option("format") == 0, "its weights are in a format of their own")
    op.need(x.size % depth == 0, f"{x.shape} by weights {w.shape}")
    _check_bias(op, 2, x, out)
    if not op.option("keep_dims"):
        return [((x.size // depth, out), x.dtype)]
    op.need(x.shape[-1] == depth, f"{x.shape} by weights {w.shape}")
    return [((*x.shape[:-1], out), x.dtype)]


def matmul(op: OperatorCall) -> list[Result]:
    """Check a product of matrices, each of which may be transposed."""
    x, y = op.alike()
    op.need(2 <= len(x.shape) == len(y.shape) <= 5, f"{x.shape} by {y.shape}")
    rows, depth = x.shape[-2:][:: -1 if op.option("adjoint_x") else 1]
    inner, columns = y.shape[-2:][:: -1 if op.option("adjoint_y") else 1]
    op.need(depth == inner, f"{x.shape} by {y.shape}")
    return [((*broadcast(op, [x.shape[:-2], y.shape[:-2]], 3), rows, columns), x.dtype)]


def pool(op: OperatorCall) -> list[Result]:
    """Check average or maximum pooling."""
    x = op.tensor(0, ranks=(4,))
    places = (
        window(op, x.shape[i + 1], op.option(f"filter_{d}"), op.option(f"stride_{d}")) for i, d in enumerate("hw")
    )
    return [((x.shape[0], *places, x.shape[3]), x.dtype)]


def resize(op: OperatorCall) -> list[Result]:
    """Check resizing, bilinear or to the nearest neighbour."""
    x, size = op.tensor(0, ranks=(4,)), op.sizes(1)
    op.need(len(size) == 2 and min(size) > 0, f"size {size}")
    op.need(
        not (op.option("align_corners") and op.option("half_pixel_centers")), "it aligns corners and pixels' centres"
    )
    return [((x.shape[0], *size, x.shape[3]), x.dtype)]


def reduce(types: tuple[str, ...]) -> OperatorRule:
    """Make the rule for a reduction, such as a mean, over constant axes."""

    def rule(op: OperatorCall) -> list[Result]:
        x, given = op.tensor(0, types, range(1, 6)), op.tensor(1, ("int32",), (0, 1))
        op.need(given.data is not None, "its axes are not constant")
        axes = [op.axis(int(a), len(x.shape)) for a in given.values().ravel()]
        op.need(len(set(axes)) == len(axes), f"axes {axes}")
        if op.option("keep_dims"):
            return [(tuple(1 if i in axes else d for i, d in enumerate(x.shape)), x.dtype)]
        return [(tuple(d for i, d in enumerate(x.shape) if i not in axes), x.dtype)]

    return rule


def cumulative(op: OperatorCall) -> list[Result]:
    """Check a cumulative sum."""
    x = op.tensor(0, FLOAT, range(1, 7))
    op.axis(op.scalar(1), len(x.shape))
    return [(x.shape, x.dtype)]


def prelu(op: OperatorCall) -> list[Result]:
    """Check a PReLU, whose slopes are broadcast."""
    x, alpha = op.alike()
    op.need(broadcast(op, [x.shape, alpha.shape], 4) == x.shape, f"{alpha.shape} for {x.shape}")
    return [(x.shape, x.dtype)]


def cast(op: OperatorCall) -> list[Result]:
    """Check a conversion from one type to another; uint8 is that of pixels."""
    x = op.tensor(0, ("float32", "uint8", *COUNTS, "bool"), plain=True)
    kinds = {0: "float32", 2: "int32", 4: "int64", 6: "bool"}
    if op.operator.options is None:  # then the type is the output's own, which must be one of these
        return [(x.shape, "float32|int32|int64|bool")]
    op.need(op.option("to_type") in kinds, f"to type {op.option('to_type')}")
    return [(x.shape, kinds[op.option("to_type")])]


def quantise(op: OperatorCall) -> list[Result]:
    """Check a quantisation to int8 or uint8, or from one of them to one of another scale."""
    return [(op.tensor(0).shape, "|".join(QUANTISED))]


def dequantise(op: OperatorCall) -> list[Result]:
    """Check a dequantisation from int8, uint8 or float16 to float32."""
    return [(op.tensor(0, (*QUANTISED, "float16")).shape, "float32")]
