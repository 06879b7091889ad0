"""Files that ONNX Runtime quantised become the float models that they stand for, whichever way they hold integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from legodnn.blocks.importing.onnx.graph import load_onnx
from legodnn.errors import ModelError
from tests.blocks.importing.onnx.made import file_of, turned
from tests.blocks.importing.tflite.compared import kinds

_RNG = np.random.default_rng(0)
X = _RNG.uniform(-1, 1, (1, 4, 9, 8)).astype(np.float32)
IN = {"s": np.float32(1 / 127), "z": np.int8(0)}
STEP = 0.02  # of the output's integers
OUT = {"t": np.float32(STEP), "o": np.uint8(100)}
CONV: dict[str, Any] = {
    "w": _RNG.integers(-50, 50, (6, 4, 3, 3)).astype(np.int8),
    "u": np.linspace(0.002, 0.01, 6),
    "v": np.zeros(6, np.int8),
    "b": _RNG.integers(-5000, 5000, 6).astype(np.int32),
}
ROWS: dict[str, Any] = {
    "w": _RNG.integers(-50, 50, (8, 5)).astype(np.int8),
    "u": np.linspace(0.002, 0.01, 5),
    "v": np.zeros(5, np.int8),
}


def _file(path: Path, text: str, **weights: Any) -> Path:
    """Write a file that may have operators of ONNX Runtime, as `domain.Kind`."""
    file_of(path, text.replace("com.microsoft.", ""), opset=21, **weights)
    model = onnx.load(path)
    for node in model.graph.node:
        if f"com.microsoft.{node.op_type}" in text:
            node.domain = "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    return path


def _given(path: Path) -> Any:
    return np.asarray(load_onnx(path)(turned(X), training=False))


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        (
            "q = QuantizeLinear(x, s, z) c = QLinearConv<pads=[1,1,1,1]>(q, s, z, w, u, v, t, o, b) "
            "y = DequantizeLinear(c, t, o)",
            {**IN, **OUT, **CONV},
        ),
        (
            "q = QuantizeLinear(x, s, z) c = QLinearMatMul(q, s, z, w, u, v, t, o) y = DequantizeLinear(c, t, o)",
            {**IN, **OUT, **ROWS},
        ),
        (
            "q, r, p = DynamicQuantizeLinear(x) c = ConvInteger(q, w, p, k) f = Cast<to=1>(c) m = Mul(r, g) "
            "y = Mul(f, m)",
            {"w": _RNG.integers(0, 255, (6, 4, 3, 3)).astype(np.uint8), "k": np.uint8(128), "g": np.float32(0.01)},
        ),
        (
            "q, r, p = DynamicQuantizeLinear(x) c = MatMulInteger(q, w, p, k) f = Cast<to=1>(c) m = Mul(r, u) "
            "y = Mul(f, m)",
            {**ROWS, "k": np.arange(5, dtype=np.int8)},
        ),
    ],
)
def test_products_of_integers_are_those_of_what_they_stand_for(
    text: str, weights: dict[str, Any], tmp_path: Path
) -> None:
    path = _file(tmp_path / "m.onnx", text, **weights)
    wanted, found = ReferenceEvaluator(str(path)).run(None, {"x": X})[0], _given(path)
    wanted = wanted if wanted.shape == found.shape else turned(wanted)
    assert found.std() > 5 * STEP
    low, high = (0 - 100) * STEP, (255 - 100) * STEP
    if "QLinear" in text:  # the file saturates
        found, wanted = np.clip(found, low, high), np.clip(wanted, low, high)
    np.testing.assert_allclose(found, wanted, atol=3 * STEP)


@pytest.mark.parametrize(
    ("text", "weights", "wanted"),
    [
        ("y = com.microsoft.QLinearAdd(x, s, z, x, s, z, t, o)", {}, 2 * X),
        ("y = com.microsoft.QLinearMul(x, s, z, w, u, v, t, o)", {"w": np.int8(50), "u": 0.01, "v": np.int8(0)}, X / 2),
        ("y = com.microsoft.QLinearSigmoid(x, s, z, t, o)", {}, 1 / (1 + np.exp(-X))),
        ("y = com.microsoft.QLinearLeakyRelu<alpha=0.5>(x, s, z, t, o)", {}, np.where(X < 0, X / 2, X)),
        ("y = com.microsoft.QLinearGlobalAveragePool(x, s, z, t, o)", {}, X.mean((2, 3), keepdims=True)),
        ("y = com.microsoft.QLinearReduceMean<axes=[1]>(x, s, z, t, o)", {}, X.mean(1, keepdims=True)),
        ("y = com.microsoft.QLinearAveragePool<kernel_shape=[9,8]>(x, s, z, t, o)", {}, X.mean((2, 3), keepdims=True)),
        ("y = com.microsoft.QLinearConcat<axis=1>(t, o, x, s, z, x, s, z)", {}, np.concatenate([X, X], 1)),
        (
            "c = com.microsoft.QLinearAdd(w, u, v, w, u, v, t, o) y = com.microsoft.QLinearMul(x, s, z, c, t, o, t, o)",
            {"w": np.int8(50), "u": 0.01, "v": np.int8(0)},
            X,
        ),
        (
            "y = com.microsoft.QLinearSoftmax<axis=3>(x, s, z, t, o)",
            {},
            np.exp(X) / np.exp(X).sum(axis=3, keepdims=True),
        ),
    ],
)
def test_operators_of_onnx_runtime_over_integers(
    text: str, weights: dict[str, Any], wanted: Any, tmp_path: Path
) -> None:
    path = _file(tmp_path / "m.onnx", text, **{**IN, **OUT, **weights})
    found = _given(path)
    wanted = wanted if wanted.shape == found.shape else turned(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_dense_layer_of_integers_has_a_scale_for_each_column_and_a_relu(tmp_path: Path) -> None:
    text = "f = Flatten(x) y = com.microsoft.QGemm<transB=1>(f, s, z, w, u, v, b, t, o)"
    w, b = _RNG.integers(-50, 50, (3, 288)).astype(np.int8), np.array([300, -200, 100], np.int32)
    scales = np.array([0.01, 0.02, 0.03])
    weights = {"w": w, "u": scales, "v": np.zeros(3, np.int8), "b": b}
    path = _file(tmp_path / "m.onnx", text, **{**IN, **OUT, **weights, "o": np.uint8(0)})
    wanted = X.reshape(1, -1) @ (w.T * scales) + b * scales / 127
    np.testing.assert_allclose(_given(path), np.maximum(wanted, 0), rtol=1e-4, atol=1e-5)
    assert kinds(load_onnx(path))[-2:] == ["Dense", "ReLU"]


def test_images_with_channels_last_are_refused(tmp_path: Path) -> None:
    path = _file(
        tmp_path / "m.onnx", "y = com.microsoft.QLinearGlobalAveragePool<channels_last=1>(x, s, z, t, o)", **IN, **OUT
    )
    with pytest.raises(ModelError, match="its images have their channels last"):
        load_onnx(path)
