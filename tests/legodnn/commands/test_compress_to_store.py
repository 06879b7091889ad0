"""`legodnn compress --targets`: a store of whole models that is profiled, planned and run like any other.

Covers also: blocks.compressed_store, blocks.compression_stage.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from legodnn.errors import ModelError
from legodnn.store import Store
from tests.legodnn.commands.running import run

pytest.importorskip("keras")

from legodnn.blocks.compressed_store import compress_to_store, measured_accuracy, shares_lost
from legodnn.blocks.compression import compress
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.pruning.draw_widths import GroupWidth
from tests.legodnn.commands.compressing import flags, halved


@pytest.mark.slow
def test_several_targets_make_a_store_that_is_profiled_planned_and_run(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nested"
    status, _, _ = run(
        capsys, *flags(model, out, "--targets", "0.3,0.6", "--strategy", "l1", "--precisions", "float32,int8")
    )
    assert status == 0
    store = Store(out)
    (block,) = store.manifest.segments
    assert len(block.options) == 6
    work = [o.macs for o in block.options[:3]]
    assert work[1] <= 0.6 * work[0]
    assert work[2] <= 0.3 * work[0]
    link = store.manifest.accuracy.link
    predicted = [float(np.interp(o.loss, link.x, link.y)) for o in block.options]
    assert predicted[0] == store.manifest.accuracy.original > 0.9
    assert all(0 < p <= predicted[0] for p in predicted)
    assert run(capsys, "profile", out, "--seconds", 2)[0] == 0
    status, printed, _ = run(capsys, "plan", out, "--json")
    assert status == 0
    (plan,) = json.loads(printed)["plan"]["models"]
    assert plan["options"]["model"] in {o.name for o in block.options}
    images = tmp_path / "images.npy"
    np.save(images, load_data("digits", image_size=8).test.x[:4])
    assert run(capsys, "run", out, "--input", images)[0] == 0


@pytest.mark.slow
def test_what_cannot_be_made_is_told_and_is_left_out_of_the_store_after_a_kill_too(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Measurements are kept by the numbers of options, which are others if more are made by the second process."""
    recipe = halved(model, precisions=("float32", "int8"))

    def ended(*_: object, **__: object) -> None:
        raise ModelError("the converter's process ended")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, caplog.at_level("INFO"):
        patched.setattr("legodnn.blocks.export.options.converted_files", ended)
        patched.setattr("legodnn.blocks.compressed_store.evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            compress_to_store(recipe, tmp_path / "store")
    assert "-int8: the converter's process ended" in caplog.text
    store = compress_to_store(recipe, tmp_path / "store")
    assert {option.precision for option in store.manifest.segments[0].options} == {"float32"}


def test_targets_that_come_to_the_same_are_refused_before_anything_is_fine_tuned(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(*_: object, **__: object) -> None:
        raise AssertionError("fine-tuned before it was known that two models are the same")

    monkeypatch.setattr("legodnn.blocks.compression_stage.fine_tune", tuned)
    recipe = halved(model).model_copy(update={"shares": (0.5, 0.4999)})
    with pytest.raises(ModelError, match=f"targets that lie further apart, and remove {tmp_path / 'store.work'}$"):
        compress_to_store(recipe, tmp_path / "store")
    shutil.rmtree(tmp_path / "store.work")
    with pytest.raises(AssertionError, match="fine-tuned"):
        compress_to_store(recipe.model_copy(update={"shares": (0.7, 0.4)}), tmp_path / "store")


NOT_BUILTIN = """
import keras, tensorflow as tf

class Orthogonal(keras.layers.Layer):
    def call(self, x):
        return tf.linalg.qr(x)[0]

    def compute_output_shape(self, shape):
        return shape

def net():
    x = image = keras.Input((8, 8, 1))
    for filters in (8, 8):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = Orthogonal(name="mine")(keras.layers.Reshape((64, 8))(x))
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
"""


@pytest.mark.parametrize("make", [compress, compress_to_store])
def test_a_model_that_no_device_could_run_is_refused_before_anything_is_fine_tuned(
    make: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(*_: object, **__: object) -> None:
        raise AssertionError("fine-tuned before it was known that the original cannot be exported")

    (tmp_path / "net_for_no_device.py").write_text(NOT_BUILTIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("legodnn.blocks.compression_stage.fine_tune", tuned)
    recipe = halved(Path("net_for_no_device:net"))
    out = tmp_path / ("small.tflite" if make is compress else "store")
    with pytest.raises(ModelError, match=r"layer mine \(Orthogonal\) cannot be converted to TensorFlow Lite"):
        make(recipe, out, allow_chance=True)
    assert not list(tmp_path.glob(f"{out.name}*"))


def test_a_single_blocks_accuracy_is_what_was_measured() -> None:
    accuracy, fit = measured_accuracy([0.9, 0.7, 0.95, 0.2], "top1", "digits")
    predicted = [float(np.interp(loss, accuracy.link.x, accuracy.link.y)) for loss in fit.losses[0]]
    assert np.allclose(predicted, [0.9, 0.7, 0.9, 0.2])


def test_models_for_a_store_may_lose_channels_in_any_order_but_not_equally_many() -> None:
    """A strategy may meet a smaller target by removing fewer channels, of layers that cost more."""

    def widths(*kept: int) -> list[GroupWidth]:
        return [GroupWidth((f"conv{i}",), 10, k) for i, k in enumerate(kept)]

    assert shares_lost([widths(9, 9), widths(2, 10), widths(4, 9)], Path("a.work")) == (0.1, 0.4, 0.35)
    for made in ([widths(9, 8), widths(8, 9)], [widths(10, 10), widths(9, 9)]):
        with pytest.raises(ModelError, match="must be something and differ: give targets that lie further apart"):
            shares_lost(made, Path("a.work"))
