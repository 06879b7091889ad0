# ruff: noqa: E501 (tables of files)
"""Files are refused for whatever TensorFlow Lite would have to trust, and only for that.

Covers also: runtime.tflite.*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.manifest import TensorSpec
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.tflite.check import check_file, check_graph
from legodnn.runtime.tflite.model_file import Refused, parse_model_file
from tests.runtime.tflite.tflite_files import BASE, T, changed, one, options, schema, whole

X, Y = TensorSpec(name="x", shape=(4, 4, 2)), TensorSpec(name="y", shape=(4, 4, 3))
INFINITY, NAN = float("inf"), float("nan")


def test_the_file_of_the_self_test_passes() -> None:
    assert check_file(BASE, [X], [Y]) == 2 * 4 * 4 * 3 * 4  # both operators' outputs


@pytest.mark.parametrize(("inputs", "outputs"), [([Y], [Y]), ([X], [X]), ([X, X], [Y]), ([X], [])])
def test_inputs_and_outputs_are_those_of_the_manifest(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    with pytest.raises(Refused, match="where the manifest says"):
        check_file(BASE, inputs, outputs)


def tensor(i: int, **values: Any) -> Callable[[Any], None]:
    return lambda m: vars(m.subgraphs[0].tensors[i]).update(values)


def operator(i: int, **values: Any) -> Callable[[Any], None]:
    return lambda m: vars(m.subgraphs[0].operators[i]).update(values)


def option(**values: Any) -> Callable[[Any], None]:
    return lambda m: vars(m.subgraphs[0].operators[0].builtinOptions).update(values)


def code(**values: Any) -> Callable[[Any], None]:
    return lambda m: vars(m.operatorCodes[0]).update(values)


def quantised(**values: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        found = schema.QuantizationParametersT()
        vars(found).update({"scale": [1.0], "zeroPoint": [0], **values})
        model.subgraphs[0].tensors[WEIGHTS].quantization = found
        model.subgraphs[0].tensors[WEIGHTS].type = 9

    return change


def graph(**values: Any) -> Callable[[Any], None]:
    return lambda m: vars(m.subgraphs[0]).update(values)


def data(i: int, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    def apply(model: Any) -> None:
        buffer = model.buffers[model.subgraphs[0].tensors[i].buffer]
        buffer.data = change(buffer.data)

    return apply


_PARSED = parse_model_file(BASE)
INPUT, WEIGHTS, BIAS = _PARSED.operators[0].inputs
MIDDLE = _PARSED.operators[0].outputs[0]
OUTPUT = _PARSED.outputs[0]


def _sparse(model: Any) -> None:
    model.subgraphs[0].tensors[WEIGHTS].sparsity = schema.SparsityParametersT()
    model.subgraphs[0].tensors[WEIGHTS].sparsity.traversalOrder = [0]


def _loop(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "an input that is not there": (operator(0, inputs=[99, WEIGHTS, BIAS]), "tensor 99 of"),
    "an input far below": (operator(0, inputs=[-5, WEIGHTS, BIAS]), "tensor -5 of"),
    "an output that is not there": (operator(0, outputs=[2**31 - 1]), "tensor 2147483647 of"),
    "an input left out": (operator(0, inputs=[-1, WEIGHTS, BIAS]), "input 0 is missing"),
    "too few inputs": (operator(0, inputs=[INPUT]), "it has 1 inputs"),
    "too many inputs": (operator(0, inputs=[INPUT, WEIGHTS, BIAS, BIAS]), "it has 4 inputs"),
    "no outputs": (operator(0, outputs=[]), "0 outputs instead of 1"),
    "an operator that reads itself": (operator(0, inputs=[MIDDLE, WEIGHTS, BIAS]), "nothing before it writes"),
    "operators in the wrong order": (lambda m: m.subgraphs[0].operators.reverse(), "nothing before it writes"),
    "a tensor written twice": (
        lambda m: m.subgraphs[0].operators.append(m.subgraphs[0].operators[0]),
        "written before",
    ),
    "a constant that is written": (operator(0, outputs=[BIAS]), r"constant or written before"),
    "an input that is written": (operator(1, outputs=[INPUT]), "writes tensor .* which is an input"),
    "a constant input": (graph(inputs=[WEIGHTS]), "is constant"),
    "the same input twice": (graph(inputs=[INPUT, INPUT]), "an input twice"),
    "the same output twice": (graph(outputs=[OUTPUT, OUTPUT]), "given twice"),
    "an output that is an input": (graph(outputs=[INPUT]), "nothing writes it"),
    "an output that is constant": (graph(outputs=[WEIGHTS]), "nothing writes it"),
    "an output of the graph that is not there": (graph(outputs=[50]), "tensor 50 of"),
    "a kind that is not there": (operator(0, opcodeIndex=7), "is of kind 7, which is not there"),
    "a kind that no store needs": (code(builtinCode=93, deprecatedBuiltinCode=93), "ZEROS_LIKE|options of another"),
    "hash tables": (code(builtinCode=136, deprecatedBuiltinCode=127), "kind 136, which no store needs"),
    "a loop": (code(builtinCode=119, deprecatedBuiltinCode=119), "kind 119, which no store needs"),
    "a call": (code(builtinCode=31, deprecatedBuiltinCode=31), "kind 31, which no store needs"),
    "another graph": (_loop, "loops or branches"),
    "a custom operator": (code(customCode="exec"), "custom operator"),
    "a version to come": (code(version=99), "version 99 is not known"),
    "a version before the first": (code(version=0), "version 0 is not known"),
    "another operator's options": (
        operator(0, builtinOptions=schema.Pool2DOptionsT(), builtinOptionsType=5),
        "options of another",
    ),
    "no options": (operator(0, builtinOptions=None, builtinOptionsType=0), "no options"),
    "a stride of 0": (option(strideW=0), "stride_w is 0"),
    "a stride below 0": (option(strideH=-1), "stride_h is -1"),
    "a dilation of 0": (option(dilationWFactor=0), "dilation_w is 0"),
    "a dilation that overflows": (option(dilationHFactor=2**31 - 1), "dilation_h is 2147483647"),
    "a padding that is none": (option(padding=7), "padding is 7"),
    "an activation that is none": (option(fusedActivationFunction=99), "activation is 99"),
    "a stride that the shapes do not have": (option(strideW=2), "makes float32"),
    "an unknown dimension": (tensor(INPUT, shape=[1, -1, 4, 2]), "no fixed shape"),
    "a dimension of 0": (tensor(MIDDLE, shape=[1, 4, 0, 3]), "no fixed shape"),
    "a signature that is open": (tensor(INPUT, shapeSignature=[-1, 4, 4, 2]), "no fixed shape"),
    "sizes that overflow": (tensor(MIDDLE, shape=[1, 65536, 65536, 65536]), "too large"),
    "too many dimensions": (tensor(MIDDLE, shape=[1] * 9), "too large"),
    "weights of another shape": (tensor(WEIGHTS, shape=[3, 1, 1, 4]), "takes 48 bytes and has 24"),
    "a bias of another shape": (tensor(BIAS, shape=[1, 3]), "has 2 dimensions"),
    "a middle of another shape": (tensor(MIDDLE, shape=[1, 4, 4, 2]), "makes float32"),
    "a middle of another type": (tensor(MIDDLE, type=2), "makes float32"),
    "a type that no store has": (tensor(MIDDLE, type=5), "type 5"),
    "a buffer that is not there": (tensor(WEIGHTS, buffer=77), "buffer 77, which is not there"),
    "a variable": (tensor(MIDDLE, isVariable=True), "variable"),
    "sparse weights": (_sparse, "is sparse"),
    "a buffer cut short": (data(WEIGHTS, lambda d: d[:-4]), "takes 24 bytes and has 20"),
    "a buffer too long": (data(BIAS, lambda d: np.concatenate([d, d])), "takes 12 bytes and has 24"),
    "a buffer elsewhere": (lambda m: vars(m.buffers[1]).update(offset=100, size=24), "lies outside its table"),
    "a scale of 0": (quantised(scale=[0.0]), "no positive number|takes"),
    "a format to come": (lambda m: vars(m).update(version=4), "version 4"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_graph_is_refused_with_what_is_wrong(name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(Refused, match=message):
        check_graph(parse_model_file(changed(change)))


CONV = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "padding": 0}
POOL = {"strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2, "padding": 1}
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
    "whole numbers divided by a constant": one("FLOOR_DIV", [T((2,), 2), whole(3, 4)], [T((2,), 2)], options("FloorDivOptions")),
    "broadcast": one("ADD", [IMAGE, f(4, 1)], [IMAGE], options("AddOptions")),
    "five dimensions": one("MUL", [T((1, 2, 2, 2, 2)), T((1, 2, 2, 2, 1))], [T((1, 2, 2, 2, 2))], options("MulOptions")),
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


@given(st.binary(max_size=300), st.booleans())
def test_bytes_that_are_no_file_are_refused(content: bytes, marked: bool) -> None:
    with pytest.raises(Refused):
        check_file(content[:4] + b"TFL3" + content[8:] if marked else content, [X], [Y])


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 1200))
def test_bytes_that_were_changed_pass_or_are_refused(changes: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(BASE)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        check_file(bytes(content[: len(content) - cut % len(content) if cut < 300 else None]), [X], [Y])
    except Refused:
        return


def test_parts_that_lie_over_one_another_are_refused() -> None:
    """Else a small file could take any time to read: a million operators that are all the same table."""
    content = bytearray(changed(lambda m: m.subgraphs[0].operators.extend([m.subgraphs[0].operators[1]] * 50)))
    table = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    vector = table._tab.Vector(table._tab.Offset(10))  # operators
    first = vector + int.from_bytes(content[vector : vector + 4], "little")
    for i in range(table.OperatorsLength()):
        content[vector + 4 * i : vector + 4 * i + 4] = (first - vector - 4 * i).to_bytes(4, "little")
    with pytest.raises(Refused, match=r"lie over one another|written before"):
        parse_model_file(bytes(content))


def test_a_list_of_fields_longer_than_any_tables_is_refused() -> None:
    """Else every table could say that it has it, and the file would take the time of all of them to read."""
    content = bytearray(BASE)
    root = int.from_bytes(content[:4], "little")
    longer = len(content) + len(content) % 2
    content += bytes(longer - len(content)) + (65532).to_bytes(2, "little") + (8).to_bytes(2, "little") + bytes(65528)
    content[root : root + 4] = (root - longer).to_bytes(4, "little", signed=True)
    with pytest.raises(Refused, match="fields that are not known"):
        parse_model_file(bytes(content))
