"""The operators that files of a store may have, and what each demands of its tensors.

A kernel of TensorFlow Lite checks much and trusts the rest, and what it trusts differs from version to version. So
nothing is left to it: a rule computes the shapes and types of an operator's outputs from its inputs and options, and
the file must say the same. What shapes depend on (axes, paddings, sizes) must be constant. These are the operators
that TensorFlow's converter makes of vision models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Shape
from legodnn.runtime.tflite.model_file import FileGraph, FileOperator, FileTensor, Refused

Result = tuple[Shape, str]  # of one output: shape and type

NUMBERS = ("float32", "int8")  # in floating point, or quantised
COUNTS = ("int32", "int64")
FLOAT = ("float32",)
PLAIN = (*NUMBERS, *COUNTS)
ANY = (*PLAIN, "bool")
_MOST_OF_AN_OPTION = 1 << 15  # strides, filters, dilations, blocks
_ACTIVATIONS = 4  # none, ReLU, ReLU from -1 to 1, ReLU6


@dataclass(frozen=True, eq=False)
class OperatorCall:
    """An operator with its tensors at hand, of which a rule asks what it needs and is refused what is not there."""

    name: str
    operator: FileOperator
    inputs: tuple[FileTensor | None, ...]
    outputs: tuple[FileTensor, ...]

    def refuse(self, problem: str) -> Refused:
        """The error for a rule to raise."""
        return Refused(f"{self.name}: {problem}")

    def need(self, holds: bool, problem: str) -> None:
        """Refused unless it holds."""
        if not holds:
            raise self.refuse(problem)

    def tensor(self, i: int, types: Collection[str] = NUMBERS, ranks: Collection[int] = range(7)) -> FileTensor:
        """An input of one of some types and ranks."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None:
            raise self.refuse(f"input {i} is missing")
        self.need(found.dtype in types, f"input {i} is of type {found.dtype}")
        self.need(len(found.shape) in ranks, f"input {i} has {len(found.shape)} dimensions")
        return found

    def output(self, i: int) -> FileTensor:
        """An output as the file has it, quantised if its inputs are."""
        self.need(i < len(self.outputs) and len(self.outputs[i].scales) > 0, f"output {i} is missing or has no scale")
        return self.outputs[i]

    def alike(self, types: Collection[str] = NUMBERS) -> list[FileTensor]:
        """All inputs, of the same type."""
        found = [self.tensor(i, types) for i in range(len(self.inputs))]
        self.need(len({t.dtype for t in found}) == 1, "its inputs are of different types")
        return found

    def constant(self, i: int, rank: int = 1, types: Collection[str] = ("int32",)) -> NDArray[Any]:
        """The values of an input that must be constant."""
        found = self.tensor(i, types, (rank,))
        if found.data is None:
            raise self.refuse(f"input {i} is not constant")
        return found.values()

    def sizes(self, i: int) -> list[int]:
        """A constant vector of whole numbers."""
        return [int(v) for v in self.constant(i)]

    def scalar(self, i: int) -> int:
        """A constant whole number, of no dimension or one."""
        found = self.tensor(i, COUNTS, (0, 1))
        self.need(found.data is not None and found.size == 1, f"input {i} is not one constant")
        return int(found.values().ravel()[0])

    def option(self, name: str) -> Any:
        """The value of an option."""
        if self.operator.options is None:
            raise self.refuse(f"it has no options, not even {name}")
        return self.operator.options[name]

    def axis(self, value: int, rank: int) -> int:
        """An axis that may be counted from the end."""
        self.need(-rank <= value < rank, f"axis {value} of {rank} dimensions")
        return value % rank


OperatorRule = Callable[[OperatorCall], list[Result]]


@dataclass(frozen=True)
class OperatorKind:
    """A kind of operator.

    Attributes:
        name: in the format.
        options: the number of its options in the format's union.
        version: the highest that is known.
        inputs: how many it may have, at least and at most.
        rule: its outputs.
    """

    name: str
    options: int
    version: int
    inputs: tuple[int, int]
    rule: OperatorRule


def outputs(graph: FileGraph, operator: FileOperator, kinds: dict[int, OperatorKind], number: int) -> list[Result]:
    """What an operator's outputs must be; Refused if it is none that is allowed, or cannot have these inputs."""
    kind = kinds.get(operator.code)
    if kind is None:
        raise Refused(f"operator {number} is of kind {operator.code}, which no store needs")
    inputs = tuple(graph.tensors[i] if i >= 0 else None for i in operator.inputs)
    results = tuple(graph.tensors[i] for i in operator.outputs)
    call = OperatorCall(f"operator {number} ({kind.name})", operator, inputs, results)
    call.need(1 <= operator.version <= kind.version, f"version {operator.version} is not known")
    call.need(kind.inputs[0] <= len(inputs) <= kind.inputs[1], f"it has {len(inputs)} inputs")
    _check_options(call, kind)
    return kind.rule(call)


def _check_options(call: OperatorCall, kind: OperatorKind) -> None:
    """Refused unless the options are the kind's own, and each in the range that all operators have in common."""
    found = call.operator.options
    if call.operator.options_type not in (kind.options, 0) or (call.operator.options_type and found is None):
        raise call.refuse("it has the options of another operator")
    for name, value in (found or {}).items():
        if name.startswith(("stride_", "dilation_", "filter_", "block", "multiplier", "count")):
            call.need(1 <= value <= _MOST_OF_AN_OPTION, f"{name} is {value}")
        elif name in ("padding", "bias_type"):
            # The type of a quantised bias is that of 16-bit activations, which no store has.
            call.need(value in ((0, 1) if name == "padding" else (0, 2)), f"{name} is {value}")
        elif name == "activation":
            call.need(0 <= value < _ACTIVATIONS, f"activation is {value}")
        elif isinstance(value, float):
            call.need(bool(np.isfinite(value)), f"{name} is {value}")


def window(call: OperatorCall, size: int, filter_size: int, stride: int, dilation: int = 1) -> int:
    """How many places a window has along a dimension, with the padding that the options say."""
    spread = (filter_size - 1) * dilation + 1
    places = -(-size // stride) if call.option("padding") == 0 else (size - spread) // stride + 1
    call.need(places > 0, f"a window of {spread} in {size}")
    return places


def broadcast(call: OperatorCall, shapes: list[Shape], most: int) -> Shape:
    """The shape that others are broadcast to; the same shape may have any rank, else there are at most `most`."""
    if len(set(shapes)) == 1:
        return shapes[0]
    rank = max(map(len, shapes))
    call.need(rank <= most, f"{rank} dimensions are broadcast")
    try:
        return tuple(int(d) for d in np.broadcast_shapes(*shapes))
    except ValueError:
        raise call.refuse(f"shapes {', '.join(map(str, shapes))} do not go together") from None
