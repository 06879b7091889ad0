"""Tiny whole models, each one dense layer, as files that a converter could have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.tflite.tflite_files import T, one, options, schema

WIDE = 512
_OPTIONS = options("FullyConnectedOptions", weightsFormat=0, keepNumDims=False)
_SCALES, _ZERO = (0.05,), 3  # of the inputs and outputs of int8


def weights(seed: int = 0, out: int = WIDE, depth: int = WIDE) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(out, depth)).astype(np.float32)


def dense_float(path: Path, seed: int = 0) -> Path:
    """Float32: `WIDE` numbers to as many."""
    path.write_bytes(
        one("FULLY_CONNECTED", [T((1, WIDE)), T((WIDE, WIDE), 0, weights(seed)), None], [T((1, WIDE))], _OPTIONS)
    )
    return path


def dense_dynamic(path: Path, seed: int = 0) -> Path:
    """The same with weights of int8, which are applied to float32: a quarter of the size."""
    w = weights(seed)
    scale = float(np.abs(w).max() / 127)
    stored = T((WIDE, WIDE), 9, np.rint(w / scale).astype(np.int8), (scale,))
    path.write_bytes(one("FULLY_CONNECTED", [T((1, WIDE)), stored, None], [T((1, WIDE))], _OPTIONS, version=3))
    return path


def dense_int8(path: Path, type: int = 9, out: int = 10, seed: int = 1) -> Path:
    """All of int8 (or of another type, by its number): 16 elements to 10, or another number."""
    w = np.random.default_rng(seed).integers(-127, 128, (out, 16)).astype(np.int8 if type == 9 else np.uint8)
    bias = np.arange(out, dtype=np.int32) * 50
    inputs = [T((1, 16), type, None, _SCALES, _ZERO), T((out, 16), type, w, (0.01,)), T((out,), 2, bias, (0.0005,))]
    path.write_bytes(one("FULLY_CONNECTED", inputs, [T((1, out), type, None, _SCALES, _ZERO)], _OPTIONS, version=4))
    return path


def named(content: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    """A file with other names of its inputs and outputs."""
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = model.subgraphs[0]
    for indices, names in ((graph.inputs, inputs), (graph.outputs, outputs)):
        for index, name in zip(indices, names, strict=True):
            graph.tensors[int(index)].name = name
    builder = flatbuffers.Builder(1 << 10)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
