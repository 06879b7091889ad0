"""Where a graph turns inputs into whole numbers, and whole numbers into outputs, is found."""

from __future__ import annotations

import pytest

from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.runtime.tflite.quantised_ends import QuantisedEnds, quantised_ends
from tests.runtime.tflite.tflite_files import T, options, several

FLOATS, WHOLE = T((1, 16)), T((1, 16), 9, None, (0.5,), -3)
QUANTIZE, DEQUANTIZE = (lambda i, o: ("QUANTIZE", [i], [o], None, 1)), (lambda i, o: ("DEQUANTIZE", [i], [o], None, 2))


def add(a: int, b: int, out: int) -> tuple[str, list[int], list[int], object, int]:
    return "ADD", [a, b], [out], options("AddOptions"), 2


def ends(*args: object) -> QuantisedEnds:
    return quantised_ends(parse_model_file(several(*args)))  # type: ignore[arg-type]


def test_both_ends_of_a_graph_in_int8() -> None:
    found = ends([FLOATS, WHOLE, WHOLE, FLOATS], [QUANTIZE(0, 1), add(1, 1, 2), DEQUANTIZE(2, 3)], [0], [3])
    form = (9, 0x3F000000, -3)
    assert [tuple(end) for end in found.inputs] == [(0, 0, 1, form)]
    assert [tuple(end) for end in found.outputs] == [(2, 3, 2, form)]
    assert (found.as_they_are, found.only()) == ([], {0: form, 3: form})


def test_what_another_operator_reads_stays_as_it_is() -> None:
    """The input is added to the output of whole numbers, which is an output as well."""
    tensors = [FLOATS, WHOLE, WHOLE, FLOATS, FLOATS]
    found = ends(tensors, [QUANTIZE(0, 1), add(1, 1, 2), DEQUANTIZE(2, 3), add(0, 3, 4)], [0], [3, 4])
    assert [len(found.inputs), len(found.outputs), found.as_they_are, found.only()] == [1, 1, [0, 3], {}]


def test_an_input_that_is_an_output_too_stays_as_it_is() -> None:
    found = ends([FLOATS, WHOLE, WHOLE, FLOATS], [QUANTIZE(0, 1), add(1, 1, 2), DEQUANTIZE(2, 3)], [0], [3, 0])
    assert (found.as_they_are, set(found.only())) == ([0], {3})


def test_an_input_that_is_read_in_two_forms_has_none_of_its_own() -> None:
    other = T((1, 16), 9, None, (0.25,), -3)
    operators = [QUANTIZE(0, 1), QUANTIZE(0, 2), add(1, 2, 3), DEQUANTIZE(3, 4)]
    found = ends([FLOATS, WHOLE, other, WHOLE, FLOATS], operators, [0], [4])
    assert [len(found.inputs), found.as_they_are, set(found.only())] == [2, [], {4}]


@pytest.mark.parametrize("scales", [(), (0.5, 0.25)])
def test_whole_numbers_without_one_scale_stay_as_they_are(scales: tuple[float, ...]) -> None:
    strange = T((1, 2), 9, None, scales)
    found = ends([T((1, 2)), strange, strange, T((1, 2))], [QUANTIZE(0, 1), add(1, 1, 2), DEQUANTIZE(2, 3)], [0], [3])
    assert [found.inputs, found.outputs, found.as_they_are, found.only()] == [[], [], [0], {}]
