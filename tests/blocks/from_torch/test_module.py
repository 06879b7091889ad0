"""PyTorch modules become files, and these become graphs that can be cut and pruned like any other.

Covers also: blocks.from_torch.conversion, blocks.importing.torch_models. They are skipped where PyTorch is not
installed, and slow where it is: a conversion takes some ten seconds.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.from_torch.module import is_torch, keep_triton_out
from legodnn.blocks.importing.graph import alone, as_list
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.importing.sent_source import sent_model
from legodnn.cli import main
from legodnn.errors import ModelError
from legodnn.recipe import Recipe
from legodnn.store import Store
from tests.blocks.importing.tflite.compared import kinds

NETS = "tests.blocks.from_torch.nets"
with_torch = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "litert_torch")), reason="PyTorch is not installed"
)


def as_torch(module: Any, *images: Any) -> list[Any]:
    """What a module gives for images with channels last, likewise."""
    import torch

    turned = [torch.from_numpy(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x) for x in images]
    with torch.no_grad():
        found = module.eval()(*turned)
    outputs = [y for y in found.values() if y is not None] if isinstance(found, dict) else [found]
    return [y.numpy().transpose(0, 2, 3, 1) if y.ndim == 4 else y.numpy() for y in outputs]


def test_what_is_no_module_of_pytorch_is_none() -> None:
    assert not any(map(is_torch, (3, None, (), (3, 4), np.zeros(3))))


def test_triton_is_not_loaded_beside_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    keep_triton_out()
    with pytest.raises(ImportError):
        importlib.import_module("triton")
    monkeypatch.setitem(sys.modules, "triton", sys)  # loaded before
    keep_triton_out()
    assert importlib.import_module("triton") is sys


@with_torch
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape"), [("classifier", (1, 12, 12)), ("classifier_and_example", None), ("program", None)]
)
def test_a_module_becomes_a_graph_with_channels_last(name: str, shape: Any) -> None:
    model = open_model(f"{NETS}:{name}", input_shape=shape)
    assert model.input_shape == (None, 12, 12, 1)
    assert kinds(model).count("Permute") == 0
    names = {layer.name for layer in model.layers}
    assert name == "program" or names >= {"conv1", "conv2", "conv3", "conv4", "fc1"}  # a program does not keep them
    assert sum(len(group.coupled) for group in analyse(model).groups) >= 24 + 32
    assert "file" in sent_model(Recipe(model=f"{NETS}:{name}", name="sent"), model), (
        "it holds no code, so workers need no PyTorch"
    )


@with_torch
@pytest.mark.slow
def test_several_inputs_and_outputs_keep_their_names() -> None:
    from tests.blocks.from_torch.nets import kept

    model = open_model(f"{NETS}:two_inputs")
    assert [t.name for t in model.inputs] == ["image", "vector"]
    assert model.output_names == ["map", "mean"]
    rng = np.random.default_rng(1)
    images = [rng.random((1, 9, 8, 3), np.float32), rng.random((1, 5), np.float32)]
    for found, wanted in zip(as_list(model(alone(images))), as_torch(kept[-1], *images), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


REFUSED = {
    "classifier": "does not say what it takes: return .*--input-shape 3,224,224",
    "wrong_example": "cannot be exported by torch.export: RuntimeError",
    "several_images": r"example input 'x' is \(4, 1, 12, 12\), not a tensor of one image",
    "triple": "gave a tuple of 3; return the module, or",
}


@with_torch
@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(ModelError, match=REFUSED[name]) as caught:
        open_model(f"{NETS}:{name}")
    assert "\n" not in str(caught.value)


@with_torch
@pytest.mark.slow
def test_an_operator_without_a_rule_is_named_with_where_to_cut() -> None:
    with pytest.raises(ModelError, match=r"\(CUMSUM\).*no rule"):
        open_model(f"{NETS}:without_operator")


@with_torch
@pytest.mark.slow
def test_a_store_is_built_of_a_module_and_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        "distill_epochs = 1\njoint_epochs = 0\nsamples = 6\nsparsities = [0.5]\nprecisions = ['float32']\n"
    )
    out = tmp_path / "store"
    command = [
        "build",
        f"{NETS}:classifier_and_example",
        "--data",
        "digits",
        "--recipe",
        str(recipe),
        "--out",
        str(out),
    ]
    assert main([*command, "--allow-chance", "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert Store(out).manifest.blocks
    packed = tmp_path / "packed"
    assert main(["pack", f"{NETS}:classifier_and_example", "--accuracy", "0.9", "--out", str(packed)]) == 0
    assert Store(packed).manifest.inputs[0].shape == (12, 12, 1)
