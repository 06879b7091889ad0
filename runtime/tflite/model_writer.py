"""Writing `.tflite` files without TensorFlow: the inverse of `model_file.parse_model_file`.

A device makes files of its own with it, to measure layers that no store has, and files of other origin are written with
it once they are fit for stores (`fitting`). Other files of stores are made by TensorFlow's converter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from legodnn.runtime.tflite.detection_options import CUSTOM, DETECTION, write_detection_options
from legodnn.runtime.tflite.flatbuffer_writer import write_flatbuffer
from legodnn.runtime.tflite.model_file import (
    IDENTIFIER,
    MODEL_SCHEMA,
    TYPE_NUMBERS,
    FileGraph,
    FileOperator,
    FileTensor,
)

_VERSION = 3  # of the format
_MOST_OLD_CODE = 127  # kinds beyond it are only in the field `code`


def write_model_file(graph: FileGraph) -> bytes:
    """Return the content of the `.tflite` file of a graph; `parse_model_file` reads the same graph from it."""
    constant = [tensor.data for tensor in graph.tensors if tensor.data is not None]
    codes = sorted({(operator.code, operator.version) for operator in graph.operators})
    place = iter(range(1, 1 + len(constant)))  # buffer 0 is the empty one
    model = {
        "version": _VERSION,
        "codes": [_code(code, version) for code, version in codes],
        "graphs": [
            {
                "tensors": [_tensor(t, 0 if t.data is None else next(place)) for t in graph.tensors],
                "inputs": graph.inputs,
                "outputs": graph.outputs,
                "operators": [_operator(o, codes.index((o.code, o.version))) for o in graph.operators],
                "debug": -1,
            }
        ],
        "buffers": [{}, *({"data": data} for data in constant)],
    }
    return write_flatbuffer(model, IDENTIFIER, MODEL_SCHEMA)


def _tensor(tensor: FileTensor, buffer: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "shape": tensor.shape,
        "type": TYPE_NUMBERS[tensor.dtype],
        "buffer": buffer,
        "is_variable": False,
        "external_buffer": 0,
    }
    if tensor.name:
        entry["name"] = tensor.name.encode()
    if len(tensor.scales):
        entry["quantization"] = {
            **{"scale": tensor.scales, "zero_point": tensor.zero_points, "axis": tensor.axis},
            **{"details_type": 0},
        }
    return entry


def _code(code: int, version: int) -> dict[str, Any]:
    custom = DETECTION if code == CUSTOM else None
    return {"old_code": min(code, _MOST_OLD_CODE), "code": code, "version": version, "custom": custom}


def _operator(operator: FileOperator, code: int) -> dict[str, Any]:
    entry = {"code": code, "inputs": operator.inputs, "outputs": operator.outputs, "debug": -1, "options_type": 0}
    if operator.code == CUSTOM:
        options = np.frombuffer(write_detection_options(operator.options or {}), np.uint8)
        return {**entry, "custom_options": options}
    return {**entry, "options_type": operator.options_type, "options": operator.options}
