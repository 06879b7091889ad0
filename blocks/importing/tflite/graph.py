"""A `.tflite` file as a graph of ordinary Keras layers, so that blocks can be cut from it and channels removed.

Weights become float32, whatever they are in the file: float16 and quantised ones are dequantised, and a quantised file
becomes the float model that it stands for. Each operator becomes the layer that computes the same; the rules are in
tables (`weight_rules`, `arithmetic_rules`, `image_rules`, `layout_rules`). Layers have the names of the tensors that
they give.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from legodnn.arrays import Shape
from legodnn.blocks.importing.graph import on_one_line
from legodnn.blocks.importing.tflite.arithmetic_rules import ARITHMETIC_RULES
from legodnn.blocks.importing.tflite.call import FileInput, NoRule, RuleCall
from legodnn.blocks.importing.tflite.constant_folding import of_constants, real_values
from legodnn.blocks.importing.tflite.dilation import with_dilations
from legodnn.blocks.importing.tflite.file import ForeignGraph, ForeignOperator, ForeignTensor, read_tflite
from legodnn.blocks.importing.tflite.graph_maker import GraphMaker, named_place
from legodnn.blocks.importing.tflite.image_rules import IMAGE_RULES
from legodnn.blocks.importing.tflite.layout_rules import LAYOUT_RULES
from legodnn.blocks.importing.tflite.names import valid_name
from legodnn.blocks.importing.tflite.values import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    GraphValue,
    as_value,
    transposed_value,
)
from legodnn.blocks.importing.tflite.weight_rules import WEIGHT_RULES
from legodnn.errors import ModelError

log = logging.getLogger("legodnn.blocks.importing")

RULES = {**WEIGHT_RULES, **ARITHMETIC_RULES, **IMAGE_RULES, **LAYOUT_RULES}
_CONTROL_FLOW = ("IF", "WHILE", "CALL", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
_QUANTISED = ("int8", "uint8", "int16")


def load_tflite(path: str | Path, cut_at: Sequence[str] = (), input_shape: Shape | None = None) -> keras.Model:
    """Return the model of a `.tflite` file as a Functional graph in float32.

    Args:
        path: the file.
        cut_at: names of tensors that are to be the outputs; what comes after them is left out. Empty: the file's own.
        input_shape: the shape of the input, without the number of images, for files that do not fix it.

    Raises:
        ModelError: the file cannot be read, is damaged, or has something that there is no rule for.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as e:
        raise ModelError(f"cannot read {path}: {e.strerror}") from None
    return graph_of(content, Path(path).name, cut_at, input_shape)


def graph_of(content: bytes, name: str, cut_at: Sequence[str] = (), input_shape: Shape | None = None) -> keras.Model:
    """Return the model of the content of a file; `name` is what messages call it, see `load_tflite`."""
    try:
        return _Importer(with_dilations(read_tflite(content)), cut_at, input_shape).model(name)
    except ModelError as e:
        raise ModelError(f"{name}: {e}") from None


class _Importer:
    """The graph of one file as far as it has been made."""

    def __init__(self, graph: ForeignGraph, cut_at: Sequence[str], input_shape: Shape | None) -> None:
        made = {graph.tensors[i].name: i for operator in graph.operators for i in operator.outputs}
        made = {**{valid_name(tensor): i for tensor, i in made.items()}, **made}  # layers have valid names
        self.graph = graph.part_for(tuple(named_place(made, tensor) for tensor in cut_at) or graph.outputs)
        self.maker = GraphMaker(input_shape, len(self.graph.inputs))
        self.sizes_given = input_shape is not None
        self.values: dict[int, FileInput] = {}
        self.pixel_ranges: dict[str, tuple[float, float]] = {}
        self.dequantised = 0

    def model(self, name: str) -> keras.Model:
        """Make the graph."""
        inputs = [self._input(i) for i in self.graph.inputs]
        for operator in self.graph.operators:
            self._add(operator)
        outputs = [(self.graph.tensors[i].name, self.values.get(i)) for i in self.graph.outputs]
        made = self.maker.model(name.removesuffix(".tflite"), inputs, outputs)
        made.pixel_ranges = self.pixel_ranges  # what pixels become in inputs of int8, by their names
        if self.dequantised:
            log.warning(
                "%s: %d constants are dequantised: the float32 graph is the model that the quantised file stands for, "
                "without the file's rounding",
                name,
                self.dequantised,
            )
        return made

    def _input(self, i: int) -> Any:
        """Add an input of the file; return the Keras tensor that it is."""
        tensor = self.graph.tensors[i]
        if i in self.values or tensor.data is not None:
            raise ModelError(f"input {tensor.name!r} is constant, or given twice")
        shape = self.maker.fixed_shape(tensor.name, tensor.shape, "224,224,3")
        dtype = tensor.dtype
        if dtype == "string" or not re.fullmatch(r"u?int(8|16|32|64)|float(16|32)|bool", dtype):
            raise ModelError(
                f"input {tensor.name!r} takes {dtype}; a store's inputs are numbers: begin behind it, by exporting the "
                "model without what reads it"
            )
        name = self.maker.free(tensor.name)
        turned = self._only_turned(i, shape)
        kept = tuple(shape[a] for a in CHANNELS_LAST) if turned else shape
        quantised = dtype in _QUANTISED and len(tensor.scales) == 1
        whole = quantised and dtype == "uint8"
        made = keras.Input(
            kept[1:], dtype=dtype if whole or not (quantised or "float" in dtype) else "float32", name=name
        )
        value = as_value(made)
        if whole:  # pixels as they are, which the file's scale and zero point turn into numbers
            scale, offset = float(tensor.scales[0]), _real(tensor, 0)
            value = as_value(layers.Rescaling(scale, offset, name=f"{name}.real")(made))
        elif quantised:
            log.warning("input %s is %s in the file, and takes the numbers that these stand for here", name, dtype)
            if dtype == "int8":
                self.pixel_ranges[made.name] = (_real(tensor, -128), _real(tensor, 127))
        if turned:
            log.warning("input %s is channels-first in the file, and channels-last here: %s", name, kept)
            value = transposed_value(value, CHANNELS_FIRST)
        self.values[i] = value
        return made

    def _only_turned(self, i: int, shape: Shape) -> bool:
        """Whether the file makes channels-first images channels-last before it tells their dimensions apart."""
        waiting, seen = [i], set[int]()
        while waiting:
            tensor = waiting.pop()
            readers = [o for o in self.graph.operators if tensor in o.inputs]
            if len(shape) != 4 or not readers or tensor in self.graph.outputs or tensor in seen:
                return False
            seen.add(tensor)
            others = [o for o in readers if not self._turns(o)]
            if not all(map(self._keeps, others)):
                return False
            waiting += [o.outputs[0] for o in others]
        return True

    def _turns(self, operator: ForeignOperator) -> bool:
        return operator.kind == "TRANSPOSE" and self._order(operator) == CHANNELS_LAST

    def _keeps(self, operator: ForeignOperator) -> bool:
        """Whether an operator treats every value of its only computed input alike, such as less a constant mean."""
        others = [self.graph.tensors[j] for j in operator.inputs[1:] if j >= 0]
        return operator.kind in ARITHMETIC_RULES and all(t.data is not None for t in others) and bool(operator.outputs)

    def _order(self, operator: ForeignOperator) -> Shape:
        tensor = self.graph.tensors[operator.inputs[1]] if len(operator.inputs) > 1 else None
        return tuple(int(v) for v in tensor.values().ravel()) if tensor is not None and tensor.data is not None else ()

    def _add(self, operator: ForeignOperator) -> None:
        """Add an operator's layers."""
        outputs = [self.graph.tensors[i] for i in operator.outputs]
        if not outputs or any(
            i in self.values or t.data is not None for i, t in zip(operator.outputs, outputs, strict=True)
        ):
            raise ModelError(
                f"operator {operator.number} writes nothing, or what is there already: the file is damaged"
            )
        try:
            results = self._results(operator, [self._read(i, operator) for i in operator.inputs], outputs)
        except NoRule as e:
            raise self._refused(operator, outputs[0], str(e)) from None
        except ModelError:
            raise
        except Exception as e:  # Keras and numpy have no error type of their own for arguments that a file makes up
            raise self._refused(operator, outputs[0], on_one_line(e) or type(e).__name__) from None
        if len(results) != len(outputs):
            raise self._refused(operator, outputs[0], f"it has {len(outputs)} outputs instead of {len(results)}")
        for i, tensor, result in zip(operator.outputs, outputs, results, strict=True):
            shape = result.shape if isinstance(result, GraphValue | np.ndarray) else ()
            fits = len(shape) == len(tensor.shape) and all(
                f in (None, d) for d, f in zip(shape, tensor.shape, strict=True)
            )
            if not fits and not self.sizes_given:
                raise self._refused(operator, tensor, f"it gives {shape}, and the file says {tensor.shape}")
            self.values[i] = result

    def _read(self, i: int, operator: ForeignOperator) -> FileInput:
        """Return a tensor that an operator reads."""
        if i < 0:
            return None
        if i not in self.values:
            tensor = self.graph.tensors[i]
            if tensor.data is None:
                raise ModelError(f"operator {operator.number} reads {tensor.name!r}, which nothing before it writes")
            self.values[i] = real_values(tensor)
            self.dequantised += len(tensor.scales) > 0
        return self.values[i]

    def _results(
        self, operator: ForeignOperator, inputs: list[FileInput], outputs: list[ForeignTensor]
    ) -> Sequence[GraphValue | np.ndarray[Any, Any]]:
        """Return what an operator gives."""
        kind, options = operator.kind, dict(operator.options)
        if kind in ("SHAPE", "RANK") and isinstance(inputs[0], GraphValue):
            shape = inputs[0].shape
            return [np.array(shape if kind == "SHAPE" else len(shape), np.int32)]
        constant = len(inputs) > 0 and not any(isinstance(x, GraphValue) for x in inputs)
        call = RuleCall(
            kind=kind,
            name=valid_name(outputs[0].name) if constant else self.maker.free(outputs[0].name),
            inputs=inputs,
            options=options,
            layer_of=self.maker.layer_of,
            key=self._key(operator),
            count=len(outputs),
            dtype=outputs[0].dtype,
        )
        if constant:
            return of_constants(call, RULES.get(kind))
        if kind not in RULES:
            raise NoRule("there is no rule for it")
        results = RULES[kind](call)
        return results if isinstance(results, list) else [results]

    def _key(self, operator: ForeignOperator) -> Any:
        """Return what operators have in common that can be one layer: kind, options, constants, channels."""
        computed = [self.values[i] for i in operator.inputs if isinstance(self.values.get(i), GraphValue)]
        channels = [v.stored[-1:] for v in computed if isinstance(v, GraphValue)]
        constants = [i for i in operator.inputs if not isinstance(self.values.get(i), GraphValue)]
        options = sorted((k, v) for k, v in operator.options.items() if isinstance(v, int | float))
        return operator.kind, tuple(constants), tuple(channels), tuple(options)

    def _refused(self, operator: ForeignOperator, output: ForeignTensor, reason: str) -> ModelError:
        """Return the error that an operator cannot become layers, with what would help."""
        if operator.kind in _CONTROL_FLOW:
            reason = "it is control flow or keeps state, which blocks cannot have (recurrent layers: unroll=True)"
        before = [self.graph.tensors[i].name for i in operator.inputs if isinstance(self.values.get(i), GraphValue)]
        help_ = f"; --cut-at {before[0]} ends the model before it" if before and self.maker.names else ""
        return ModelError(f"operator {operator.number} ({operator.kind}), which gives {output.name!r}: {reason}{help_}")


def _real(tensor: ForeignTensor, element: int) -> float:
    """Return the number that an element of a quantised tensor stands for."""
    zero = float(tensor.zero_points[0]) if len(tensor.zero_points) else 0.0
    return (element - zero) * float(tensor.scales[0])
