"""Attention in files, where it is products of matrices: channels of queries, keys and values can go.

Covers also: blocks.importing.tflite.weight_rules, blocks.importing.tflite.values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.graph import calls
from tests.blocks.importing.onnx.made import compared, file_of
from tests.blocks.importing.tflite.compared import converted, imported

HEADS = {"s": [1, 9, 3, 2, 4], "o": [1, 9, 8], "i": np.array(0), "j": np.array(1), "k": np.array(2)}
MATRICES = {"w": (8, 24), "b": (24,), "u": (8, 8), "c": (8,), "f": np.array(0.7071), "p": np.array([1, 1, 1])}


def groups(model: keras.Model) -> list[str]:
    return [str(group) for group in analyse(model).groups]


@pytest.mark.parametrize(
    "parts",
    [
        "q = Gather<axis=0>(t, i) k1 = Gather<axis=0>(t, j) v = Gather<axis=0>(t, k)",
        "q1, k2, v1 = Split<axis=0>(t, p) q = Squeeze(q1, i0) k1 = Squeeze(k2, i0) v = Squeeze(v1, i0)",
    ],
)
def test_heads_of_a_common_projection_lose_channels_together(tmp_path: Path, parts: str) -> None:
    """PyTorch's networks of timm have one matrix for queries, keys and values."""
    text = (
        f"l = MatMul(x, w) m = Add(l, b) r = Reshape(m, s) t = Transpose<perm=[2,0,3,1,4]>(r) {parts} "
        "k3 = Transpose<perm=[0,1,3,2]>(k1) qs = Mul(q, f) ks = Mul(k3, f) d = MatMul(qs, ks) e = Softmax<axis=-1>(d) "
        "z = MatMul(e, v) z1 = Transpose<perm=[0,2,1,3]>(z) h = Reshape(z1, o) g = MatMul(h, u) y = Add(g, c)"
    )
    weights: dict[str, Any] = {**HEADS, **MATRICES, "i0": np.array([0])}
    path = file_of(tmp_path / "m.onnx", text, "float[1,9,8] x", **{n: v for n, v in weights.items() if n in text})
    model = compared(path, (1, 9, 8), images=False)
    assert [len(group.coupled) for group in analyse(model).groups] == [4]
    assert sum(call.kind == "Permute" for call in calls(model)) <= 1


def test_queries_and_keys_go_together_and_values_alone(tmp_path: Path) -> None:
    """As exporters write layers with a projection for each."""
    heads = " ".join(
        f"l{n} = MatMul(x, w{n}) r{n} = Reshape(l{n}, s) t{n} = Transpose<perm=[0,2,{turn},{last}]>(r{n})"
        for n, turn, last in (("q", 1, 3), ("k", 3, 1), ("v", 1, 3))
    )
    text = (
        f"{heads} d = MatMul(tq, tk) ds = Mul(d, f) e = Softmax<axis=-1>(ds) z = MatMul(e, tv) "
        "z1 = Transpose<perm=[0,2,1,3]>(z) h = Reshape(z1, o) y = MatMul(h, u)"
    )
    weights: dict[str, Any] = {"s": np.array([1, 9, 2, 4]), "o": np.array([1, 9, 8]), "f": np.array(0.5)}
    weights |= dict.fromkeys(("wq", "wk", "wv", "u"), (8, 8))
    model = compared(file_of(tmp_path / "m.onnx", text, "float[1,9,8] x", **weights), (1, 9, 8), images=False)
    assert sorted(len(group.makers) for group in analyse(model).groups) == [2, 4]
    assert {len(group.coupled) for group in analyse(model).groups} == {4}
    assert not any(call.kind == "Permute" for call in calls(model))


def test_attention_of_pytorch_loses_channels_of_all_heads(tmp_path: Path) -> None:
    """As `torch.nn.MultiheadAttention` is exported, in torchvision's networks: positions come first, then the batch."""
    heads = " ".join(
        f"{n} = Gather<axis=0>(sq, i{n}) {n}r = Reshape({n}, sr) {n}t = Transpose<perm=[1,0,2]>({n}r) "
        f"{n}4 = Reshape({n}t, s4)"
        for n in "qkv"
    )
    text = (
        "t = Transpose<perm=[1,0,2]>(x) l0 = MatMul(t, w) l = Add(l0, b) r = Reshape(l, s3) un = Unsqueeze(r, a0) "
        f"tr = Transpose<perm=[3,1,2,0,4]>(un) sq = Squeeze(tr, a3) {heads} kt4 = Transpose<perm=[0,1,3,2]>(k4) "
        "qs = Mul(q4, f) ks = Mul(kt4, f) d = MatMul(qs, ks) e = Softmax<axis=-1>(d) z = MatMul(e, v4) "
        "zp = Transpose<perm=[2,0,1,3]>(z) zr = Reshape(zp, so) g = Gemm<transB=1>(zr, u, c) ro = Reshape(g, s1) "
        "y = Transpose<perm=[1,0,2]>(ro)"
    )
    shapes = {"s3": [9, 1, 3, 8], "sr": [9, 2, 4], "s4": [1, 2, 9, 4], "so": [9, 8], "s1": [9, 1, 8]}
    places = {"a0": [0], "a3": [3], "iq": 0, "ik": 1, "iv": 2}
    weights: dict[str, Any] = {name: np.array(numbers) for name, numbers in (shapes | places).items()}
    weights |= {name: MATRICES[name] for name in "wbucf"}
    path = file_of(tmp_path / "m.onnx", text, "float[1,9,8] x", **weights)
    model = compared(path, (1, 9, 8), images=False)
    assert groups(model) == ["4 channels made by l0 x 6"]


def test_attention_of_a_whole_image_loses_channels(tmp_path: Path) -> None:
    """A non-local block with channels first: no heads, and a product that has the channels of its first factor."""
    text = (
        "a = Conv(x, wa) b = Conv(x, wb) g = Conv(x, wg) ar = Reshape(a, s) br = Reshape(b, s) gr = Reshape(g, s) "
        "at = Transpose<perm=[0,2,1]>(ar) f = MatMul(at, br) e = Softmax<axis=-1>(f) et = Transpose<perm=[0,2,1]>(e) "
        "z = MatMul(gr, et) zr = Reshape(z, o) h = Conv(zr, wh) y = Add(x, h)"
    )
    weights: dict[str, Any] = dict.fromkeys(("wa", "wb", "wg"), (6, 4, 1, 1))
    weights |= {"wh": (4, 6, 1, 1), "s": np.array([1, 6, 9]), "o": np.array([1, 6, 3, 3])}
    model = compared(file_of(tmp_path / "m.onnx", text, "float[1,4,3,3] x", **weights), (1, 4, 3, 3))
    assert groups(model) == ["6 channels made by b + a", "6 channels made by g"]
    assert not any(call.kind == "Permute" for call in calls(model))


def test_heads_in_windows_lose_channels(tmp_path: Path) -> None:
    """As Swin's: windows are a dimension of their own, and more are sliced than a device can."""
    text = (
        "p = Reshape(x, m) l = MatMul(p, w) r = Reshape(l, s) t = Transpose<perm=[2,0,3,1,4]>(r) "
        "q = Gather<axis=0>(t, i) k = Gather<axis=0>(t, j) v = Gather<axis=0>(t, n) "
        "kt = Transpose<perm=[0,1,3,2]>(k) d = MatMul(q, kt) e = Softmax<axis=-1>(d) z = MatMul(e, v) "
        "zt = Transpose<perm=[0,2,1,3]>(z) h = Reshape(zt, m) g = MatMul(h, u) y = Reshape(g, o)"
    )
    weights: dict[str, Any] = {"s": np.array([4, 6, 3, 2, 4]), "m": np.array([4, 6, 8]), "o": np.array([1, 24, 8])}
    weights |= {"w": (8, 24), "u": (8, 8)}
    weights |= {"i": np.array(0), "j": np.array(1), "n": np.array(2)}
    model = compared(file_of(tmp_path / "m.onnx", text, "float[1,24,8] x", **weights), (1, 24, 8), images=False)
    assert groups(model) == ["4 channels made by l x 6"]
    assert not any(call.kind == "Permute" for call in calls(model))


def test_what_an_attention_layer_was_exported_to_loses_channels_as_the_layer_does() -> None:
    inputs = keras.Input((9, 8))
    layer = layers.MultiHeadAttention(2, 4, name="att")
    model = keras.Model(inputs, layers.Dense(5)(layer(inputs, inputs)))
    found = imported(converted(lambda x: model(x), (1, 9, 8)))
    assert [len(group.coupled) for group in analyse(found).groups] == [4, 4, 8]
    assert not any(call.kind == "Permute" for call in calls(found))
