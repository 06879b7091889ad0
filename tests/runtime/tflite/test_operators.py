# ruff: noqa: E501 (tables of files)
"""Operators are refused for whatever TensorFlow Lite would have to trust, and only for that.

Covers also: runtime.tflite.choice_operators, runtime.tflite.compute_operators, runtime.tflite.layout_operators,
runtime.tflite.operator_kinds.
"""

from __future__ import annotations

import numpy as np
import pytest

from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.tflite import model_file
from legodnn.runtime.tflite.check import check_graph
from legodnn.runtime.tflite.model_file import Refused, parse_model_file
from legodnn.runtime.tflite.operator_kinds import KINDS
from tests.runtime.tflite.tflite_files import T, one, options, several, whole

INFINITY, NAN = float("inf"), float("nan")


def test_the_options_of_every_kind_can_be_read() -> None:
    assert {kind.options for kind in KINDS.values()} <= {0, *model_file._OPTIONS}


CONV = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "padding": 0}
POOL = {"strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2, "padding": 1}
CONV_3D = {f"{what}{d}{end}": 1 for what, end in (("stride", ""), ("dilation", "Factor")) for d in "DHW"}
IMAGE = T((1, 4, 4, 2))


def f(*shape: int) -> T:
    """Constant numbers."""
    return T(shape, 0, np.ones(shape, np.float32))


def q(*shape: int, scales: tuple[float, ...] = (1.0,), zero: int = 0, data: bool = False) -> T:
    return T(shape, 9, np.ones(shape, np.int8) if data else None, scales, zero)


RIGHT: dict[str, bytes] = {
    "groups": one("CONV_2D", [T((1, 4, 4, 4)), f(6, 3, 3, 2), None], [T((1, 4, 4, 6))], options("Conv2DOptions", **CONV)),
    "int8": one(
        "CONV_2D",
        [q(1, 4, 4, 2), q(3, 1, 1, 2, scales=(1.0, 2.0, 3.0), data=True), T((3,), 2, np.ones(3, np.int32), (1, 2, 3))],
        [q(1, 4, 4, 3, zero=-128)],
        options("Conv2DOptions", **CONV),
    ),
    "uint8": one(
        "CONV_2D",
        [T((1, 4, 4, 2), 3, None, (1.0,), 9), T((3, 1, 1, 2), 3, np.ones((3, 1, 1, 2), np.uint8), (1.0,), 7), None],
        [T((1, 4, 4, 3), 3, None, (1.0,), 255)],
        options("Conv2DOptions", **CONV),
    ),
    "dynamic range": one("CONV_2D", [IMAGE, q(3, 1, 1, 2, scales=(1.0, 2.0, 3.0), data=True), None], [T((1, 4, 4, 3))], options("Conv2DOptions", **CONV)),
    "pixels that become numbers": one("CAST", [T((1, 4, 4, 3), 3)], [T((1, 4, 4, 3))], options("CastOptions", inDataType=3, outDataType=0)),
    "from uint8 to int8": one("QUANTIZE", [T((4,), 3, None, (1.0,), 128)], [q(4)]),
    "reshape": one("RESHAPE", [IMAGE, whole(2, -1)], [T((2, 16))]),
    "reshape by options": one("RESHAPE", [IMAGE], [T((2, 16))], options("ReshapeOptions", newShape=[2, -1])),
    "mean": one("MEAN", [IMAGE, whole(-2, 1)], [T((1, 2))], options("ReducerOptions", keepDims=False)),
    "slice": one("STRIDED_SLICE", [IMAGE, whole(0, 3, 0, 0), whole(1, -9, 4, 2), whole(1, -2, 3, 1)], [T((1, 2, 2, 2))], options("StridedSliceOptions")),
    "gather": one("GATHER", [IMAGE, whole(3, 0)], [T((1, 2, 4, 2))], options("GatherOptions", axis=1)),
    "gather by vectors": one("GATHER_ND", [IMAGE, T((2, 2), 2, np.array([[0, 3], [0, 0]], np.int32))], [T((2, 4, 2))]),
    "gather by what is computed": one("GATHER_ND", [IMAGE, T((5, 4), 4)], [T((5,))]),
    "one-hot vectors": one("ONE_HOT", [T((2, 3), 2), T((), 2, np.array(5, np.int32)), f(), f()], [T((2, 3, 5))], options("OneHotOptions", axis=-1)),
    "one-hot vectors along the first axis": one("ONE_HOT", [T((2, 3), 2), T((), 2, np.array(5, np.int32)), f(), f()], [T((5, 2, 3))], options("OneHotOptions")),
    "fill": one("FILL", [whole(2, 3), T((), 0)], [T((2, 3))], options("FillOptions")),
    "gather by vectors, with options": one("GATHER_ND", [IMAGE, T((2, 2), 2, np.array([[0, 3], [0, 0]], np.int32))], [T((2, 4, 2))], options("GatherNdOptions")),
    "whole numbers divided by a constant": one("FLOOR_DIV", [T((2,), 2), whole(3, 4)], [T((2,), 2)], options("FloorDivOptions")),
    "broadcast": one("ADD", [IMAGE, f(4, 1)], [IMAGE], options("AddOptions")),
    "five dimensions": one("MUL", [T((1, 2, 2, 2, 2)), T((1, 2, 2, 2, 1))], [T((1, 2, 2, 2, 2))], options("MulOptions")),
    "matmul of many, the first transposed": one("BATCH_MATMUL", [T((1, 2, 4)), T((5, 2, 3))], [T((5, 4, 3))], options("BatchMatMulOptions", adjX=True)),
    "pool": one("MAX_POOL_2D", [T((1, 6, 4, 2))], [T((1, 2, 3, 2))], options("Pool2DOptions", filterHeight=3, filterWidth=2, strideH=3, strideW=1, padding=1)),
    "strides of two sizes": one("CONV_2D", [T((1, 5, 4, 2)), f(3, 3, 3, 2), None], [T((1, 3, 4, 3))], options("Conv2DOptions", **CONV | {"strideH": 2})),
    "scales along the last axis": one(
        "DEPTHWISE_CONV_2D",
        [q(1, 4, 4, 2), T((1, 1, 1, 2), 9, np.ones((1, 1, 1, 2), np.int8), (1.0, 2.0), axis=3), None],
        [q(1, 4, 4, 2)],
        options("DepthwiseConv2DOptions", **CONV, depthMultiplier=1),
    ),
    "parts of which one is the rest": one("SPLIT_V", [T((1, 4, 4, 5)), whole(1, -1), T((), 2, np.array(3, np.int32))], [T((1, 4, 4, 1)), T((1, 4, 4, 4))], options("SplitVOptions", numSplits=2)),
    "the rest of a slice": one("SLICE", [IMAGE, whole(0, 1, 0, 0), whole(1, -1, 4, 2)], [T((1, 3, 4, 2))]),
    "a mirror with its border": one("MIRROR_PAD", [IMAGE, T((4, 2), 2, np.array([[0, 0], [4, 0], [0, 0], [0, 0]], np.int32))], [T((1, 8, 4, 2))], options("MirrorPadOptions", mode=1)),
    "sums that are multiplied by less than 1": one("ADD", [q(2), q(2)], [q(2, scales=(2e-6,))], options("AddOptions")),
    "matmul": one("BATCH_MATMUL", [T((1, 4, 2)), T((1, 3, 2))], [T((1, 4, 3))], options("BatchMatMulOptions", adjY=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_the_converter_makes_passes(name: str) -> None:
    check_graph(parse_model_file(RIGHT[name]))


REFUSED: dict[str, tuple[bytes, str]] = {
    "weights of a depth that does not divide": (one("CONV_2D", [IMAGE, f(3, 1, 1, 3), None], [T((1, 4, 4, 3))], options("Conv2DOptions", **CONV)), "2 channels, weights"),
    "groups that do not divide the outputs": (one("CONV_2D", [T((1, 4, 4, 4)), f(3, 1, 1, 2), None], [T((1, 4, 4, 3))], options("Conv2DOptions", **CONV)), "4 channels, weights"),
    "a bias too short": (one("CONV_2D", [IMAGE, f(3, 1, 1, 2), f(2)], [T((1, 4, 4, 3))], options("Conv2DOptions", **CONV)), "a bias of 2 for 3"),
    "a window larger than the image": (one("CONV_2D", [IMAGE, f(3, 5, 5, 2), None], [T((1, 4, 4, 3))], options("Conv2DOptions", **CONV | {"padding": 1})), "a window of 5 in 4"),
    "a multiplier that is another": (one("DEPTHWISE_CONV_2D", [IMAGE, f(1, 3, 3, 4), None], [T((1, 4, 4, 4))], options("DepthwiseConv2DOptions", **CONV, depthMultiplier=1)), "2 channels, weights"),
    "a pool without a filter": (one("MAX_POOL_2D", [IMAGE], [T((1, 3, 3, 2))], options("Pool2DOptions", **POOL | {"filterWidth": 0})), "filter_w is 0"),
    "a dense layer that does not divide": (one("FULLY_CONNECTED", [IMAGE, f(3, 5), None], [T((6, 3))], options("FullyConnectedOptions")), r"by weights \(3, 5\)"),
    "shuffled weights": (one("FULLY_CONNECTED", [IMAGE, f(3, 32), None], [T((1, 3))], options("FullyConnectedOptions", weightsFormat=1)), "a format of their own"),
    "a transposed convolution to another size": (one("TRANSPOSE_CONV", [whole(1, 99, 8, 3), f(3, 3, 3, 2), IMAGE], [T((1, 99, 8, 3))], options("TransposeConvOptions", strideW=2, strideH=2)), "shape"),
    "a transposed convolution below 0": (one("TRANSPOSE_CONV", [whole(1, -8, 8, 3), f(3, 3, 3, 2), IMAGE], [T((1, 8, 8, 3))], options("TransposeConvOptions", strideW=2, strideH=2)), "shape"),
    "more elements than there are": (one("RESHAPE", [IMAGE, whole(2, 17)], [T((2, 17))]), "to"),
    "dimensions that multiply to the same past 32 bits": (one("RESHAPE", [IMAGE, whole(65536, 65536, 32)], [IMAGE]), "to"),
    "a shape that is computed": (one("RESHAPE", [IMAGE, T((2,), 2)], [T((2, 16))]), "not constant"),
    "an axis beyond": (one("MEAN", [IMAGE, whole(4)], [T((1, 4, 4))], options("ReducerOptions")), "axis 4 of 4"),
    "an axis twice": (one("SUM", [IMAGE, whole(1, -3)], [T((1, 4, 2))], options("ReducerOptions")), "axes"),
    "an order with an axis twice": (one("TRANSPOSE", [IMAGE, whole(0, 1, 1, 3)], [IMAGE]), "order"),
    "an order beyond": (one("TRANSPOSE", [IMAGE, whole(0, 1, 2, 9)], [IMAGE]), "axis 9"),
    "a padding below 0": (one("PAD", [IMAGE, T((4, 2), 2, np.array([[0, 0], [-1, 0], [0, 0], [0, 0]], np.int32))], [T((1, 3, 4, 2))]), "its paddings"),
    "paddings of fewer dimensions": (one("PAD", [IMAGE, T((3, 2), 2, np.ones((3, 2), np.int32))], [IMAGE]), "its paddings"),
    "a mirror wider than the image": (one("MIRROR_PAD", [IMAGE, T((4, 2), 2, np.array([[0, 0], [4, 0], [0, 0], [0, 0]], np.int32))], [T((1, 8, 4, 2))], options("MirrorPadOptions")), "4 mirrored"),
    "an index beyond": (one("GATHER", [IMAGE, whole(4)], [T((1, 1, 4, 2))], options("GatherOptions", axis=1)), "indices outside 4"),
    "an index below": (one("GATHER", [IMAGE, whole(-1)], [T((1, 1, 4, 2))], options("GatherOptions", axis=1)), "indices outside 4"),
    "a slice beyond": (one("SLICE", [IMAGE, whole(0, 3, 0, 0), whole(1, 2, 4, 2)], [T((1, 2, 4, 2))]), "from"),
    "a slice from below": (one("SLICE", [IMAGE, whole(0, -1, 0, 0), whole(1, 2, 4, 2)], [T((1, 2, 4, 2))]), "from"),
    "steps of 0": (one("STRIDED_SLICE", [IMAGE, whole(0, 0, 0, 0), whole(1, 4, 4, 2), whole(1, 0, 1, 1)], [IMAGE], options("StridedSliceOptions")), "stride 0"),
    "steps of fewer dimensions": (one("STRIDED_SLICE", [IMAGE, whole(0, 0), whole(1, 4), whole(1, 1)], [IMAGE], options("StridedSliceOptions")), "2 numbers for"),
    "an index that is left out beyond": (one("STRIDED_SLICE", [IMAGE, whole(0, 9, 0, 0), whole(1, 10, 4, 2), whole(1, 1, 1, 1)], [T((1, 4, 2))], options("StridedSliceOptions", shrinkAxisMask=2)), "index 9 of 4"),
    "parts that are too many": (one("SPLIT", [T((), 2, np.array(3, np.int32)), IMAGE], [T((1, 4, 4, 2))] * 3, options("SplitOptions", numSplits=3)), "2 in 3 parts"),
    "parts without outputs": (one("SPLIT", [T((), 2, np.array(3, np.int32)), IMAGE], [T((1, 4, 4, 1))], options("SplitOptions", numSplits=2)), "1 outputs instead of 2"),
    "parts of other sizes": (one("SPLIT_V", [IMAGE, whole(1, 2), T((), 2, np.array(3, np.int32))], [T((1, 4, 4, 1))] * 2, options("SplitVOptions", numSplits=2)), "2 in parts"),
    "a size of 0": (one("RESIZE_BILINEAR", [IMAGE, whole(0, 4)], [IMAGE], options("ResizeBilinearOptions"), 3), "size"),
    "blocks that do not divide": (one("SPACE_TO_DEPTH", [IMAGE], [IMAGE], options("SpaceToDepthOptions", blockSize=3)), "blocks of 3"),
    "a block of 0": (one("DEPTH_TO_SPACE", [IMAGE], [IMAGE], options("DepthToSpaceOptions", blockSize=0)), "block is 0"),
    "blocks of 0 in a batch": (one("SPACE_TO_BATCH_ND", [IMAGE, whole(0, 2), T((2, 2), 2, np.zeros((2, 2), np.int32))], [IMAGE]), "blocks"),
    "an axis to join along": (one("CONCATENATION", [IMAGE, IMAGE], [IMAGE], options("ConcatenationOptions", axis=4)), "axis 4 of 4"),
    "things that do not fit beside one another": (one("CONCATENATION", [IMAGE, T((1, 3, 4, 2))], [IMAGE], options("ConcatenationOptions", axis=3)), "beside"),
    "shapes that do not go together": (one("ADD", [IMAGE, f(3)], [IMAGE], options("AddOptions")), "do not go together"),
    "types that do not go together": (one("ADD", [IMAGE, whole(1, 2)], [IMAGE], options("AddOptions")), "different types"),
    "a comparison in five dimensions": (one("GREATER", [T((1, 2, 2, 2, 2)), f(2)], [T((1, 2, 2, 2, 2), 6)]), "5 dimensions are broadcast"),
    "whole numbers that are divided": (one("DIV", [T((2,), 2), whole(0, 0)], [T((2,), 2)], options("DivOptions")), "may be 0 or -1"),
    "whole numbers divided by -1": (one("FLOOR_MOD", [T((2,), 2), whole(1, -1)], [T((2,), 2)], options("FloorModOptions")), "may be 0 or -1"),
    "whole numbers divided by what is computed": (one("FLOOR_DIV", [T((2,), 2), T((2,), 2)], [T((2,), 2)], options("FloorDivOptions")), "may be 0 or -1"),
    "vectors of indices beyond": (one("GATHER_ND", [IMAGE, whole(0, 4)], [T((4, 2))]), r"indices outside \(1, 4\)"),
    "vectors of indices below": (one("GATHER_ND", [IMAGE, whole(0, -1)], [T((4, 2))]), r"indices outside \(1, 4\)"),
    "vectors of too many indices": (one("GATHER_ND", [IMAGE, whole(0, 0, 0, 0, 0)], [T((2,))]), "5 indices into 4"),
    "a product of other matrices": (one("BATCH_MATMUL", [T((1, 4, 2)), T((1, 3, 2))], [T((1, 4, 3))], options("BatchMatMulOptions")), "by"),
    "more than there are of the largest": (one("TOPK_V2", [IMAGE, T((), 2, np.array(3, np.int32))], [T((1, 4, 4, 3)), T((1, 4, 4, 3), 2)]), "3 of 2"),
    "an axis of the largest": (one("ARG_MAX", [IMAGE, T((), 2, np.array(7, np.int32))], [T((1, 4, 4), 4)], options("ArgMaxOptions", outputType=4)), "axis 7"),
    "a length of vectors without end": (one("ONE_HOT", [T((2,), 2), T((), 2, np.array(2**30, np.int32)), f(), f()], [T((2, 2**30))], options("OneHotOptions", axis=-1)), "too large|depth"),
    "times without end": (one("TILE", [IMAGE, whole(1, 2**30, 1, 1)], [T((1, 2**30, 4, 2))]), "too large|makes"),
    "numbers that are computed in float16": (one("RELU", [T((2,), 1)], [T((2,), 1)]), "is computed in float16"),
    "tensors that take too much together": (several([T((1 << 28,))] * 18, [("RELU", [i], [i + 1], None, 1) for i in range(17)], [0], [17]), "what it computes takes 18253611008 bytes"),
    "conditions with a scale": (one("LOGICAL_NOT", [T((2,), 6, None, (1.0,))], [T((2,), 6)]), "of bool has 1 scales"),
    "a zero point below": (one("RELU", [q(2, zero=-129)], [q(2)]), "zero point outside"),
    "weights that are quantised along another axis": (one("CONV_2D", [q(1, 4, 4, 2), T((3, 1, 1, 2), 9, np.ones((3, 1, 1, 2), np.int8), (1.0, 2.0), axis=3), None], [q(1, 4, 4, 3)], options("Conv2DOptions", **CONV)), "quantised along axis 3"),
    "indices by batch": (one("GATHER", [IMAGE, whole(0)], [T((1, 1, 4, 2))], options("GatherOptions", axis=1, batchDims=1)), "by batch"),
    "none of the largest": (one("TOPK_V2", [IMAGE, T((), 2, np.array(0, np.int32))], [IMAGE, IMAGE]), "0 of 2"),
    "boundaries that fall": (one("BUCKETIZE", [T((2,))], [T((2,), 2)], options("BucketizeOptions", boundaries=[1.0, 3.0, 2.0])), "its boundaries"),
    "an axis of vectors before the last but one": (one("ONE_HOT", [T((2,), 2), T((), 2, np.array(3, np.int32)), f(), f()], [T((3, 2))], options("OneHotOptions", axis=-2)), "axis -2"),
    "a choice between two types": (one("SELECT_V2", [T((2,), 6), T((2,)), T((2,), 2)], [T((2,))]), "different types"),
    "a transposed convolution of more images": (one("TRANSPOSE_CONV", [whole(2, 8, 8, 3), f(3, 3, 3, 2), IMAGE], [T((2, 8, 8, 3))], options("TransposeConvOptions", strideW=2, strideH=2)), "shape"),
    "a transposed convolution of other channels": (one("TRANSPOSE_CONV", [whole(1, 8, 8, 3), f(3, 3, 3, 5), IMAGE], [T((1, 8, 8, 3))], options("TransposeConvOptions", strideW=2, strideH=2)), "shape"),
    "a convolution of other channels in three dimensions": (one("CONV_3D", [T((1, 4, 4, 4, 2)), f(1, 1, 1, 3, 5)], [T((1, 4, 4, 4, 5))], options("Conv3DOptions", **CONV_3D)), "2 channels, weights"),
    "a transposed convolution to another depth": (one("CONV_3D_TRANSPOSE", [whole(1, 9, 4, 4, 3), f(1, 1, 1, 3, 2), T((1, 4, 4, 4, 2))], [T((1, 9, 4, 4, 3))], options("Conv3DOptions", **CONV_3D)), "shape .* from"),
    "a dense layer that would join dimensions it keeps": (one("FULLY_CONNECTED", [IMAGE, f(3, 8), None], [T((1, 4, 4, 3))], options("FullyConnectedOptions", keepNumDims=True)), "by weights"),
    "corners and centres that are both aligned": (one("RESIZE_BILINEAR", [IMAGE, whole(4, 4)], [IMAGE], options("ResizeBilinearOptions", alignCorners=True, halfPixelCenters=True), 3), "aligns corners"),
    "slopes of more than there is": (one("PRELU", [T((1, 1, 4, 2)), f(4, 4, 2)], [IMAGE]), "for"),
    "a conversion to whole numbers of 8 bits": (one("CAST", [T((2,))], [q(2)], options("CastOptions", outDataType=9)), "to type 9"),
    "a mirror of another mode": (one("MIRROR_PAD", [IMAGE, T((4, 2), 2, np.zeros((4, 2), np.int32))], [IMAGE], options("MirrorPadOptions", mode=2)), "mode 2"),
    "steps that lead beyond": (one("STRIDED_SLICE", [IMAGE, whole(0, 0, 0, 0), whole(1, 4, 4, 2), whole(1, 9, 1, 1)], [T((1, 1, 4, 2))], options("StridedSliceOptions")), "stride 9 in 4"),
    "an index that is left out backwards": (one("STRIDED_SLICE", [IMAGE, whole(0, 1, 0, 0), whole(1, 2, 4, 2), whole(1, -1, 1, 1)], [T((1, 4, 2))], options("StridedSliceOptions", shrinkAxisMask=2)), "index 1 of 4"),
    "ends that count from the beginning": (one("STRIDED_SLICE", [IMAGE, whole(0, 0, 0, 0), whole(1, 4, 4, 2), whole(1, 1, 1, 1)], [IMAGE], options("StridedSliceOptions", offset=True)), "counts from the beginning"),
    "a slice of nothing": (one("STRIDED_SLICE", [IMAGE, whole(0, 3, 0, 0), whole(1, 1, 4, 2), whole(1, 1, 1, 1)], [IMAGE], options("StridedSliceOptions")), "nothing of 4"),
    "images that make no blocks": (one("BATCH_TO_SPACE_ND", [IMAGE, whole(2, 1), T((2, 2), 2, np.zeros((2, 2), np.int32))], [T((1, 8, 4, 2))]), "blocks"),
    "blocks that are cropped to nothing": (one("BATCH_TO_SPACE_ND", [IMAGE, whole(1, 1), T((2, 2), 2, np.array([[4, 0], [0, 0]], np.int32))], [IMAGE]), "blocks"),
    "blocks that do not divide in a batch": (one("SPACE_TO_BATCH_ND", [IMAGE, whole(3, 1), T((2, 2), 2, np.zeros((2, 2), np.int32))], [T((3, 1, 4, 2))]), r"blocks \[3, 1\] in \[4, 4\]"),
    "channels that make no blocks": (one("DEPTH_TO_SPACE", [IMAGE], [T((1, 8, 8, 1))], options("DepthToSpaceOptions", blockSize=2)), "blocks of 2"),
    "whole numbers that are joined and activated": (one("CONCATENATION", [T((2,), 2), T((2,), 2)], [T((4,), 2)], options("ConcatenationOptions", fusedActivationFunction=1)), "has an activation"),
    "another count of things to stack": (one("PACK", [T((2,)), T((2,))], [T((2, 2))], options("PackOptions", valuesCount=3)), "its inputs differ"),
    "fewer parts than there are": (one("UNPACK", [IMAGE], [T((1, 4, 2))] * 2, options("UnpackOptions", num=2, axis=1)), "2 parts of"),
    "padding with more than one value": (one("PADV2", [IMAGE, T((4, 2), 2, np.zeros((4, 2), np.int32)), f(2)], [IMAGE]), "more than one value"),
    "a dimension that is not 1 squeezed": (one("SQUEEZE", [IMAGE], [T((1, 4, 2))], options("SqueezeOptions", squeezeDims=[1])), r"dimensions \[1\] of"),
    "two axes that are reversed": (one("REVERSE_V2", [IMAGE, whole(1, 2)], [IMAGE]), "2 axes"),
    "a slope that is infinite": (one("LEAKY_RELU", [IMAGE], [IMAGE], options("LeakyReluOptions", alpha=INFINITY)), "alpha is inf"),
    "sums that are multiplied by hardly more than 1": (one("ADD", [q(2), q(2)], [q(2, scales=(1.9e-6,))], options("AddOptions")), "multiplied by 1"),
    "int8 without a scale": (one("RELU", [q(2, scales=())], [q(2)]), "without a scale"),
    "uint8 without a scale": (one("RELU", [T((2,), 3)], [T((2,), 3, None, (1.0,))]), "input 0 has no scale"),
    "a result of uint8 without a scale": (one("RELU", [T((2,), 3, None, (1.0,))], [T((2,), 3)]), "writes tensor 1, which is of uint8 without"),
    "dynamic range with a zero point": (one("FULLY_CONNECTED", [T((1, 2)), q(3, 2, zero=3, data=True), None], [T((1, 3))], options("FullyConnectedOptions")), "zero point"),
    "a scale of 0": (one("RELU", [q(2, scales=(0.0,))], [q(2)]), "no positive number"),
    "a scale below 0": (one("RELU", [q(2, scales=(-1.0,))], [q(2)]), "no positive number"),
    "a scale that is infinite": (one("RELU", [q(2, scales=(INFINITY,))], [q(2)]), "no positive number"),
    "a scale that is not a number": (one("RELU", [q(2)], [q(2, scales=(NAN,))]), "no positive number"),
    "a zero point beyond": (one("RELU", [q(2, zero=128)], [q(2)]), "zero point outside"),
    "scales for channels that there are not": (one("CONV_2D", [q(1, 4, 4, 2), q(3, 1, 1, 2, scales=(1.0, 2.0), data=True), None], [q(1, 4, 4, 3)], options("Conv2DOptions", **CONV)), "2 scales along axis 0"),
    "weights that are quantised and computed": (one("CONV_2D", [q(1, 4, 4, 2), q(3, 1, 1, 2), None], [q(1, 4, 4, 3)], options("Conv2DOptions", **CONV)), "not constant"),
    "sums that are multiplied by more than 1": (one("ADD", [q(2, scales=(151.0,)), q(2)], [q(2, scales=(1.5e-14,))], options("AddOptions")), "multiplied by"),
    "squares that are multiplied by more than 1": (one("SQUARED_DIFFERENCE", [q(2, scales=(100.0,)), q(2)], [q(2)]), "multiplied by"),
    "numbers of scale 1 that are compared": (one("GREATER", [q(2), q(2)], [T((2,), 6)]), "multiplied by 1"),
    "weights with a zero point": (one("CONV_2D", [q(1, 4, 4, 2), q(3, 1, 1, 2, zero=3, data=True), None], [q(1, 4, 4, 3)], options("Conv2DOptions", **CONV)), "zero point"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_operator_is_refused_with_what_is_wrong(name: str) -> None:
    content, message = REFUSED[name]
    with pytest.raises(Refused, match=message):
        check_graph(parse_model_file(content))


@pytest.mark.parametrize("index", [-1, 4, 2**31 - 1])
def test_computed_indices_out_of_range_are_an_error_of_the_kernel(index: int) -> None:
    """So a store may hold operators whose indices are computed."""
    content = one("GATHER_ND", [T((1, 4, 2)), T((1, 2), 2)], [T((1, 2))])
    check_graph(parse_model_file(content))
    interpreter = open_interpreter(model_content=content, threads=1)
    x, indices = (detail["index"] for detail in interpreter.get_input_details())
    interpreter.set_tensor(x, np.arange(8, dtype=np.float32).reshape(1, 4, 2))
    interpreter.set_tensor(indices, np.array([[0, 3]], np.int32))
    interpreter.invoke()
    interpreter.set_tensor(indices, np.array([[0, index]], np.int32))
    with pytest.raises(RuntimeError, match=r"gather_nd|GATHER_ND"):
        interpreter.invoke()
