"""ONNX files become graphs with channels last that can be cut and pruned like any other.

Covers also: blocks.importing.onnx.constants, blocks.importing.onnx.file, blocks.importing.onnx.gelu,
blocks.importing.onnx.inputs, blocks.importing.tflite.graph_maker.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from keras import layers

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.export.convert import convert
from legodnn.blocks.importing.graph import alone
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.importing.onnx.graph import load_onnx
from legodnn.cli import main
from legodnn.errors import DependencyError, ModelError
from legodnn.store import Store
from tests.blocks.importing.onnx.made import compared, file_of
from tests.blocks.importing.tflite.compared import by_interpreter, kinds

NET = (
    "a = Conv<pads=[1,1,1,1]>(x, w1, b1) b = Relu(a) c = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b) "
    "d = Conv<pads=[1,1,1,1]>(c, w2) e = BatchNormalization(d, g, h, m, v) f = Relu(e) "
    "i = Conv<pads=[1,1,1,1]>(f, w3) j = Add(i, c) k = Relu(j) l = GlobalAveragePool(k) n = Flatten(l) "
    "y = Gemm<transB=1>(n, w4, b4)"
)
WEIGHTS: dict[str, Any] = {
    "w1": (8, 3, 3, 3), "b1": (8,), "w2": (16, 8, 3, 3), "g": (16,), "h": (16,), "m": (16,), "v": np.ones(16),
    "w3": (8, 16, 3, 3), "w4": (5, 8), "b4": (5,),
}  # fmt: skip
IMAGES = "float[N,3,12,12] x"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return file_of(tmp_path / "small net.onnx", NET, IMAGES, **WEIGHTS)


def test_a_network_has_its_channels_last_and_can_be_pruned(net: Path) -> None:
    model = compared(net, (1, 3, 12, 12))
    assert model.input_shape == (None, 12, 12, 3)
    assert model.name == "small_net"
    assert model.output_names == ["y"]
    assert [layer.name for layer in model.layers if isinstance(layer, layers.Conv2D)] == ["a", "d", "i"]
    assert "Permute" not in kinds(model)
    opened = open_model(str(net))
    assert [str(group) for group in analyse(opened).groups] == ["8 channels made by a + i", "16 channels made by d"]
    x = np.random.default_rng(0).random((2, 12, 12, 3), np.float32)
    np.testing.assert_allclose(opened(x), model(alone([x])), rtol=1e-5)


def test_a_model_ends_where_it_is_told_to(net: Path) -> None:
    model = load_onnx(net, ("f", "n"))
    assert [tuple(t.shape) for t in model.outputs] == [(None, 6, 6, 16), (None, 8)]
    with pytest.raises(ModelError, match="there is no computed tensor 'ff' to cut at; near to it: f"):
        load_onnx(net, ("ff",))


def test_names_of_exporters_are_those_of_layers(tmp_path: Path) -> None:
    model = onnx.load(file_of(tmp_path / "m.onnx", "t = Relu(x) y = Neg(t)"))
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "/layer1/layer1.0/Relu_output_0"
    onnx.save(model, tmp_path / "m.onnx")
    for name in ("layer1_layer1_0_Relu", "/layer1/layer1.0/Relu_output_0"):
        assert load_onnx(tmp_path / "m.onnx", (name,)).layers[-1].name == "layer1_layer1_0_Relu"


def test_sizes_that_a_file_leaves_open_are_given(tmp_path: Path) -> None:
    path = file_of(tmp_path / "m.onnx", "y = Relu(x)", "float[N,3,H,W] x")
    with pytest.raises(ModelError, match=r"shape \(None, 3, None, None\), which fixes not all sizes: .*3,224,224"):
        load_onnx(path)
    with pytest.raises(ModelError, match=r"which \(10, 12, 3\) does not fit"):
        load_onnx(path, (), (10, 12, 3))
    assert load_onnx(path, (), (3, 10, 12)).input_shape == (None, 10, 12, 3)


def test_several_inputs_and_outputs_and_vectors_keep_their_places(tmp_path: Path) -> None:
    path = file_of(
        tmp_path / "m.onnx",
        "a = Conv(x, w) y = GlobalAveragePool(a) z = Relu(v)",
        "float[1,4,9,8] x, float[1,5] v",
        outputs="y,z",
        w=(6, 4, 3, 3),
    )
    model = compared(path, (1, 4, 9, 8), (1, 5))
    assert [t.name for t in model.inputs] == ["x", "v"]
    assert model.output_names == ["y", "z"]


def test_what_takes_images_with_channels_last_goes_on_to(tmp_path: Path) -> None:
    """Files that came from TensorFlow turn their images, and turn what they give back."""
    text = "a = Transpose<perm=[0,3,1,2]>(x) b = Conv(a, w) y = Transpose<perm=[0,2,3,1]>(b)"
    path = file_of(tmp_path / "m.onnx", text, "float[1,9,8,4] x", w=(6, 4, 3, 3))
    model = compared(path, (1, 9, 8, 4), images=False)
    assert model.input_shape == (None, 9, 8, 4)
    assert kinds(model) == ["Conv2D"]


def test_images_with_channels_last_may_be_scaled_before_they_are_turned(tmp_path: Path) -> None:
    text = (
        "f = Cast<to=1>(x) d = Div(f, s) e = Sub(m, d) p = Pad(e, k) a = Transpose<perm=[0,3,1,2]>(p) b = Conv(a, w) "
        "y = Transpose<perm=[0,2,3,1]>(b)"
    )
    scaling: dict[str, Any] = {"s": np.array([1.0, 2, 3, 4]), "m": np.float32(0.5), "k": np.array([0, 1, 1, 0] * 2)}
    path = file_of(tmp_path / "m.onnx", text, "float[1,9,8,4] x", w=(6, 4, 3, 3), **scaling)
    model = compared(path, (1, 9, 8, 4), images=False)
    assert model.input_shape == (None, 9, 8, 4)
    mixed = text.replace("y = Trans", "g = ReduceMean<axes=[1]>(f) z = Trans").replace("y =", "z =")
    path = file_of(tmp_path / "n.onnx", mixed, "float[1,9,8,4] x", outputs="z,g", w=(6, 4, 3, 3), **scaling)
    assert load_onnx(path).input_shape == (None, 8, 4, 9), "something tells its dimensions apart"


def test_outputs_that_nothing_reads_need_no_rule(tmp_path: Path) -> None:
    """Older exporters name the mask of a dropout, and where a pool's greatest values were."""
    text = "a, m = Dropout(x) b, i = MaxPool<kernel_shape=[2,2]>(a) c, d = Split<axis=3, split=[3,4]>(b) y = Relu(c)"
    assert kinds(compared(file_of(tmp_path / "m.onnx", text, opset=12))) == ["MaxPooling2D", "GetItem", "ReLU"]


def test_attention_in_windows_is_exported(tmp_path: Path) -> None:
    """TensorFlow Lite slices five dimensions at most, and has a softmax over the last of four."""
    text = (
        "r = Reshape(x, s) t = Transpose<perm=[2,0,3,1,4]>(r) a = Gather<axis=0>(t, i) b = Gather<axis=0>(t, j) "
        "c = Transpose<perm=[0,1,3,2]>(b) d = MatMul(a, c) e = Softmax(d) y = Reshape(e, o)"
    )
    numbers: dict[str, Any] = {
        "s": np.array([4, 6, 3, 2, 5]),
        "i": np.array(0),
        "j": np.array(1),
        "o": np.array([1, 288]),
    }
    model = compared(file_of(tmp_path / "m.onnx", text, "float[1,24,30] x", **numbers), (1, 24, 30))
    x = np.random.default_rng(0).random((1, 24, 30), np.float32)
    (found,) = by_interpreter(convert(model), [x])
    np.testing.assert_allclose(found, model(x), rtol=1e-5)


def test_nodes_of_the_same_weights_are_one_layer(tmp_path: Path) -> None:
    text = "a = Conv(x, w) b = Conv(z, w) c = Add(a, b) y = GlobalAveragePool(c)"
    path = file_of(tmp_path / "m.onnx", text, "float[1,4,9,8] x, float[1,4,9,8] z", w=(6, 4, 3, 3))
    model = compared(path, (1, 4, 9, 8), (1, 4, 9, 8))
    assert kinds(model).count("Conv2D") == 1


def test_weights_that_images_of_two_sizes_share_are_padded_for_each(tmp_path: Path) -> None:
    """By zeros on both sides TensorFlow's padding is met for 9 pixels, and not for 8, where a stride is 2."""
    text = (
        "a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w) s = Slice(x, b, e, d) "
        "c = Conv<pads=[1,1,1,1], strides=[2,2]>(s, w) g = GlobalAveragePool(a) h = GlobalAveragePool(c) y = Sub(g, h)"
    )
    numbers: dict[str, Any] = {"b": np.array([1, 1]), "e": np.array([9, 9]), "d": np.array([2, 3])}
    path = file_of(tmp_path / "m.onnx", text, "float[1,4,9,9] x", w=(6, 4, 3, 3), **numbers)
    compared(path, (1, 4, 9, 9))


def test_a_quantised_file_becomes_the_model_that_it_stands_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where integers begin at 0 quantisers leave out a ReLU, which must not be lost."""
    text = (
        "w = DequantizeLinear<axis=0>(wq, ws) a = Conv(x, w) q = QuantizeLinear(a, s, z) r = DequantizeLinear(q, s, z) "
        "y = GlobalAveragePool(r)"
    )
    wq = np.random.default_rng(0).integers(-100, 100, (6, 4, 3, 3)).astype(np.int8)
    weights = {"wq": wq, "ws": np.full(6, 0.01, np.float32), "s": np.float32(0.25)}
    path = file_of(tmp_path / "m.onnx", text, z=np.uint8(0), **weights)
    assert kinds(load_onnx(path)) == ["Conv2D", "ReLU", "GlobalAveragePooling2D"]
    assert "m.onnx is quantised" in caplog.text
    path = file_of(tmp_path / "m.onnx", text, z=np.uint8(128), **weights)
    assert kinds(load_onnx(path)) == ["Conv2D", "GlobalAveragePooling2D"]


def test_a_branch_that_the_shapes_decide_on_is_taken(tmp_path: Path) -> None:
    """PyTorch writes one for each `squeeze(1)` of a size that it does not know."""
    text = (
        "u = Neg(x) g = ReduceMean<axes=[1]>(u) s = Shape(g) n = Gather(s, i) c = Equal(n, one) h = Tanh(g) "
        "r = If (c) <then_branch = a () => (float[] t) { k = Constant<value = int64[1] {1}>() t = Squeeze(h, k) }, "
        "else_branch = b () => (float[] e) { e = Erf(h) }> y = Relu(r)"
    )
    path = file_of(tmp_path / "m.onnx", text, i=np.array(1), one=np.array(1))
    assert compared(path).output_shape == (None, 9, 8)
    assert load_onnx(path, ("r",)).output_shape == (None, 9, 8)


def _calling(path: Path, calls: int, last: str) -> Path:
    """Write a file of ten functions, each of which calls the next one, and the last one another."""
    model = onnx.load(file_of(path, "y = Relu(x)"))
    model.graph.node[0].domain, model.graph.node[0].op_type = "own", "f0"
    names = [f"f{i}" for i in range(10)]
    ids = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("own", 1)]
    for name, called in zip(names, [*names[1:], last], strict=True):
        domain = "own" if called.startswith("f") else ""
        values = ["a", *(f"b{i}" for i in range(calls - 1)), "c"]
        nodes = [onnx.helper.make_node(called, [x], [y], domain=domain) for x, y in pairwise(values)]
        model.functions.insert(0, onnx.helper.make_function("own", name, ["a"], ["c"], nodes, ids))
    model.opset_import.append(ids[1])
    onnx.save(model, path)
    return path


def test_functions_of_a_file_become_their_nodes(tmp_path: Path) -> None:
    assert kinds(compared(_calling(tmp_path / "m.onnx", 1, "Tanh"))) == ["Activation"]


@pytest.mark.parametrize(("calls", "last"), [(10, "Tanh"), (1, "f0")])
def test_functions_that_call_one_another_without_end_are_refused(calls: int, last: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx has functions that call one another without end, or too often"):
        load_onnx(_calling(tmp_path / "m.onnx", calls, last))


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "it has no graph"), (b"no model at all", "is no valid ONNX file"), (b"\x08\x08", "it has no graph")],
)
def test_what_is_no_file_of_onnx_is_refused_in_a_line(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=told) as caught:
        open_model(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_files_of_old_versions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx is of opset 6, .*export it for 7 at least"):
        load_onnx(file_of(tmp_path / "m.onnx", "y = Relu(x)", opset=6))


def test_a_file_cut_short_or_with_control_flow_or_foreign_operators_is_refused(net: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(net.read_bytes()[:500])
    with pytest.raises(ModelError):
        load_onnx(path)
    model = onnx.load(net)
    model.graph.node[1].domain = "com.example"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"node 1 \(com.example.Relu\), .*there is no rule for it; --cut-at a ends"):
        load_onnx(path)
    model.graph.node[1].domain, model.graph.node[1].op_type = "", "If"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="it is control flow"):
        load_onnx(path)
    model.graph.node[1].op_type = "Relu"
    del model.graph.node[0]
    onnx.save(model, path)
    with pytest.raises(ModelError, match="reads 'a', which nothing before it writes"):
        load_onnx(path)


def test_without_the_package_the_message_says_how_to_get_it(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DependencyError, match=r"pip install 'legodnn\[onnx\]'"):
        load_onnx(net)


def test_a_file_is_inspected_and_built(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(net), "--json"]) == 0
    assert sum(each["params"] for each in json.loads(capsys.readouterr().out)["segments"]) == 2_637
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.random((80, 12, 12, 3), np.float32))
    store, sizes = tmp_path / "store", "--sparsities .5 --precisions float32 --distill-epochs 1 --joint-epochs 1"
    assert main(["build", str(net), "--data", f"npz:{tmp_path / 'd.npz'}", "--out", str(store), *sizes.split()]) == 0
    assert [spec.shape for spec in Store(store).manifest.inputs] == [(12, 12, 3)]
