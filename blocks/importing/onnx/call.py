"""One node of an ONNX file while it becomes layers: what rules ask for, and the rules of `.tflite` operators for them.

Most nodes are told in operators of TensorFlow Lite, whose rules make the layers (`tflite`). Those take images with
channels last, and ONNX has them first, so images are turned before and after; the turns wait and mostly undo each
other (`tflite.values`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.tflite.arithmetic_rules import ARITHMETIC_RULES
from legodnn.blocks.importing.tflite.call import FileInput, OperatorInputs, RuleCall
from legodnn.blocks.importing.tflite.constant_folding import of_constants
from legodnn.blocks.importing.tflite.image_rules import IMAGE_RULES
from legodnn.blocks.importing.tflite.layout_rules import LAYOUT_RULES
from legodnn.blocks.importing.tflite.values import GraphValue, settled, transposed_value
from legodnn.blocks.importing.tflite.weight_rules import WEIGHT_RULES

_RULES = {**WEIGHT_RULES, **ARITHMETIC_RULES, **IMAGE_RULES, **LAYOUT_RULES}


@dataclass(frozen=True, eq=False)
class OnnxCall(OperatorInputs):
    """A node with its inputs. Rules raise `NoRule` for what they cannot express.

    Attributes:
        kind: the operator's name.
        name: a valid and unique name for the layer that gives its output.
        inputs: for each input a value of the graph, or an array if it is constant, or None if absent.
        attributes: its settings by name.
        opset: the version of the standard that the file was written for.
        count: the number of its outputs.
        alone: whether nothing reads any output but the first.
        layer_of: gives the layer of an earlier node with the same key, or else makes it.
        key: identifies the node's constants, its kind and its settings.
        positive: whether the first input is known to have no number below 0.
    """

    kind: str
    name: str
    inputs: Sequence[FileInput]
    attributes: Mapping[str, Any]
    opset: int
    count: int
    alone: bool
    layer_of: Callable[[Any, Callable[[], Any]], Any]
    key: Any
    positive: bool

    def value(self, i: int) -> GraphValue:
        """Return an input that is computed, in whatever order its dimensions are; a constant as a computed one."""
        return self._call("", f".input{i}", self.inputs, 1, "float32", {}).value(i)

    def setting(self, i: int, name: str, default: Any = None) -> Any:
        """Return a setting that newer versions of the standard have as input `i`, and older ones as an attribute."""
        if self.has(i):
            return self.constant(i).tolist()
        return self.attributes.get(name, default)

    def run(
        self, kind: str, *inputs: FileInput, ending: str = "", dtype: str = "float32", count: int = 1, **options: Any
    ) -> Any:
        """Return what an operator of TensorFlow Lite makes of inputs: a value, or a list of them.

        Args:
            kind: the operator.
            inputs: computed values, constants, None for an absent one.
            ending: tells the operators of one node apart; the last one has none.
            dtype: the type of its output.
            count: the number of its outputs.
            options: its options, by the names that rules ask for.
        """
        call = self._call(kind, ending, inputs, count, dtype, options)
        if any(isinstance(x, GraphValue) for x in inputs):
            return _RULES[kind](call)
        return of_constants(call, _RULES[kind])[0]

    def _call(
        self, kind: str, ending: str, inputs: Sequence[FileInput], count: int, dtype: str, options: dict[str, Any]
    ) -> RuleCall:
        key = (self.key, kind, ending)
        return RuleCall(kind, f"{self.name}{ending}", inputs, options, self.layer_of, key, count, dtype)

    def layer(self, make: Callable[..., Any], weights: Sequence[NDArray[Any]], value: GraphValue) -> GraphValue:
        """Return what a layer with weights makes of a value in which nothing waits; its last axis is the channels."""
        made: list[Any] = []

        def fresh() -> Any:
            made.append(make(name=self.name))
            return made[0]

        layer = self.layer_of(self.key, fresh)
        result = layer(value.tensor)
        if made:
            layer.set_weights(list(weights))
        return value.now(result)

    def over_last(self, value: GraphValue, axis: int, work: Callable[[GraphValue], GraphValue]) -> GraphValue:
        """Return what `work` makes of a value whose dimension `axis` is brought to the end for it."""
        rank = len(value.order)
        axis = self.axis(axis, rank)
        order = (*(i for i in range(rank) if i != axis), axis)
        found = work(settled(transposed_value(value, order), f"{self.name}.last"))
        return transposed_value(found, tuple(int(i) for i in np.argsort(order)))


def channels_last(value: GraphValue) -> GraphValue:
    """Return a value of shape (1, channels, ...) as (1, ..., channels); the turn waits."""
    return transposed_value(value, (0, *range(2, len(value.order)), 1))


def channels_first(value: GraphValue) -> GraphValue:
    """Return a value of shape (1, ..., channels) as (1, channels, ...); the turn waits."""
    rank = len(value.order)
    return transposed_value(value, (0, rank - 1, *range(1, rank - 1)))
