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


PIXELS = {"s": np.float32(1 / 128), "z": np.uint8(3)}


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("d = DequantizeLinear(x, s, z) e = Sub(d, m) y = Conv(e, c)", PIXELS | {"m": np.float32(0.5)}),
        (
            "a = Identity(x) d = DequantizeLinear(a, s, z) e = DequantizeLinear(x, s, z) f = Add(d, e) y = Conv(f, c)",
            PIXELS,
        ),
        (
            "q = QLinearConv<pads=[1,1,1,1]>(x, s, z, w, u, v, t, o, b) y = DequantizeLinear(q, t, o)",
            {**PIXELS, **OUT, **CONV},
        ),
        (
            "q = ConvInteger(x, w, z, k) f = Cast<to=1>(q) y = Mul(f, s)",
            {**PIXELS, "w": _RNG.integers(0, 255, (6, 4, 3, 3)).astype(np.uint8), "k": np.uint8(128)},
        ),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_integers_of_an_input_become_the_numbers_that_they_stand_for(
    text: str, weights: dict[str, Any], dtype: Any, tmp_path: Path
) -> None:
    weights = {**weights, "z": dtype(3), "c": (6, 4, 3, 3)}
    used = {name: weight for name, weight in weights.items() if name in text}
    path = file_of(tmp_path / "m.onnx", text, f"{np.dtype(dtype).name}[1,4,9,8] x", 21, **used)
    x = np.random.default_rng(1).integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, (1, 4, 9, 8)).astype(dtype)
    (wanted,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    model = load_onnx(path)
    scale = 1.0 if "ConvInteger" in text else 1 / 128
    given = turned(x) if dtype is np.uint8 else (turned(x).astype(np.float32) - 3) * scale
    assert model.inputs[0].dtype == ("uint8" if dtype is np.uint8 else "float32")
    spread = 2 * STEP if "QLinear" in text else 1e-3
    found = np.asarray(model(given, training=False))
    if "QLinear" in text:  # the file cuts off what its integers cannot hold
        found = found.clip(-100 * STEP, 155 * STEP)
    np.testing.assert_allclose(found, turned(wanted), atol=spread, rtol=1e-4)
    if dtype is np.int8:
        assert model.pixel_ranges == {"x": pytest.approx((-131 * scale, 124 * scale))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("d = DequantizeLinear(x, s, z) e = DequantizeLinear(x, t, z) y = Add(d, e)", "in more than one way"),
        ("d = DequantizeLinear<axis=1>(x, u, v) y = Relu(d)", "in more than one way"),
        ("r = Add(s, t) d = DequantizeLinear(x, r, z) y = Relu(d)", "in more than one way"),
        ("m = Max(x, z) d = DequantizeLinear(m, s, z) y = Relu(d)", "in more than one way"),
        ("f = Cast<to=1>(x) c = Cast<to=2>(f) d = DequantizeLinear(c, s, z) y = Relu(d)", "that the graph computes"),
    ],
)
def test_integers_of_an_input_that_are_taken_in_several_ways_are_refused(text: str, said: str, tmp_path: Path) -> None:
    weights = {**PIXELS, "t": np.float32(0.5), "u": np.full(4, 0.1), "v": np.zeros(4, np.uint8)}
    used = {name: weight for name, weight in weights.items() if name in text}
    with pytest.raises(ModelError, match=said):
        load_onnx(file_of(tmp_path / "m.onnx", text, "uint8[1,4,9,8] x", 21, **used))


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
