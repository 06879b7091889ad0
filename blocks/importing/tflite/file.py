"""Parsing a `.tflite` file that is to become a Keras graph: its tensors with their constants, and its operators.

The file may be damaged or forged; it is read by the reader that checks all bounds (`runtime.tflite.flatbuffer`). More
is let in here than stores may hold: unknown sizes, sparse constants, every integer type, names, metadata. What an
operator means is left to its rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.tflite.sparsity import Sparsity, dense
from legodnn.errors import ModelError
from legodnn.runtime.tflite.constant_folding import MOST_CONSTANT_ELEMENTS
from legodnn.runtime.tflite.flatbuffer import Damaged, Record, lenient, read_flatbuffer
from legodnn.runtime.tflite.model_file import (
    IDENTIFIER,
    MODEL_SCHEMA,
    TYPES,
    Refused,
    quantisation_of,
    tensor_indices,
)
from legodnn.runtime.tflite.operator_kinds import KINDS

# Operators that no store has: names for messages, and those that only constants need.
_OTHER_KINDS = {
    7: "EMBEDDING_LOOKUP", 10: "HASHTABLE_LOOKUP", 12: "L2_POOL_2D", 13: "LOCAL_RESPONSE_NORMALIZATION",
    15: "LSH_PROJECTION", 16: "LSTM", 24: "RNN", 27: "SVDF", 31: "CALL", 32: "CUSTOM",
    33: "EMBEDDING_LOOKUP_SPARSE", 35: "UNIDIRECTIONAL_SEQUENCE_RNN", 44: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    46: "BIDIRECTIONAL_SEQUENCE_RNN", 51: "DELEGATE", 52: "BIDIRECTIONAL_SEQUENCE_LSTM", 68: "SPARSE_TO_DENSE",
    77: "SHAPE", 80: "FAKE_QUANT", 91: "REDUCE_ANY", 96: "RANGE", 103: "UNIQUE", 106: "ADD_N",
    109: "WHERE", 110: "RANK", 112: "REVERSE_SEQUENCE", 113: "MATRIX_DIAG", 115: "MATRIX_SET_DIAG", 118: "IF",
    119: "WHILE", 120: "NON_MAX_SUPPRESSION_V4", 121: "NON_MAX_SUPPRESSION_V5", 122: "SCATTER_ND",
    124: "DENSIFY", 129: "CALL_ONCE", 142: "VAR_HANDLE", 143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE",
    145: "BROADCAST_ARGS", 206: "STABLEHLO_COMPOSITE",
}  # fmt: skip
_TYPES = {**TYPES, 5: "string", 10: "float64", 12: "uint64", 15: "uint32", 16: "uint16", 17: "int4", 18: "bfloat16"}
_FOUND_IN_STORES = frozenset(TYPES.values()) | {"float64"}

_MODEL = lenient(MODEL_SCHEMA)


@dataclass(frozen=True, eq=False)
class ForeignTensor:
    """A tensor of a file.

    Attributes:
        name: as in the file.
        shape: its dimensions; None where the file does not fix a size.
        dtype: the type of its elements as in the file.
        data: its bytes if it is constant.
        scales, zero_points, axis: its quantisation; `scales` is empty if it has none.
        sparsity: how its data is laid out if zeros are left out; None if they are not.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    data: NDArray[np.uint8] | None
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    sparsity: Sparsity | None

    def values(self) -> NDArray[Any]:
        """Return the elements of a constant as they are in the file, in its shape.

        Raises:
            ModelError: the bytes do not fit the shape.
        """
        shape = tuple(d or 0 for d in self.shape)
        if self.data is None or self.dtype not in _FOUND_IN_STORES or prod(shape) > MOST_CONSTANT_ELEMENTS:
            raise ModelError(
                f"constant {self.name!r} of {self.dtype} {shape} is too large, or of a type without a rule"
            )
        dtype = np.dtype(self.dtype).newbyteorder("<")
        if len(self.data) % dtype.itemsize:
            raise ModelError(f"constant {self.name!r} has {len(self.data)} bytes of {self.dtype}")
        elements = self.data.view(dtype).astype(dtype.newbyteorder("="))
        if self.sparsity is not None:
            return dense(elements, shape, self.sparsity, self.name)
        if elements.size != prod(shape):
            raise ModelError(f"constant {self.name!r} of shape {shape} has {elements.size} elements")
        found: NDArray[Any] = elements.reshape(shape)
        return found


@dataclass(frozen=True, eq=False)
class ForeignOperator:
    """An operator of a file.

    Attributes:
        number: its place in the order in which operators run.
        kind: its name in the format, such as `CONV_2D`; for custom operators `CUSTOM NAME`.
        inputs: indices of tensors; -1 for an optional input that is absent.
        outputs: indices of tensors.
        options: the values of its options by name; empty where the file has none.
    """

    number: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Record


@dataclass(frozen=True, eq=False)
class ForeignGraph:
    """The first graph of a file. All indices are known to be valid; operators are in the order in which they run."""

    tensors: tuple[ForeignTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[ForeignOperator, ...]

    def part_for(self, outputs: tuple[int, ...]) -> ForeignGraph:
        """Return the graph that ends at other tensors, with the operators and inputs that these need."""
        needed, kept = set(outputs), []
        for operator in reversed(self.operators):
            if needed.intersection(operator.outputs):
                needed.update(operator.inputs)
                kept.append(operator)
        inputs = tuple(i for i in self.inputs if i in needed)
        return replace(self, inputs=inputs, outputs=outputs, operators=tuple(reversed(kept)))


def read_tflite(content: bytes) -> ForeignGraph:
    """Parse a file.

    Raises:
        ModelError: it is no `.tflite` file, it is damaged, or its constants lie outside of it.
    """
    try:
        return _graph(read_flatbuffer(content, IDENTIFIER, _MODEL))
    except Damaged as e:
        raise ModelError(f"it is no .tflite file, or damaged: {e}") from None
    except Refused as e:
        raise ModelError(str(e)) from None


def _graph(model: Record) -> ForeignGraph:
    if model["version"] != 3 or not model["graphs"]:
        raise ModelError(f"it has no graph, or is of version {model['version']} of the format instead of 3")
    graph, buffers = model["graphs"][0], model["buffers"] or []
    if any(buffer["offset"] > 1 or buffer["size"] > 1 for buffer in buffers):
        raise ModelError("its constants lie behind the flatbuffer, as in files above 2 GB")
    tensors = tuple(_tensor(entry, i, buffers) for i, entry in enumerate(graph["tensors"] or ()))
    kinds = [_kind(entry) for entry in model["codes"] or ()]
    operators = tuple(_operator(o, i, kinds, len(tensors)) for i, o in enumerate(graph["operators"] or ()))
    inputs, outputs = (
        tensor_indices(graph[end], len(tensors), f"the graph's {end}", 0) for end in ("inputs", "outputs")
    )
    if not inputs or not outputs:
        raise ModelError("its graph has no inputs or no outputs")
    return ForeignGraph(tensors, inputs, outputs, operators)


def _tensor(entry: Record, number: int, buffers: list[Record]) -> ForeignTensor:
    name = (entry["name"] or b"").decode("utf-8", "replace") or f"tensor{number}"
    shape = tuple(int(d) for d in (() if entry["shape"] is None else entry["shape"]))
    signature = entry["shape_signature"]
    signature = shape if signature is None or len(signature) != len(shape) else tuple(int(d) for d in signature)
    if entry["type"] not in _TYPES:
        raise ModelError(f"tensor {name!r} has elements of type {entry['type']}, which is not known")
    if entry["buffer"] >= len(buffers) or entry["external_buffer"]:
        raise ModelError(f"tensor {name!r} is in buffer {entry['buffer']}, which is not in the file")
    if entry["is_variable"]:
        raise ModelError(f"tensor {name!r} is a variable, which keeps its value between runs; stores keep none")
    data = buffers[entry["buffer"]]["data"]
    scales, zero_points, axis = quantisation_of(entry["quantization"], f"tensor {name!r}")
    return ForeignTensor(
        name=name,
        shape=tuple(d if d > 0 and s > 0 else None for d, s in zip(shape, signature, strict=True)),
        dtype=_TYPES[entry["type"]],
        data=data if data is not None and len(data) else None,
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        sparsity=_sparsity(entry["sparsity"]) if entry["sparsity"] else None,
    )


def _sparsity(entry: Record) -> Sparsity:
    def values(of: Record | None) -> NDArray[np.int64]:
        found = (of or {}).get("values")
        return np.zeros(0, np.int64) if found is None else found.astype(np.int64)

    def vector(found: NDArray[np.int32] | None) -> tuple[int, ...]:
        return tuple(int(v) for v in (() if found is None else found))

    dimensions = tuple(
        (int(d["size"]), None) if d["format"] == 0 else (0, (values(d["segments"]), values(d["indices"])))
        for d in entry["dimensions"] or ()
    )
    return Sparsity(vector(entry["order"]), vector(entry["block_map"]), dimensions)


def _kind(entry: Mapping[str, Any]) -> str:
    """Return the name of the kind that an entry of the table of operator codes stands for."""
    code = max(entry["old_code"], entry["code"])
    if code == 32:
        return f"CUSTOM {(entry['custom'] or b'').decode('utf-8', 'replace'):.60}"
    return _OTHER_KINDS.get(code) or (KINDS[code].name if code in KINDS else f"kind {code}")


def _operator(entry: Record, number: int, kinds: list[str], tensors: int) -> ForeignOperator:
    where = f"operator {number}"
    if entry["code"] >= len(kinds):
        raise ModelError(f"{where} is of kind {entry['code']}, which the file does not list")
    inputs = tensor_indices(entry["inputs"], tensors, f"an input of {where}", least=-1)
    outputs = tensor_indices(entry["outputs"], tensors, f"an output of {where}", least=0)
    return ForeignOperator(number, kinds[entry["code"]], inputs, outputs, entry["options"] or {})
