"""Every rule for ONNX operators gives what the reference of the standard gives.

Covers also: blocks.importing.onnx.call, blocks.importing.onnx.element_rules, blocks.importing.onnx.image_rules,
blocks.importing.onnx.pool_rules, blocks.importing.onnx.resizing, blocks.importing.onnx.weight_rules,
blocks.importing.onnx.windows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from legodnn.blocks.importing.onnx.graph import ONNX_RULES, load_onnx
from legodnn.blocks.importing.onnx.quantised_rules import QUANTISED_RULES
from legodnn.errors import ModelError
from tests.blocks.importing.onnx.made import compared, file_of

_W = (6, 4, 3, 3)
_NORM = {"a": (4,), "b": (4,), "c": (4,), "d": np.array([1.0, 2, 3, 4])}
_GELU = {"o": np.float32(1), "h": np.float32(0.5)}
_LINEAR = 'Resize<mode="linear", coordinate_transformation_mode='
_THIRD = {"w": np.float32(0.3)}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("y = Conv(x, w, b)", {"w": _W, "b": (6,)}),
    ("y = Conv<pads=[1,1,1,1]>(x, w)", {"w": _W}),
    ("y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w)", {"w": _W}),
    ("y = Conv<pads=[2,0,1,1], strides=[2,1]>(x, w)", {"w": _W}),
    ("y = Conv<pads=[2,2,2,2], dilations=[2,2]>(x, w)", {"w": _W}),
    ('y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)', {"w": _W}),
    ('y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w)', {"w": (6, 4, 2, 2)}),
    ("y = Conv<group=2>(x, w)", {"w": (6, 2, 3, 3)}),
    ("y = Conv<group=4, pads=[1,1,1,1]>(x, w, b)", {"w": (8, 1, 3, 3), "b": (8,)}),
    ("y = Conv<group=4>(x, w)", {"w": (4, 1, 1, 1)}),
    ("y = ConvTranspose<strides=[2,2]>(x, w, b)", {"w": (4, 5, 2, 2), "b": (5,)}),
    ("y = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w)", {"w": (4, 5, 4, 4)}),
    ("y = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(x, w)", {"w": (4, 5, 3, 3)}),
    ("y = ConvTranspose<strides=[3,2], output_padding=[2,1]>(x, w)", {"w": (4, 5, 2, 2)}),
    ("y = ConvTranspose<pads=[1,0,0,1]>(x, w)", {"w": (4, 5, 3, 3)}),
    ('y = ConvTranspose<strides=[2,2], auto_pad="SAME_UPPER">(x, w)', {"w": (4, 5, 3, 3)}),
    ('y = ConvTranspose<strides=[2,3], auto_pad="SAME_LOWER", output_shape=[17,23]>(x, w)', {"w": (4, 5, 3, 4)}),
    ("y = BatchNormalization(x, a, b, c, d)", _NORM),
    (
        "t = Transpose<perm=[0,2,3,1]>(x) r = Reshape(t, s) n = BatchNormalization(r, a, b, c, d) y = Reshape(n, o)",
        {"s": np.array([-1, 4]), "o": np.array([1, 288]), **_NORM},
    ),
    ("y = InstanceNormalization(x, a, b)", {"a": (4,), "b": (4,)}),
    ("y = LayerNormalization<axis=-1>(x, a, b)", {"a": (8,), "b": (8,)}),
    ("f = Flatten(x) y = Gemm<transB=1, alpha=0.5, beta=2.0>(f, w, b)", {"w": (3, 288), "b": (3,)}),
    ("f = Flatten(x) y = Gemm(f, w)", {"w": (288, 3)}),
    ("y = MatMul(x, w)", {"w": (8, 5)}),
    ("t = Transpose<perm=[0,1,3,2]>(x) y = MatMul(x, t)", {}),
    ("y = MaxPool<kernel_shape=[2,2], strides=[2,1]>(x)", {}),
    ("y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)", {}),
    ("r = Relu(x) y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r)", {}),
    ("y = MaxPool<kernel_shape=[5,5], pads=[2,2,2,2]>(x)", {}),
    ("y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)", {}),
    ("y = AveragePool<kernel_shape=[3,3], strides=[2,2]>(x)", {}),
    ("y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)", {}),
    ("y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)", {}),
    ("y = AveragePool<kernel_shape=[3,2], strides=[2,1], pads=[1,0,0,0]>(x)", {}),
    ("y = GlobalAveragePool(x)", {}),
    ("y = GlobalMaxPool(x)", {}),
    ("y = ReduceMean<axes=[2,3], keepdims=0>(x)", {}),
    ("y = ReduceMean<axes=[1]>(x)", {}),
    ("y = ReduceMax<axes=[-1]>(x)", {}),
    ("y = ReduceSum(x, a)", {"a": np.array([1, 2])}),
    ("y = ReduceMin<axes=[1], keepdims=0>(x)", {}),
    ("y = ReduceProd<axes=[3]>(x)", {}),
    ("y = ReduceL2<axes=[1]>(x)", {}),
    ("y = Softmax<axis=1>(x)", {}),
    ("y = LogSoftmax(x)", {}),
    ("y = LpNormalization<axis=1, p=2>(x)", {}),
    ("y = Pad(x, p)", {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0])}),
    ("y = Pad(x, p, v)", {"p": np.array([0, 1, 0, 0, 0, 0, 0, 0]), "v": np.float32(1.5)}),
    ('y = Pad<mode="reflect">(x, p)', {"p": np.array([0, 0, 2, 1, 0, 0, 2, 1])}),
    ('y = Pad<mode="edge">(x, p)', {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}),
    ('y = Pad<mode="edge">(x, p)', {"p": np.array([0, 0, 3, 0, 0, 0, 1, 2])}),
    (
        'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s)',
        {"s": np.array([1, 1, 2, 2], np.float32)},
    ),
    ('y = Resize<mode="nearest">(x, , s)', {"s": np.array([1, 1, 2, 3], np.float32)}),
    ('y = Resize<mode="cubic">(x, , s)', {"s": np.array([1, 1, 2, 1.5], np.float32)}),
    (
        'y = Resize<mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5>(x, , , s)',
        {"s": np.array([1, 4, 5, 20])},
    ),
    (
        'y = Resize<coordinate_transformation_mode="asymmetric", nearest_mode="ceil">(x, , s)',
        {"s": np.array([1, 1, 1.4, 3], np.float32)},
    ),
    (
        'r = Resize<mode="cubic">(w, , s) y = Add(x, r)',
        {"w": (1, 4, 3, 3), "s": np.array([1, 1, 3, 8 / 3], np.float32)},
    ),
    (f'y = {_LINEAR}"pytorch_half_pixel">(x, , , s)', {"s": np.array([1, 4, 18, 20])}),
    (f'y = {_LINEAR}"align_corners">(x, , , s)', {"s": np.array([1, 4, 17, 15])}),
    (f'y = {_LINEAR}"asymmetric">(x, , s)', {"s": np.array([1, 1, 2, 2], np.float32)}),
    ('y = DepthToSpace<blocksize=2>(x)', {}),
    ('y = DepthToSpace<blocksize=2, mode="CRD">(x)', {}),
    (
        "p = Slice(x, s, e, a) y = SpaceToDepth<blocksize=2>(p)",
        {"s": np.array([0]), "e": np.array([8]), "a": np.array([2])},
    ),
    *((f"y = {kind}(x)", {}) for kind in (
        "Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Abs", "Neg", "Exp", "Floor",
        "Ceil", "Sin", "Cos", "Sign", "Identity", "Elu", "Selu", "Round", "Dropout",
    )),
    ("y = LeakyRelu<alpha=0.2>(x)", {}),
    ("y = HardSigmoid<alpha=0.16666667, beta=0.5>(x)", {}),
    ("y = PRelu(x, a)", {"a": (4, 1, 1)}),
    ("y = Clip(x, a, b)", {"a": np.float32(0), "b": np.float32(6)}),
    ("y = Clip(x, a, b)", {"a": np.float32(-0.5), "b": np.float32(0.7)}),
    ("y = Clip(x, a)", {"a": np.float32(0)}),
    ("a = Abs(x) y = Sqrt(a)", {}),
    ("a = Exp(x) y = Log(a)", {}),
    ("a = Exp(x) y = Reciprocal(a)", {}),
    *((f"y = {kind}(x, w)", {"w": (4, 1, 1)}) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    ("y = Sub(w, x)", {"w": (8,)}),
    ("y = Pow(x, w)", {"w": np.float32(2)}),
    ("a = Relu(x) b = Tanh(x) y = Max(a, b, x)", {}),
    ("a = Relu(x) y = Sum(a, x, w)", {"w": (4, 1, 1)}),
    ("a = Relu(x) y = Mean(a, x)", {}),
    *((f"c = {kind}(x, w) y = Cast<to=1>(c)", _THIRD) for kind in (
        "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal",
    )),
    ("a = Greater(x, w) b = Less(x, w) c = Or(a, b) d = Not(c) e = And(a, c) f = Or(d, e) y = Cast<to=1>(f)", _THIRD),
    ("a = Greater(x, w) t = Tanh(x) y = Where(a, t, x)", _THIRD),
    ("y = Reshape(x, s)", {"s": np.array([0, 2, -1, 4])}),
    ("a = Shape(x) b = Gather(a, i) c = Unsqueeze(b, z) d = Concat<axis=0>(c, m) y = Reshape(x, d)",
     {"i": np.array(0), "z": np.array([0]), "m": np.array([-1])}),
    ("a = ReduceMean<axes=[2,3]>(x) b = Squeeze(a, s) y = Unsqueeze(b, s)", {"s": np.array([2, 3])}),
    ("y = Transpose<perm=[0,2,3,1]>(x)", {}),
    ("a = Relu(x) y = Concat<axis=1>(x, a)", {}),
    ("y = Concat<axis=2>(x, w)", {"w": (1, 4, 1, 8)}),
    ("a, b = Split<axis=1>(x, s) c = Relu(b) y = Concat<axis=1>(a, c)", {"s": np.array([1, 3])}),
    ("a, b = Split<axis=3>(x) y = Sub(a, b)", {}),
    (
        "y = Slice(x, s, e, a, t)",
        {"s": np.array([1, -1]), "e": np.array([3, -100]), "a": np.array([1, 3]), "t": np.array([1, -2])},
    ),
    ("y = Slice(x, s, e)", {"s": np.array([0, 1]), "e": np.array([1, 9223372036854775807])}),
    ("y = Gather<axis=1>(x, i)", {"i": np.array([2, 0, -1])}),
    ("y = Gather<axis=2>(x, i)", {"i": np.array(-1)}),
    ("a = GlobalAveragePool(x) y = Expand(a, s)", {"s": np.array([1, 4, 3, 2])}),
    ("a = GlobalAveragePool(x) y = Tile(a, s)", {"s": np.array([1, 2, 3, 1])}),
    ("d = Div(x, r) e = Erf(d) a = Add(e, o) m = Mul(x, a) y = Mul(m, h)", {"r": np.float32(2**0.5), **_GELU}),
    ("q = Mul(x, r) e = Erf(q) a = Add(o, e) h1 = Mul(x, h) y = Mul(h1, a)", {"r": np.float32(0.5**0.5), **_GELU}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "weights"), CASES, ids=[text[:70] for text, _ in CASES])
def test_an_operator_gives_what_the_reference_gives(text: str, weights: dict[str, Any], tmp_path: Path) -> None:
    compared(file_of(tmp_path / "m.onnx", text, **weights))


@pytest.mark.parametrize(
    ("text", "opset", "weights"),
    [
        ("y = Clip<min=0.0, max=6.0>(x)", 10, {}),
        ("y = Pad<pads=[0,0,1,1,0,0,1,1]>(x)", 10, {}),
        ("y = Slice<starts=[1], ends=[3], axes=[1]>(x)", 9, {}),
        ("a = ReduceMean<axes=[2,3]>(x) y = Squeeze<axes=[2,3]>(a)", 12, {}),
        ("y = ReduceSum<axes=[1]>(x)", 12, {}),
        ("a, b = Split<axis=1, split=[1,3]>(x) y = Concat<axis=1>(b, a)", 12, {}),
        ("f = Flatten(x) y = Softmax(f)", 11, {}),
        (
            "a = Shape(x) b = Gather(a, i) c = Unsqueeze<axes=[0]>(b) d = Concat<axis=0>(c, m) y = Reshape(x, d)",
            11,
            {"i": np.array(0), "m": np.array([-1])},
        ),
        ("y = Upsample(x, s)", 9, {"s": np.array([1, 1, 2, 2], np.float32)}),
        ("y = ReduceMean(x, a)", 18, {"a": np.array([2, 3])}),
        ("y = Gelu(x)", 20, {}),
        ('y = Gelu<approximate="tanh">(x)', 20, {}),
        ("y = Mish(x)", 18, {}),
        ("y = GroupNormalization<num_groups=2>(x, a, b)", 18, {"a": (2,), "b": (2,)}),
        ("y = GroupNormalization<num_groups=2>(x, a, b)", 21, {"a": (4,), "b": (4,)}),
        (f'y = {_LINEAR}"half_pixel", axes=[2,3]>(x, , s)', 18, {"s": np.array([2, 2], np.float32)}),
        ("y = Swish(x)", 24, {}),
        ("a, b, c = Split<axis=3, num_outputs=3>(x) y = Concat<axis=3>(c, a)", 18, {}),
    ],
)
def test_older_and_newer_versions_of_the_standard(
    text: str, opset: int, weights: dict[str, Any], tmp_path: Path
) -> None:
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"onnx {onnx.__version__} does not know operators of opset {opset}")
    compared(file_of(tmp_path / "m.onnx", text, opset=opset, **weights))


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("y = Conv<pads=[1,1], strides=[2]>(x, w, b)", {"w": (6, 4, 3), "b": (6,)}),
        ("y = Conv<group=4, dilations=[2]>(x, w)", {"w": (4, 1, 3)}),
        ("y = ConvTranspose<strides=[2]>(x, w)", {"w": (4, 5, 2)}),
        ("y = MaxPool<kernel_shape=[3], strides=[2], pads=[1,1]>(x)", {}),
        ("y = AveragePool<kernel_shape=[2]>(x)", {}),
        ("y = GlobalAveragePool(x)", {}),
        (
            "y = BatchNormalization(x, a, b, c, d)",
            _NORM,
        ),
        ("y = Softmax<axis=1>(x)", {}),
    ],
)
def test_rows_are_images_of_height_1_where_windows_slide(text: str, weights: dict[str, Any], tmp_path: Path) -> None:
    compared(file_of(tmp_path / "m.onnx", text, "float[1,4,12] x", **weights), (1, 4, 12))


@pytest.mark.parametrize(
    ("text", "opset", "weights", "told"),
    [
        ("y = Erf(x)", 17, {}, "there is no rule for it"),
        ("y = Conv<group=2>(x, w)", 17, {"w": (6, 4, 3, 3)}, "for 4 channels in 2 groups"),
        ("y = ConvTranspose<group=2>(x, w)", 17, {"w": (4, 5, 3, 3)}, "a transposed convolution in groups"),
        ("y = Softmax(x)", 11, {}, "over dimensions 1 to the last"),
        ("a, i = MaxPool<kernel_shape=[2,2]>(x) y = Cast<to=1>(i)", 17, {}, "tells where the greatest values are"),
        ("y = Resize<antialias=1>(x, , s)", 18, {"s": np.array([1, 1, 0.5, 1], np.float32)}, "it smooths before"),
        (
            'y = Resize<axes=[2,3], keep_aspect_ratio_policy="not_larger">(x, , , s)',
            18,
            {"s": np.array([20, 20])},
            "by the policy 'not_larger'",
        ),
        (
            "a = Resize(b, , , s) y = Add(x, a)",
            17,
            {"b": (1, 1), "s": np.array([1 << 15, 1 << 15])},
            "too large a constant",
        ),
        ('y = Pad<mode="edge">(x, p)', 17, {"p": np.array([0, 0, 9, 2, 0, 0, 2, 2])}, "in mode 'edge'"),
        ("y = Pad(x, p)", 17, {"p": np.array([0, 0, -9, 2, 0, 0, 0, 0])}, "takes nothing of"),
        ("y = Slice(x, s, s)", 17, {"s": np.array([0, 1])}, "takes nothing of"),
        ("y = Gather(x, i)", 17, {"i": np.array(3)}, "takes element 3 of 1"),
        ("s = Relu(x) y = Conv(x, s)", 17, {}, "its input 1 is computed, and must be constant"),
        ("y = Elu<alpha=2.0>(x)", 17, {}, "its alpha is 2.0"),
        ("y = Add(x, w)", 17, {"w": (3, 1, 1)}, ""),
        ("a = ConstantOfShape(s) y = Add(x, a)", 17, {"s": np.array([100_000, 100_000])}, "too large a constant"),
        ("a = Range(b, c, d) y = Add(x, a)", 17, {"b": 0.0, "c": 1e12, "d": 1.0}, "too large a constant"),
        (
            "a = Tile(b, s) y = Add(x, a)",
            17,
            {"b": (10, 10), "s": np.array([100_000, 100_000])},
            "too large a constant",
        ),
        (
            "a = Pad(b, s) y = Add(x, a)",
            17,
            {"b": (1, 1), "s": np.array([0, 0, 1 << 20, 1 << 20])},
            "too large a const",
        ),
        ("a = Mul(b, c) y = Add(x, a)", 17, {"b": (1, 1 << 15), "c": (1 << 15, 1)}, "too large a constant"),
        ("a = MatMul(c, b) y = Add(x, a)", 17, {"b": (1, 1 << 15), "c": (1 << 15, 1)}, "too large a constant"),
    ],
)
def test_what_has_no_rule_is_named_with_its_place(
    text: str, opset: int, weights: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = file_of(tmp_path / "m.onnx", f"x0 = Neg(z) x = Neg(x0) {text}", "float[1,4,9,8] z", opset, **weights)
    with pytest.raises(ModelError, match=r"m\.onnx: node ") as caught:
        load_onnx(path)
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_rule_is_tried() -> None:
    tried = {kind for text, _ in CASES for kind in re.findall(r"= (\w+)", text)}
    elsewhere = {
        "Upsample",
        "Gelu",
        "Mish",
        "Swish",
        "QuantizeLinear",
        "DequantizeLinear",
        "GroupNormalization",
    }  # other versions, whole graphs
    assert sorted(ONNX_RULES.keys() - tried - elsewhere - QUANTISED_RULES.keys()) == []
