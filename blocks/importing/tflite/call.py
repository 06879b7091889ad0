"""One operator of a `.tflite` file while it becomes layers: what rules ask for their inputs, options and names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from legodnn.blocks.importing.file_layers import ConstantTensor
from legodnn.blocks.importing.graph import Tensor, named
from legodnn.blocks.importing.tflite.values import GraphValue, as_value, settled
from legodnn.errors import ModelError

FileInput = GraphValue | NDArray[Any] | None

# Fused activations by their number in the format: the activation that a layer of Keras has, if there is one.
LAYER_ACTIVATIONS = {0: None, 1: "relu", 3: "relu6", 4: "tanh"}


class NoRule(ModelError):
    """There is no rule for what an operator does with these inputs and options."""


class OperatorInputs:
    """What rules ask of the inputs of an operator, whatever file it is in."""

    inputs: Sequence[FileInput]

    def has(self, i: int) -> bool:
        """Whether there is an input `i`."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def constant(self, i: int) -> NDArray[Any]:
        """Return an input that must be constant."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if not isinstance(found, np.ndarray):
            raise NoRule(f"its input {i} is {'missing' if found is None else 'computed, and must be constant'}")
        return found

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis, which may count from the end, as a number from 0 to rank - 1."""
        if not -rank <= axis < rank:
            raise NoRule(f"axis {axis} of {rank} dimensions")
        return axis % rank


@dataclass(frozen=True, eq=False)
class RuleCall(OperatorInputs):
    """An operator with its inputs. Rules raise `NoRule` for what they cannot express.

    Attributes:
        kind: the operator's name in the format.
        name: a valid and unique name for the layer that gives its output.
        inputs: for each input a value of the graph, or an array if it is constant (dequantised), or None if absent.
        options: the values of its options by name.
        layer_of: gives the layer of an earlier operator with the same key, or else makes it: operators that share
            constants share a layer.
        key: identifies the operator's constants, its kind and its options.
        count: the number of its outputs.
        dtype: the type of its first output in the file.
    """

    kind: str
    name: str
    inputs: Sequence[FileInput]
    options: dict[str, Any]
    layer_of: Callable[[Any, Callable[[], Any]], Any]
    key: Any
    count: int
    dtype: str

    def value(self, i: int) -> GraphValue:
        """Return an input that is computed, in whatever order its dimensions are."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if isinstance(found, GraphValue):
            return found
        if found is None:
            raise NoRule(f"input {i} is missing")
        return self.given(found)

    def given(self, constant: NDArray[Any]) -> GraphValue:
        """Return a constant as a value of the graph."""
        beside = next((v for v in self.inputs if isinstance(v, GraphValue)), None)
        if beside is None:
            raise NoRule("all its inputs are constant")
        shape = constant.shape
        batched = len(shape) > 0 and shape[0] == 1
        layer = ConstantTensor(shape[1:] if batched else shape, name=f"{self.name}.constant")
        tensor = layer(beside.tensor)
        layer.set_weights([constant[0] if batched else constant])
        return as_value(tensor, batched)

    def settled(self, i: int) -> GraphValue:
        """Return an input that is computed, with its dimensions in the file's order."""
        return settled(self.value(i), f"{self.name}.turned{i or ''}")

    def image(self, i: int) -> Tensor:
        """Return the Keras tensor (batch, height, width, channels) of an input."""
        value = self.settled(i)
        if not value.batched or len(value.order) != 4:
            raise NoRule(f"its input has shape {value.shape}, which is no image")
        return value.tensor

    def numbers(self, i: int) -> list[int]:
        """Return an input that must be a constant row of whole numbers, or one such number."""
        return [int(v) for v in self.constant(i).ravel()]

    def option(self, name: str, default: Any = 0) -> Any:
        """Return the value of an option."""
        return self.options.get(name, default)

    def activated(self, tensor: Tensor) -> Tensor:
        """Return a tensor after the fused activation, as a layer of its own."""
        number = self.option("activation")
        if number == 0:
            return tensor
        return activation_layer(number, tensor, f"{self.name}.activation")

    def named(self, tensor: Tensor, ending: str = "") -> Tensor:
        """Give the operation of `keras.ops` that made a tensor this operator's name, and return the tensor."""
        return named(tensor, f"{self.name}{ending}")


Rule = Callable[[RuleCall], "GraphValue | list[GraphValue]"]


def activation_layer(number: int, tensor: Tensor, name: str) -> Tensor:
    """Return a tensor after a fused activation, by the activation's number in the format."""
    if number == 1:
        return layers.ReLU(name=name)(tensor)
    if number == 2:
        return named(ops.clip(tensor, -1.0, 1.0), name)
    if number == 3:
        return layers.ReLU(6.0, name=name)(tensor)
    if number == 4:
        return layers.Activation("tanh", name=name)(tensor)
    raise NoRule(f"its fused activation is number {number}")
