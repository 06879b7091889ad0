"""`legodnn compress`: one smaller model. What is refused is the same where several make a store.

Covers also: commands.compress, compression, blocks.compression, blocks.pruning.draw_widths, blocks.export.latency,
blocks.training.fine_tune.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.errors import ModelError, StoreError
from tests.legodnn.commands.running import run

pytest.importorskip("keras")

import keras

from legodnn.blocks import _backend as _backend
from legodnn.blocks import compression
from legodnn.blocks.compression import compress
from legodnn.blocks.export.convert import Runner
from legodnn.blocks.export.latency import latencies_ms
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.searches import SEARCHES
from legodnn.compression import MEASURING, compression_recipe
from legodnn.runtime.tflite.model_file import parse_model_file
from tests.legodnn.commands.compressing import flags, halved


def test_a_smaller_model_is_written_with_a_report(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "small.tflite", tmp_path / "widths.html"
    status, printed, _ = run(capsys, *flags(model, out, "--target", "macs=0.5", "--report", report, "--json"))
    assert status == 0
    found = json.loads(printed)
    before, after = found["before"], found["after"]
    assert before["macs"] == macs(keras.saving.load_model(model))
    assert 0.4 < after["macs"] / before["macs"] <= 0.5
    assert after["bytes"] == out.stat().st_size < before["bytes"]
    assert before["metric"] > 0.9
    assert after["metric"] > 0.75
    assert min(before["latency_ms"], after["latency_ms"]) > 0
    assert [group["layers"] for group in found["groups"]] == [["stem", "outer"], ["inner"], ["last"]]
    test = load_data("digits", image_size=8).test
    (scores,) = Runner(out.read_bytes())(test.x[:])
    assert (scores.argmax(axis=1) == test.y).mean() > 0.75
    assert "stem + 1" in report.read_text()
    assert not out.with_name("small.tflite.work").exists()


def test_a_metric_of_ones_own_measures_and_does_not_say_how_labels_train(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "def right(outputs, labels):\n    return float((outputs[0].argmax(axis=1) == labels).mean())\n"
    (tmp_path / "metric_of_compress.py").write_text(own)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = halved(model, metric="metric_of_compress:right")
    found = compress(recipe, tmp_path / "small.keras")
    assert found.metric == "right"
    assert min(found.before.metric, found.after.metric) > 0.75


def test_widths_that_another_metric_judged_are_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged_by(body: str) -> None:
        (tmp_path / "judge_of_compress.py").write_text(f"def judge(outputs, labels):\n    return {body}\n")
        sys.modules.pop("judge_of_compress", None)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.syspath_prepend(tmp_path)
    recipe = halved(model).model_copy(
        update={"strategy": "exact", "judged_by": "labels", "metric": "judge_of_compress:judge", "searched_images": 20}
    )
    judged_by("float((outputs[0].argmax(axis=1) == labels).mean())")
    with monkeypatch.context() as patched:
        patched.setattr("legodnn.blocks.compression_stage.fine_tune", killed)
        with pytest.raises(KeyboardInterrupt):
            compress(recipe, tmp_path / "small.keras")
    judged_by("1 + float((outputs[0].argmax(axis=1) == labels).mean())")
    with pytest.raises(StoreError, match="holds an unfinished build of another metric under the same name"):
        compress(recipe, tmp_path / "small.keras")


@pytest.mark.slow
def test_what_was_interrupted_goes_on_and_ends_as_if_it_had_not_been(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = halved(model)
    whole = compress(recipe, tmp_path / "whole.keras")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("legodnn.blocks.compression_stage.fine_tune", killed)
        with pytest.raises(KeyboardInterrupt):
            compress(recipe, tmp_path / "again.keras")
    assert (tmp_path / "again.keras.work" / "macs0.5.npz").exists()
    again = compress(recipe, tmp_path / "again.keras")
    assert again.groups == whole.groups
    for a, b in zip(*(keras.saving.load_model(c.path).get_weights() for c in (again, whole)), strict=True):
        assert np.allclose(a, b, atol=1e-5)
    assert [str(tmp_path / name) for name in ("again.keras", "whole.keras")] == [*map(str, sorted(tmp_path.iterdir()))]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--target", "macs=0.5", "--out", "small.onnx"], "its name must end in .tflite or .keras"),
        (["--targets", "0.5", "--out", "small.tflite"], "must name a folder"),
        (["--out", "small.tflite"], "give either --target"),
        (["--target", "macs=0.5", "--report", "a.png", "--out", "s.tflite"], "its name must end in .svg or .html"),
        (["--target", "macs=0.5", "--precision", "int8", "--out", "s.keras"], "for int8 name a .tflite file"),
        (["--target", "macs=0.5", "--precisions", "int8", "--out", "s.tflite"], "a single model has --precision"),
        (["--targets", "0.5,0.5", "--out", "stores/a"], "each given once"),
        (["--targets", "1.5", "--out", "stores/a"], "less than 1"),
        (["--target", "macs=0.5", "--epochs", "0", "--patience", "5", "--out", "a b.tflite"], "patience is for fine"),
        (
            ["--target", "macs=0.5", "--judged-by", "labels", "--strategy", "l1", "--out", "s.tflite"],
            "l1 measures no widths that labels could judge",
        ),
        (
            ["--target", "macs=0.5", "--cut-at", "x", "--out", "s.tflite"],
            "cut_at is for .tflite and .onnx files",
        ),
        (
            ["--target", "macs=0.5", "--augment", "flips", "--epochs", "0", "--out", "s.tflite"],
            "of which 0 epochs leave",
        ),
        (["--target", "macs=0.0001", "--out", "s.tflite"], "cannot be pruned to"),
        (["--targets", "0.8,0.0001", "--strategy", "l1", "--out", "store"], "cannot be pruned to"),
        (["--target", "macs=0.5", "--out", "EXISTS.tflite"], "exists; remove it or name another file"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    (tmp_path / "EXISTS.tflite").write_bytes(b"")
    *given, out = given
    status, _, said = run(capsys, "compress", model, "--data", "digits", "--image-size", 8, *given, tmp_path / out)
    assert status == 1
    assert told in said
    assert [path.name for path in tmp_path.iterdir()] == ["EXISTS.tflite"]


def test_strategies_that_measure_are_the_searches() -> None:
    assert set(MEASURING) == set(SEARCHES)


def test_labels_that_are_needed_and_absent_are_asked_for(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images.npz"
    np.savez(images, x=(255 * load_data("digits", image_size=8).train.x[:200]).astype(np.uint8))
    status, _, said = run(
        capsys,
        *("compress", model, "--data", f"npz:{images}", "--target", "macs=0.5", "--judged-by", "labels"),
        *("--out", tmp_path / "small.tflite"),
    )
    assert status == 1
    assert "has no labels to judge a pruned model by" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [("train_epochs", 3), ("sparsities", (0.5,)), ("joint_epochs", 1), ("mixed_precision", True), ("samples", 50)],
)
def test_fields_that_nothing_here_depends_on_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"a whole model is compressed without {name}; leave it out"):
        compression_recipe(model="vgg16", name="x", shares=(0.5,), **{name: value})


@pytest.mark.parametrize(
    "words", [["--target", "half"], ["--target", "macs=2"], ["--strategy", "magic"], ["--augment", "turns"]]
)
def test_words_that_mean_nothing_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(capsys, "compress", "vgg16", "--out", "a.tflite", *words)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--out", "file/c.tflite"], "file/c.tflite: Not a directory; name another place with --out"),
        (["--out", "c.tflite", "--report", "file/x.svg"], "file/x.svg: Not a directory; name another place with --rep"),
        (["--out", "c.tflite", "--report", "folder.svg"], "folder.svg: Is a directory; name another place with --rep"),
        (["--targets", ".5", "--out", "file/store"], "file: Not a directory; name another place with --out"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_the_model_is_read(
    more: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    Path("folder.svg").mkdir()
    Path("damaged.keras").write_text("nothing that could be compressed")
    target = [] if "--targets" in more else ["--target", "macs=.5"]
    status, out, err = run(capsys, "compress", "damaged.keras", *target, *more)
    assert (status, out) == (1, "")
    assert err.startswith(f"legodnn: cannot write {told}")
    assert len(err.splitlines()) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_the_figures_are_told_where_the_report_cannot_be_written_after_all(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # Data are read after the check of the place, which is gone by then.
    Path("data_in_the_way.py").write_text(
        "import os\nfrom legodnn.blocks.importing.data_sources import load_data\n\ndef digits():\n"
        "    os.makedirs('x.svg', exist_ok=True)\n    return load_data('digits', image_size=8)\n"
    )
    status, out, err = run(
        capsys,
        *("compress", model, "--data", "data_in_the_way:digits", "--epochs", 1, "--strategy", "l1"),
        *("--target", "macs=.6", "--out", "c.tflite", "--report", "x.svg", "--json"),
    )
    assert status == 1
    assert "cannot write x.svg: Is a directory" in err
    assert json.loads(out)["after"]["bytes"] == Path("c.tflite").stat().st_size


def test_pixels_are_scaled_as_flags_say(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--strategy", "l1", "--target", "macs=.8", "--json"]
    scaling = ["--input-range=-1,1", "--input-mean=-1", "--input-std", "2"]  # as 0 to 1, which it was trained on
    status, out, _ = run(capsys, *flags(model, tmp_path / "a.tflite", *quick, *scaling))
    assert status == 0
    assert json.loads(out)["before"]["metric"] > 0.9


@pytest.mark.parametrize("target", [["--target", "macs=.8"], ["--targets", ".8,.6"]])
def test_an_original_at_chance_level_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: list[str]
) -> None:
    out = tmp_path / ("a.tflite" if "--target" in target else "store")
    wrong = flags(model, out, "--strategy", "l1", *target, "--input-range", "200,255")
    status, _, said = run(capsys, *wrong)
    assert status == 1
    assert "is at chance level" in said
    assert not out.exists()


def test_an_original_at_chance_level_is_compressed_all_the_same_where_that_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.tflite"
    wrong = flags(model, out, "--strategy", "l1", "--target", "macs=.8", "--input-range", "200,255")
    assert run(capsys, *wrong, "--allow-chance")[0] == 0
    assert out.exists()


def test_few_images_calibrate_the_file_that_int8_is_measured_with(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = load_data("digits", image_size=8).train
    parts = {"train": digits.take(slice(20)), "val": digits.take(slice(20, 60)), "test": digits.take(slice(20, 60))}
    arrays = {f"{what}_{part}": getattr(split, what) for part, split in parts.items() for what in "xy"}
    np.savez(tmp_path / "few.npz", **arrays)
    recipe = compression_recipe(
        model=str(model), name="x", data=f"npz:{tmp_path / 'few.npz'}", shares=(0.8,), strategy="l1", distill_epochs=1
    )
    measured: list[bytes] = []

    class Seen(Runner):
        def __init__(self, content: bytes) -> None:
            measured.append(content)
            super().__init__(content)

    monkeypatch.setattr(compression, "Runner", Seen)
    compress(recipe, tmp_path / "small.tflite", "int8")
    types = {tensor.dtype for tensor in parse_model_file(measured[0]).tensors}
    assert "int8" in types


def test_a_command_that_ends_while_it_saves_leaves_nothing_but_its_work(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(model: keras.Model, path: Path) -> None:
        path.write_bytes(b"half of a model")
        raise KeyboardInterrupt

    out = tmp_path / "small.keras"
    with monkeypatch.context() as patched:
        patched.setattr(keras.Model, "save", ended)
        with pytest.raises(KeyboardInterrupt):
            compress(halved(model), out)
    assert [path.name for path in tmp_path.iterdir()] == ["small.keras.work"]
    compress(halved(model), out)
    assert [path.name for path in tmp_path.iterdir()] == ["small.keras"]


@pytest.mark.parametrize("ending", [".tflite", ".keras"])
def test_what_another_process_has_written_in_the_meantime_is_not_overwritten(
    model: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / f"small{ending}"

    def meantime(*args: Any) -> Any:
        out.write_bytes(b"of another process")
        return latencies_ms(*args)

    monkeypatch.setattr(compression, "latencies_ms", meantime)
    with pytest.raises(StoreError, match=f"small{ending} has appeared in the meantime; remove it and run"):
        compress(halved(model), out)
    assert out.read_bytes() == b"of another process"
    monkeypatch.undo()
    out.unlink()
    assert compress(halved(model), out).path == out
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
