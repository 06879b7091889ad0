"""Checking one operator of a file: what a rule is, and what rules have in common.

TensorFlow Lite's kernels check much and trust the rest, and what they trust differs from version to version. So nothing
is left to them. Each kind of operator has a rule, which computes the shapes and types of its outputs from its inputs
and options; the file must say the same. Everything that shapes depend on (axes, paddings, sizes) must be constant.

Rules are in `compute_operators` and `layout_operators`; `operator_kinds` lists the kinds, which are those that
TensorFlow's converter makes of vision models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Shape
from legodnn.runtime.tflite.model_file import FileGraph, FileOperator, FileTensor, Refused

Result = tuple[Shape, str]  # shape and type of one output; a type may be several, separated by |

QUANTISED = ("int8", "uint8")
NUMBERS = ("float32", *QUANTISED)
COUNTS = ("int32", "int64")
FLOAT = ("float32",)
PLAIN = (*NUMBERS, *COUNTS)
ANY = (*PLAIN, "bool")
_MOST_OF_AN_OPTION = 1 << 15  # strides, filters, dilations, blocks
_ACTIVATIONS = 4  # none, ReLU, ReLU from -1 to 1, ReLU6


@dataclass(frozen=True, eq=False)
class OperatorCall:
    """An operator together with its tensors. Rules ask it for what they need; it raises Refused for what is not there.

    Attributes:
        name: what messages call it.
        operator: the operator, as the file has it.
        inputs: its input tensors; None for an optional input that is absent.
        outputs: its output tensors, as the file has them.
    """

    name: str
    operator: FileOperator
    inputs: tuple[FileTensor | None, ...]
    outputs: tuple[FileTensor, ...]

    def refuse(self, problem: str) -> Refused:
        """Return an error that names this operator, for a rule to raise."""
        return Refused(f"{self.name}: {problem}")

    def need(self, holds: bool, problem: str) -> None:
        """Raise Refused with a description of the problem unless a condition holds."""
        if not holds:
            raise self.refuse(problem)

    def tensor(
        self, i: int, types: Collection[str] = NUMBERS, ranks: Collection[int] = range(7), plain: bool = False
    ) -> FileTensor:
        """Return an input, which must have one of the given types and ranks; uint8 without a scale only if `plain`."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None:
            raise self.refuse(f"input {i} is missing")
        self.need(found.dtype in types, f"input {i} is of type {found.dtype}")
        self.need(len(found.shape) in ranks, f"input {i} has {len(found.shape)} dimensions")
        self.need(plain or found.dtype not in QUANTISED or len(found.scales) > 0, f"input {i} has no scale")
        return found

    def output_scale(self) -> float:
        """Return the scale of the first output, which must be quantised."""
        scaled = len(self.outputs) > 0 and len(self.outputs[0].scales) > 0
        self.need(scaled, "output 0 is missing or has no scale")
        return float(self.outputs[0].scales[0])

    def alike(self, types: Collection[str] = NUMBERS) -> list[FileTensor]:
        """Return all inputs, which must have the same type, one of those given."""
        found = [self.tensor(i, types) for i in range(len(self.inputs))]
        self.need(len({t.dtype for t in found}) == 1, "its inputs are of different types")
        return found

    def constant(self, i: int, rank: int = 1, types: Collection[str] = ("int32",)) -> NDArray[Any]:
        """Return the values of an input, which must be constant and have the given rank."""
        found = self.tensor(i, types, (rank,))
        if found.data is None:
            raise self.refuse(f"input {i} is not constant")
        return found.values()

    def sizes(self, i: int) -> list[int]:
        """Return an input that must be a constant vector of whole numbers."""
        return [int(v) for v in self.constant(i)]

    def scalar(self, i: int) -> int:
        """Return an input that must be one constant whole number."""
        found = self.tensor(i, COUNTS, (0, 1))
        self.need(found.data is not None and found.size == 1, f"input {i} is not one constant")
        return int(found.values().ravel()[0])

    def option(self, name: str) -> Any:
        """Return the value of an option, which must be there."""
        if self.operator.options is None:
            raise self.refuse(f"it has no options, not even {name}")
        return self.operator.options[name]

    def axis(self, value: int, rank: int) -> int:
        """Return an axis, which may be given counted from the end, as a number from 0 to rank - 1."""
        self.need(-rank <= value < rank, f"axis {value} of {rank} dimensions")
        return value % rank


OperatorRule = Callable[[OperatorCall], list[Result]]


@dataclass(frozen=True)
class OperatorKind:
    """A kind of operator.

    Attributes:
        name: its name in the format.
        options: the number of its options in the format's union.
        version: the highest version that is accepted.
        inputs: the least and the greatest number of inputs.
        rule: computes the shapes and types of its outputs.
    """

    name: str
    options: int
    version: int
    inputs: tuple[int, int]
    rule: OperatorRule


def outputs(graph: FileGraph, operator: FileOperator, kinds: dict[int, OperatorKind], number: int) -> list[Result]:
    """Return what the outputs of an operator must be.

    Args:
        graph: the graph that it is in.
        operator: the operator.
        kinds: the kinds that are allowed, by their number in the format.
        number: the operator's place in the graph, for messages.

    Raises:
        Refused: its kind is not allowed, or its inputs or options are not what the kind requires.
    """
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
    """Raise Refused unless options are those of the kind, and within the ranges that hold for every kind."""
    found = call.operator.options
    if call.operator.options_type not in (kind.options, 0) or (call.operator.options_type and found is None):
        raise call.refuse("it has the options of another operator")
    for name, value in (found or {}).items():
        if name.startswith(("stride_", "dilation_", "filter_", "block", "multiplier", "count")):
            call.need(1 <= value <= _MOST_OF_AN_OPTION, f"{name} is {value}")
        elif name in ("padding", "bias_type"):
            # A bias type other than these is for 16-bit activations, which no store has.
            call.need(value in ((0, 1) if name == "padding" else (0, 2)), f"{name} is {value}")
        elif name == "activation":
            call.need(0 <= value < _ACTIVATIONS, f"activation is {value}")
        elif isinstance(value, float):
            call.need(bool(np.isfinite(value)), f"{name} is {value}")


def window(call: OperatorCall, size: int, filter_size: int, stride: int, dilation: int = 1) -> int:
    """Return how many positions a window has along a dimension, with the padding that the options say.

    Args:
        call: the operator.
        size: the size of the dimension.
        filter_size, stride, dilation: of the window, along that dimension.
    """
    spread = (filter_size - 1) * dilation + 1
    places = -(-size // stride) if call.option("padding") == 0 else (size - spread) // stride + 1
    call.need(places > 0, f"a window of {spread} in {size}")
    return places


def broadcast(call: OperatorCall, shapes: list[Shape], most: int) -> Shape:
    """Return the shape that shapes are broadcast to.

    Args:
        call: the operator.
        shapes: the shapes of its inputs.
        most: how many dimensions there may be if the shapes differ.

    Raises:
        Refused: they cannot be broadcast, or have too many dimensions.
    """
    if len(set(shapes)) == 1:
        return shapes[0]
    rank = max(map(len, shapes))
    call.need(rank <= most, f"{rank} dimensions are broadcast")
    try:
        return tuple(int(d) for d in np.broadcast_shapes(*shapes))
    except ValueError:
        raise call.refuse(f"shapes {', '.join(map(str, shapes))} do not go together") from None
