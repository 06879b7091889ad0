"""An ONNX file as a graph of ordinary Keras layers, so that blocks can be cut from it and channels removed.

Each node becomes the layers that compute the same; the rules are in tables (`weight_rules`, `pool_rules`,
`image_rules`, `element_rules`, `quantised_rules`). What follows from constants and shapes alone is computed at once
(`constants`). Images, which ONNX has with channels first, have them last here, in the graph and where it begins and
ends. Layers have the names of the values that they give.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np

from legodnn.arrays import Shape
from legodnn.blocks.importing.graph import on_one_line
from legodnn.blocks.importing.onnx.call import OnnxCall, channels_first
from legodnn.blocks.importing.onnx.constants import computed
from legodnn.blocks.importing.onnx.file import OnnxGraph, OnnxInput, OnnxNode, branch_of, read_onnx
from legodnn.blocks.importing.onnx.gelu import with_gelus
from legodnn.blocks.importing.onnx.inputs import has_channels_last, real_numbers
from legodnn.blocks.importing.onnx.quantised_rules import QUANTISED_RULES, REAL_RULES
from legodnn.blocks.importing.onnx.weight_rules import OnnxRule
from legodnn.blocks.importing.tflite.call import FileInput, NoRule
from legodnn.blocks.importing.tflite.graph_maker import GraphMaker, named_place
from legodnn.blocks.importing.tflite.names import valid_name
from legodnn.blocks.importing.tflite.values import CHANNELS_FIRST, CHANNELS_LAST, GraphValue, as_value
from legodnn.errors import ModelError

log = logging.getLogger("legodnn.blocks.importing")

ONNX_RULES: dict[str, OnnxRule] = {**REAL_RULES, **QUANTISED_RULES}
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "Sqrt", "Exp")
_STAYS_POSITIVE = ("MaxPool", "AveragePool", "Dropout", "Identity", "Concat")
# Whose rules compute what they make of constants, since the standard's reference does not.
_OF_CONSTANTS = ("Resize", "Upsample", *(kind for kind in QUANTISED_RULES if "." in kind))


def load_onnx(path: str | Path, cut_at: Sequence[str] = (), input_shape: Shape | None = None) -> keras.Model:
    """Return the model of an ONNX file as a Functional graph in float32, which takes and gives images channels last.

    Args:
        path: the file.
        cut_at: names of values that are to be the outputs; what comes after them is left out. Empty: the file's own.
        input_shape: the shape of the input as the file has it, without the number of images, such as (3, 224, 224), for
            files that do not fix it.

    Raises:
        ModelError: the file cannot be read, is damaged, or has something that there is no rule for.
        DependencyError: the package `onnx` is not installed.
    """
    graph = with_gelus(read_onnx(Path(path)))
    try:
        return _Importer(graph, cut_at, input_shape).model(Path(path).name)
    except ModelError as e:
        raise ModelError(f"{Path(path).name}: {e}") from None


class _Importer:
    """The graph of one file as far as it has been made."""

    def __init__(self, graph: OnnxGraph, cut_at: Sequence[str], input_shape: Shape | None) -> None:
        made = [output for node in graph.nodes for output in node.outputs if output]
        places = {**{_layer_name(y): y for y in made}, **{valid_name(y): y for y in made}, **{y: y for y in made}}
        self.graph = graph.part_for(tuple(named_place(places, name) for name in cut_at) or graph.outputs)
        self.maker = GraphMaker(input_shape, len(self.graph.inputs))
        self.values: dict[str, FileInput] = {**graph.constants}
        self.positive: set[str] = set()
        self.pixel_ranges: dict[str, tuple[float, float]] = {}
        self.wanted = {*self.graph.outputs, *(name for node in self.graph.nodes for name in node.reads)}

    def model(self, name: str) -> keras.Model:
        """Make the graph."""
        inputs = [self._input(each) for each in self.graph.inputs]
        for node in self.graph.nodes:
            self._add(node)
        made = self.maker.model(
            name.removesuffix(".onnx"), inputs, [(y, self._given_back(y)) for y in self.graph.outputs]
        )
        made.pixel_ranges = self.pixel_ranges  # what pixels become in inputs of int8, by their names
        if any(node.kind in ("DequantizeLinear", "DynamicQuantizeLinear") for node in self.graph.nodes):
            log.warning(
                "%s is quantised: the float32 graph is the model that it stands for, without the file's rounding", name
            )
        return made

    def _given_back(self, output: str) -> FileInput:
        """Return an output of the file; an image with channels last."""
        found = self.values.get(output)
        if isinstance(found, GraphValue) and found.order == CHANNELS_FIRST and found.batched:
            log.info("output %s is channels-first in the file, and channels-last here", output)
            return as_value(found.tensor)
        return found

    def _input(self, given: OnnxInput) -> Any:
        """Add an input of the file; return the Keras tensor that it is."""
        shape = self.maker.fixed_shape(given.name, given.shape, "3,224,224, as the file has them")
        floating = given.dtype.startswith(("float", "bfloat"))
        if not floating and not re.fullmatch(r"u?int(8|16|32|64)|bool", given.dtype):
            raise ModelError(f"input {given.name!r} takes {given.dtype}; a store's inputs are numbers")
        image = len(shape) == 4 and not has_channels_last(self.graph, given.name)
        kept = tuple(shape[i] for i in CHANNELS_LAST) if image else shape
        numbers = None if floating else real_numbers(self.graph, given.name)
        whole = numbers is None or given.dtype == "uint8"
        name = self.maker.free(given.name)
        made = keras.Input(kept[1:], dtype="float32" if floating or not whole else given.dtype, name=name)
        value = as_value(made)
        if numbers and whole:  # pixels as they are, which the file's scale and zero point turn into numbers
            value = as_value(keras.layers.Rescaling(*numbers, name=f"{name}.real")(made))
        elif numbers:
            log.warning("input %s is %s in the file, and takes the numbers that these stand for", name, given.dtype)
            if given.dtype == "int8":
                self.pixel_ranges[made.name] = (numbers[1] - 128 * numbers[0], numbers[1] + 127 * numbers[0])
        if image:
            log.info("input %s is channels-first in the file, and channels-last here: %s", given.name, kept)
        self.values[given.name] = channels_first(value) if image else value
        return made

    def _add(self, node: OnnxNode) -> None:
        """Add a node's layers."""
        try:
            inputs = [self._read(name) for name in node.inputs]
            results = self._chosen(node) if self._is_decided(node) else self._results(node, inputs)
            if any(name in self.wanted for name in node.outputs[len(results) :]):
                raise NoRule(f"it has {len(node.outputs)} outputs instead of {len(results)}")
        except NoRule as e:
            raise self._refused(node, str(e)) from None
        except ModelError:
            raise
        except Exception as e:  # Keras and numpy have no error type of their own for arguments that a file makes up
            raise self._refused(node, on_one_line(e) or type(e).__name__) from None
        self.values.update((name, y) for name, y in zip(node.outputs, results, strict=False) if name)
        if self._is_positive(node):
            self.positive.add(node.outputs[0])

    def _read(self, name: str) -> FileInput:
        if not name:
            return None
        if name not in self.values:
            raise NoRule(f"it reads {name!r}, which nothing before it writes")
        return self.values[name]

    def _is_decided(self, node: OnnxNode) -> bool:
        """Whether a node is an `If` whose condition follows from constants and shapes."""
        return node.kind == "If" and isinstance(self.values[node.inputs[0]], np.ndarray)

    def _chosen(self, node: OnnxNode) -> Sequence[FileInput]:
        """Add the nodes of the branch that a condition chooses; return what it gives."""
        condition = np.ravel(self.values[node.inputs[0]])[0]  # type: ignore[arg-type]
        nodes, constants, outputs = branch_of(node.attributes["then_branch" if condition else "else_branch"])
        self.values.update(constants)
        self.wanted.update(outputs, (name for each in nodes for name in each.inputs))
        for each in nodes:
            self._add(each)
        return [self._read(name) for name in outputs]

    def _results(self, node: OnnxNode, inputs: list[FileInput]) -> Sequence[FileInput]:
        """Return what a node gives."""
        if node.kind == "Shape" and isinstance(inputs[0], GraphValue):
            part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
            return [np.array(inputs[0].shape, np.int64)[part]]
        if node.kind == "Size" and isinstance(inputs[0], GraphValue):
            return [np.array(prod(inputs[0].shape), np.int64)]
        if not any(isinstance(x, GraphValue) for x in inputs) and node.kind not in _OF_CONSTANTS:
            arrays = {name: x for name, x in zip(node.inputs, inputs, strict=True) if isinstance(x, np.ndarray)}
            return computed(node, arrays, self.graph.opset)
        if node.kind not in ONNX_RULES:
            raise NoRule("there is no rule for it")
        call = OnnxCall(
            kind=node.kind,
            name=self.maker.free(_layer_name(next(filter(None, node.outputs)))),
            inputs=inputs,
            attributes=node.attributes,
            opset=self.graph.opset,
            count=len(node.outputs),
            alone=self.wanted.isdisjoint(node.outputs[1:]),
            layer_of=self.maker.layer_of,
            key=self._key(node),
            positive=bool(node.inputs) and node.inputs[0] in self.positive,
        )
        results = ONNX_RULES[node.kind](call)
        return results if isinstance(results, list) else [results]

    def _key(self, node: OnnxNode) -> Any:
        """Return what nodes have in common that can be one layer: kind, settings, constants, channels."""
        computed = [self.values.get(name) for name in node.inputs]
        channels = tuple(v.stored[-1:] for v in computed if isinstance(v, GraphValue))
        constants = tuple(name for name in node.inputs if not isinstance(self.values.get(name), GraphValue))
        if not any(constants):
            return node.number  # what has no weights shares nothing
        return node.kind, constants, channels, repr(sorted(node.attributes.items()))

    def _is_positive(self, node: OnnxNode) -> bool:
        if node.kind == "Clip":
            low = node.attributes.get("min", self.values.get(node.inputs[1]) if len(node.inputs) > 1 else None)
            return isinstance(low, np.ndarray | float) and float(np.ravel(low)[0]) >= 0
        return node.kind in _NEVER_NEGATIVE or (
            node.kind in _STAYS_POSITIVE and self.positive.issuperset(filter(None, node.inputs))
        )

    def _refused(self, node: OnnxNode, reason: str) -> ModelError:
        """Return the error that a node cannot become layers, with what would help."""
        if node.kind in ("If", "Loop", "Scan"):
            reason = "it is control flow, which blocks cannot have"
        before = [name for name in node.inputs if isinstance(self.values.get(name), GraphValue)]
        inputs = {each.name for each in self.graph.inputs}
        help_ = f"; --cut-at {before[0]} ends the model before it" if before and before[0] not in inputs else ""
        output = next((name for name in node.outputs if name), "")
        return ModelError(f"node {node.number} ({node.kind}), which gives {output!r}: {reason}{help_}")


def _layer_name(output: str) -> str:
    """Return what the layer is called that gives a value."""
    return re.sub(r"_output_0$", "", valid_name(output))
