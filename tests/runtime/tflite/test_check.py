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
from legodnn.runtime.tflite.check import check_file, check_graph
from legodnn.runtime.tflite.model_file import Refused, parse_model_file
from tests.runtime.tflite.tflite_files import BASE, changed, schema

X, Y = TensorSpec(name="x", shape=(4, 4, 2)), TensorSpec(name="y", shape=(4, 4, 3))


def test_the_file_of_the_self_test_passes() -> None:
    assert check_file(BASE, [X], [Y]) == 2 * 4 * 4 * 3 * 4  # both operators' outputs


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [([Y], [Y]), ([X], [X]), ([X, X], [Y]), ([X], []), ([X.model_copy(update={"dtype": "int32"})], [Y])],
)
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


def test_a_file_of_before_kinds_had_two_fields_passes() -> None:
    check_graph(parse_model_file(changed(code(builtinCode=0))))


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
    "zero points for channels that there are not": (
        lambda m: (quantised(scale=[1.0] * 3, zeroPoint=[0, 0])(m), data(WEIGHTS, lambda d: d[:6])(m)),
        "3 scales and 2 zero points",
    ),
    "quantised in a way to come": (quantised(detailsType=1), "quantised in a way"),
    "scales along an axis below 0": (
        lambda m: (
            quantised(scale=[1.0] * 2, zeroPoint=[0, 0], quantizedDimension=-1)(m),
            data(WEIGHTS, lambda d: d[:6])(m),
        ),
        "2 scales along axis -1",
    ),
    "a tensor outside the file": (tensor(MIDDLE, externalBuffer=1), "lies outside the file"),
    "a first buffer with data": (lambda m: vars(m.buffers[0]).update(data=[1]), "first buffer is not the empty one"),
    "options of a custom operator": (operator(0, customOptions=[1, 2]), "options that are not known"),
    "options of another kind": (operator(0, builtinOptions2Type=1), "options that are not known"),
    "options that are said and not there": (operator(0, builtinOptions=None), "options of another operator"),
    "a format to come": (lambda m: vars(m).update(version=4), "version 4"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_graph_is_refused_with_what_is_wrong(name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(Refused, match=message):
        check_graph(parse_model_file(changed(change)))


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
