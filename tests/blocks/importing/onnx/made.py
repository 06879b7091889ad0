"""Small ONNX files, and what the reference of the standard makes of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from legodnn.blocks.importing.graph import alone, as_list
from legodnn.blocks.importing.onnx.graph import load_onnx

_RNG = np.random.default_rng(0)


def file_of(
    path: Path, text: str, inputs: str = "float[1,4,9,8] x", opset: int = 17, outputs: str = "y", **weights: Any
) -> Path:
    """Write a file of nodes in ONNX's text form; weights are arrays, or the shape of random ones."""
    arrays = {
        name: _RNG.normal(size=w).astype(np.float32) if isinstance(w, tuple) else _array(w)
        for name, w in weights.items()
    }
    given = ", ".join(f"float[] {name}" for name in outputs.split(","))
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> g ({inputs}) => ({given}) {{ {text} }}'
    )
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    onnx.save(model, path)
    return path


def _array(given: Any) -> Any:
    found = np.asarray(given)
    return found.astype(np.float32) if found.dtype.kind == "f" else found


def turned(x: Any) -> Any:
    """An image with channels last."""
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def compared(path: Path, *shapes: tuple[int, ...], images: bool = True, low: float = -2.0) -> Any:
    """Compare a file's graph with the reference on random inputs, and return the graph."""
    model = load_onnx(path)
    names = [entry.name for entry in onnx.load(path).graph.input]
    xs = [_RNG.uniform(low, 2, shape).astype(np.float32) for shape in shapes or ((1, 4, 9, 8),)]
    wanted = ReferenceEvaluator(str(path)).run(None, dict(zip(names, xs, strict=True)))
    given = [turned(x) if images else x for x in xs]
    found = as_list(model(alone(given), training=False))
    for y, each in zip(found, wanted, strict=True):
        y = np.asarray(y, np.float32)
        each = np.asarray(each, np.float32)
        np.testing.assert_allclose(y, each if y.shape == each.shape else turned(each), rtol=1e-4, atol=1e-5)
    return model
