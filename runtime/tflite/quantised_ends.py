"""Where a graph turns inputs into whole numbers, and whole numbers into outputs.

Blocks in int8 read and write floats, so that any option fits beside any other. Where two of them meet, and one makes
floats of the same whole numbers that the other makes of them, a runtime need not make floats at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from legodnn.runtime.tflite.model_file import TYPE_NUMBERS, FileGraph, FileTensor

Form = tuple[int, int, int]  # of whole numbers: their type, their scale (the bits of a float), their zero point

_DEQUANTIZE, _QUANTIZE = 6, 114


class QuantisedEnd(NamedTuple):
    """An operator that turns an input of a graph into whole numbers, or whole numbers into an output.

    Attributes:
        operator: its number in the graph.
        outer: the index of the input that it reads, or of the output that it writes.
        inner: the index of the tensor of whole numbers.
        form: that of these.
    """

    operator: int
    outer: int
    inner: int
    form: Form


class QuantisedEnds(NamedTuple):
    """Those of one graph.

    Attributes:
        inputs: operators that turn inputs into whole numbers.
        outputs: operators that turn whole numbers into outputs.
        as_they_are: indices of inputs and outputs that other operators read, or that are both.
    """

    inputs: Sequence[QuantisedEnd]
    outputs: Sequence[QuantisedEnd]
    as_they_are: Sequence[int]

    def only(self) -> dict[int, Form]:
        """Return the form in which an input is read, or an output is written, by its index; those that are as they are,
        or in several forms, are not there.
        """
        found: dict[int, set[Form]] = {}
        for end in (*self.inputs, *self.outputs):
            found.setdefault(end.outer, set()).add(end.form)
        return {i: forms.pop() for i, forms in found.items() if len(forms) == 1 and i not in self.as_they_are}


def quantised_ends(graph: FileGraph) -> QuantisedEnds:
    """Find them in a graph. What has a scale for each channel is left as it is."""
    inputs, outputs = [], []
    as_they_are = set(graph.inputs) & set(graph.outputs)
    for number, operator in enumerate(graph.operators):
        if operator.code == _QUANTIZE and operator.inputs[0] in graph.inputs:
            (outer,), (inner,) = operator.inputs, operator.outputs
            if form := _form(graph.tensors[inner]):
                inputs.append(QuantisedEnd(number, outer, inner, form))
                continue
        elif operator.code == _DEQUANTIZE and operator.outputs[0] in graph.outputs:
            (inner,), (outer,) = operator.inputs, operator.outputs
            if form := _form(graph.tensors[inner]):
                outputs.append(QuantisedEnd(number, outer, inner, form))
        as_they_are.update(operator.inputs)
    return QuantisedEnds(inputs, outputs, sorted(as_they_are.intersection([*graph.inputs, *graph.outputs])))


def _form(tensor: FileTensor) -> Form | None:
    """Return the form of a tensor that has one scale; else None."""
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        return None
    scale = int(tensor.scales.astype("<f4").view("<i4")[0])
    return TYPE_NUMBERS[tensor.dtype], scale, int(tensor.zero_points[0])
