"""An ONNX file as a graph of ordinary Keras layers, so that blocks can be cut from it and channels removed.

Each node becomes the layers that compute the same; the rules are in tables (`weight_rules`, `image_rules`,
`element_rules`). What follows from constants and shapes alone is computed at once. Images, which ONNX has with channels
first, have them last here, in the graph and where it begins and ends. Layers have the names of the values that they
give.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from legodnn.arrays import Shape
from legodnn.blocks.importing.graph import on_one_line, submodel
from legodnn.blocks.importing.onnx.call import OnnxCall, channels_first
from legodnn.blocks.importing.onnx.element_rules import ONNX_ELEMENT_RULES
from legodnn.blocks.importing.onnx.file import OnnxGraph, OnnxInput, OnnxNode, read_onnx, real
from legodnn.blocks.importing.onnx.gelu import with_gelus
from legodnn.blocks.importing.onnx.image_rules import ONNX_IMAGE_RULES
from legodnn.blocks.importing.onnx.weight_rules import ONNX_WEIGHT_RULES, OnnxRule
from legodnn.blocks.importing.tflite.call import FileInput, NoRule
from legodnn.blocks.importing.tflite.names import unique_names, valid_name
from legodnn.blocks.importing.tflite.values import GraphValue, as_value, settled
from legodnn.errors import ModelError
from legodnn.runtime.tflite.constant_folding import MOST_CONSTANT_ELEMENTS

log = logging.getLogger("legodnn.blocks.importing")

ONNX_RULES: dict[str, OnnxRule] = {**ONNX_WEIGHT_RULES, **ONNX_IMAGE_RULES, **ONNX_ELEMENT_RULES}
_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "Sqrt", "Exp")
_STAYS_POSITIVE = ("MaxPool", "AveragePool", "Dropout", "Identity", "Concat")
# What is not computed of constants: what is random, and what a few numbers could make endless.
_NOT_COMPUTED = re.compile(r"Random|Bernoulli|Multinomial|Resize|Upsample|OneHot|EyeLike|Gemm|Einsum|.*\.")


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
        outputs = tuple(_named(graph, name) for name in cut_at) or graph.outputs
        self.graph, self.input_shape = graph.part_for(outputs), input_shape
        self.values: dict[str, FileInput] = {**graph.constants}
        self.names: set[str] = set()
        self.layers: dict[Any, Any] = {}
        self.positive: set[str] = set()
        self.wanted = {*self.graph.outputs, *(name for node in self.graph.nodes for name in node.inputs)}

    def model(self, name: str) -> keras.Model:
        """Make the graph."""
        inputs = [self._input(each) for each in self.graph.inputs]
        for node in self.graph.nodes:
            self._add(node)
        outputs: list[Any] = []
        for each in self.graph.outputs:
            found = self.values.get(each)
            if not isinstance(found, GraphValue):
                raise ModelError(f"output {each!r} is not computed from an input")
            if found.order == _TO_FIRST and found.batched:
                log.info("output %s is channels-first in the file, and channels-last here", each)
                found = as_value(found.tensor)
            tensor = settled(found, self._free(f"{each}_turned")).tensor
            if any(tensor is other for other in (*inputs, *outputs)):
                tensor = layers.Identity(name=self._free(f"{each}_again"))(tensor)
            outputs.append(tensor)
        made = submodel(inputs, outputs, valid_name(name.removesuffix(".onnx")))
        made.output_names = unique_names([valid_name(each) for each in self.graph.outputs])
        if any(node.kind == "DequantizeLinear" for node in self.graph.nodes):
            log.warning(
                "%s is quantised: the float32 graph is the model that it stands for, without the file's rounding", name
            )
        return made

    def _free(self, name: str) -> str:
        """Return a valid name that no layer has yet."""
        base = free = valid_name(name)
        number = 1
        while free in self.names:
            number += 1
            free = f"{base}_{number}"
        self.names.add(free)
        return free

    def _input(self, given: OnnxInput) -> Any:
        """Add an input of the file; return the Keras tensor that it is."""
        shape, floating = self._input_shape(given), given.dtype.startswith(("float", "bfloat"))
        if not floating and not re.fullmatch(r"u?int(8|16|32|64)|bool", given.dtype):
            raise ModelError(f"input {given.name!r} takes {given.dtype}; a store's inputs are numbers")
        image = len(shape) == 4 and not self._is_turned(given.name)
        kept = tuple(shape[i] for i in _TO_LAST) if image else shape
        made = keras.Input(kept[1:], dtype="float32" if floating else given.dtype, name=self._free(given.name))
        if image:
            log.info("input %s is channels-first in the file, and channels-last here: %s", given.name, kept)
        self.values[given.name] = channels_first(as_value(made)) if image else as_value(made)
        return made

    def _is_turned(self, name: str) -> bool:
        """Whether the file takes an image with channels last, and turns it before anything else."""
        readers = [node for node in self.graph.nodes if name in node.inputs]
        return bool(readers) and all(
            node.kind == "Transpose" and tuple(node.attributes.get("perm", ())) == _TO_FIRST for node in readers
        )

    def _input_shape(self, given: OnnxInput) -> Shape:
        shape = given.shape
        if self.input_shape is not None:
            if len(self.graph.inputs) > 1:
                raise ModelError("an input shape is given, and it has several inputs; leave the shape out")
            wanted = (1, *self.input_shape)
            if len(wanted) != len(shape) or any(d not in (None, w) for d, w in zip(shape[1:], wanted[1:], strict=True)):
                raise ModelError(
                    f"input {given.name!r} has shape {shape}, which {self.input_shape} does not fit; give one with its "
                    "fixed sizes, without the first"
                )
            shape = wanted
        if not shape or shape[0] not in (1, None):
            raise ModelError(f"input {given.name!r} has shape {shape}; its first size must be 1, the number of images")
        known = [1, *(d for d in shape[1:] if d is not None)]
        if len(known) < len(shape):
            raise ModelError(
                f"input {given.name!r} has shape {shape}, which fixes not all sizes: give them as the file has them "
                "with --input-shape (input_shape in a recipe), such as 3,224,224"
            )
        return tuple(known)

    def _add(self, node: OnnxNode) -> None:
        """Add a node's layers."""
        try:
            inputs = [self._read(name) for name in node.inputs]
            results = self._results(node, inputs)
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

    def _results(self, node: OnnxNode, inputs: list[FileInput]) -> Sequence[FileInput]:
        """Return what a node gives."""
        if node.kind == "Shape" and isinstance(inputs[0], GraphValue):
            part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
            return [np.array(inputs[0].shape, np.int64)[part]]
        if node.kind == "Size" and isinstance(inputs[0], GraphValue):
            return [np.array(prod(inputs[0].shape), np.int64)]
        if not any(isinstance(x, GraphValue) for x in inputs):
            return self._computed(node)
        if node.kind not in ONNX_RULES:
            raise NoRule("there is no rule for it")
        call = OnnxCall(
            kind=node.kind,
            name=self._free(re.sub(r"_output_0$", "", next(filter(None, node.outputs)))),
            inputs=inputs,
            attributes=node.attributes,
            opset=self.graph.opset,
            count=len(node.outputs),
            alone=self.wanted.isdisjoint(node.outputs[1:]),
            layer_of=self._layer_of,
            key=self._key(node),
            positive=bool(node.inputs) and node.inputs[0] in self.positive,
        )
        results = ONNX_RULES[node.kind](call)
        return results if isinstance(results, list) else [results]

    def _computed(self, node: OnnxNode) -> list[FileInput]:
        """Return what a node makes of constants alone, by the reference of the standard."""
        from onnx.reference import ReferenceEvaluator

        if _NOT_COMPUTED.match(node.kind):
            raise NoRule("there is no rule for it")
        arrays = {name: x for name in node.inputs if isinstance(x := self.values.get(name), np.ndarray)}
        if _elements(node.kind, [*arrays.values()]) > MOST_CONSTANT_ELEMENTS:
            raise NoRule("it makes too large a constant")
        found = ReferenceEvaluator(node.proto, opsets={"": self.graph.opset}).run(None, arrays)
        return [real(y) for y in found]

    def _layer_of(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.layers:
            self.layers[key] = make()
        return self.layers[key]

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


def _elements(kind: str, inputs: Sequence[np.ndarray[Any, Any]]) -> float:
    """Return about how many elements an operator makes of constants, at most; it is told so before it makes them."""
    sizes = [float(x.size) for x in inputs]
    if kind == "Range":
        start, limit, delta = (float(x.ravel()[0]) for x in inputs)
        return (limit - start) / delta if delta else np.inf
    if kind in ("ConstantOfShape", "Expand", "Tile"):
        return float(np.prod(np.abs(inputs[-1].astype(np.float64)))) * (sizes[0] if len(inputs) > 1 else 1)
    if kind == "Pad":
        added = np.abs(inputs[1].astype(np.float64)).reshape(2, -1).sum(axis=0)
        return float(np.prod(added + max(inputs[0].shape, default=1)))
    if kind == "MatMul":
        return float(np.prod([size / max(1, inputs[0].shape[-1]) for size in sizes]))
    try:
        return float(np.prod(np.broadcast_shapes(*(x.shape for x in inputs)), dtype=np.float64))
    except ValueError:
        return sum(sizes)  # of what joins or moves its inputs


def _named(graph: OnnxGraph, name: str) -> str:
    """Return the value of a name, which may be that of a layer or a node."""
    made = [output for node in graph.nodes for output in node.outputs if output]
    by_name = {re.sub(r"_output_0$", "", valid_name(output)): output for output in made}
    by_name.update((valid_name(output), output) for output in made)
    by_name.update((output, output) for output in made)
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, 3)
        hint = f"; near to it: {', '.join(near)}" if near else f"; the last is {made[-1]}" if made else ""
        raise ModelError(f"there is no computed value {name!r} to cut at{hint}")
    return by_name[name]
