"""`legodnn inspect` shows stores and models: tables, drawings, and what cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from legodnn.cli import main
from legodnn.commands.inspect import input_line
from legodnn.manifest import InputSpec
from legodnn.store import Store


def test_the_table_tells_each_blocks_share(tiny_keras_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_keras_file)]) == 0
    text = capsys.readouterr().out
    assert "share" in text
    assert "2 blocks hold" in text
    assert "multiply-accumulates" in text


def test_a_model_is_drawn_as_svg_and_as_a_page(
    tiny_keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tiny.svg", "tiny.html"):
        assert main(["inspect", str(tiny_keras_file), "--draw", str(tmp_path / name)]) == 0
        assert str(tmp_path / name) in capsys.readouterr().out
    assert ElementTree.parse(tmp_path / "tiny.svg").getroot().tag.endswith("svg")
    page = (tmp_path / "tiny.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<svg" in page


@pytest.mark.parametrize("name", ["tiny.pdf", "tiny", "FILE/tiny.svg"])
def test_what_cannot_be_drawn_is_said_in_one_line(
    tiny_keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / name.replace("FILE", "file")
    (tmp_path / "file").write_text("in the way")
    assert main(["inspect", str(tiny_keras_file), "--draw", str(path)]) == 1
    error = capsys.readouterr().err
    assert "cannot draw into" in error or "cannot write" in error
    assert len(error[error.index("legodnn: ") :].strip().splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_store_is_not_drawn(tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_store.path), "--draw", str(tmp_path / "x.svg")]) == 1
    assert "is a store" in capsys.readouterr().err


def test_a_stores_table_tells_what_its_input_is_made_of(tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_store.path)]) == 0
    wanted = "input image: 12 x 12 x 1, float32; pixels 0..255 become 0..1; image files are resized bilinear-antialias"
    assert f"{wanted}, stretch" in capsys.readouterr().out.splitlines()
    spec = InputSpec(name="x", shape=(8, 8, 3), range=(-1.0, 1.0), mean=(0.485, 0.456, 0.406), std=(0.25,))
    assert "become -1..1, minus mean 0.485, 0.456, 0.406, over std 0.25;" in input_line(spec)


def test_inspect_shows_a_store(tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_store.path)]) == 0
    text = capsys.readouterr().out
    assert "block1" in text
    assert "9 compositions" in text
    assert main(["inspect", str(tiny_store.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == tiny_store.id


def test_inspect_shows_how_a_model_would_be_cut(tiny_keras_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_keras_file), "--json"]) == 0
    segments = json.loads(capsys.readouterr().out)["segments"]
    assert [s["segment"] for s in segments] == ["block1", "block2", "head"]
    assert segments[1]["reads"] == ["block1"]
    assert main(["inspect", str(tiny_keras_file)]) == 0
    assert "channels made by" in capsys.readouterr().out


def test_what_the_code_of_a_model_prints_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("keras")
    (tmp_path / "talkative_net.py").write_text(
        "import keras\n\nprint('making a net')\n\n\ndef net():\n    image = keras.Input((8, 8, 1))\n"
        "    x = keras.layers.Conv2D(4, 3)(keras.layers.Conv2D(8, 3)(image))\n"
        "    keras.utils.Progbar(1).update(1)\n"  # as a download of weights shows it
        "    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "talkative_net:net", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["segments"]
    assert "making a net" in captured.err
    assert "1/1" in captured.err


def test_inspect_says_why_channels_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    x = image = keras.Input((12, 12, 1))
    x = layers.Softmax(name="gate")(layers.Conv2D(8, 3)(layers.Conv2D(16, 3, name="first")(x)))
    x = layers.MaxPooling2D()(layers.Conv2D(8, 3)(x))
    keras.Model(image, layers.Dense(3)(layers.Flatten()(x))).save(tmp_path / "gated.keras")
    assert main(["inspect", str(tmp_path / "gated.keras")]) == 0
    text = capsys.readouterr().out
    assert "16 channels made by first" in text
    assert "gate keeps its channels: it normalises over the channels, which depend on one another" in text


def test_a_tflite_file_is_inspected_up_to_a_tensor(
    tiny_keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flags say how a model is opened; a store and a model of another kind refuse them."""
    import keras

    from legodnn.blocks.export.convert import convert

    file = tmp_path / "tiny.tflite"
    file.write_bytes(convert(keras.saving.load_model(tiny_keras_file)))
    assert main(["inspect", str(file), "--json"]) == 0
    blocks = json.loads(capsys.readouterr().out)["segments"]
    assert main(["inspect", str(tiny_keras_file), "--json"]) == 0
    original = json.loads(capsys.readouterr().out)["segments"]
    assert [b["prunable"] and b["outputs"] for b in blocks] == [b["prunable"] and b["outputs"] for b in original]
    assert main(["inspect", str(file), "--cut-at", "no,such"]) != 0
    assert "there is no computed tensor 'no' to cut at" in capsys.readouterr().err
    assert main(["inspect", str(tiny_keras_file), "--cut-at", "x"]) != 0
    assert "cut_at is for .tflite and .onnx files" in capsys.readouterr().err


def test_a_saved_models_folder_is_no_store(
    tiny_keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    keras.saving.load_model(tiny_keras_file).export(tmp_path / "served", verbose=False)
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "served"), "--json"]) == 0
    assert [s["kind"] for s in json.loads(capsys.readouterr().out)["segments"]].count("block") > 0


def test_a_drawing_that_cannot_be_written_is_told_before_the_model_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["inspect", "missing.keras", "--draw", str(tmp_path / "file" / "x.svg")]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"legodnn: cannot write {tmp_path / 'file' / 'x.svg'}: Not a directory; name another")


@pytest.mark.parametrize("flag", [("--cut-at", "x"), ("--max-blocks", "0")])
def test_how_a_model_is_opened_does_not_concern_a_store(
    flag: tuple[str, str], tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(tiny_store.path), *flag]) != 0
    assert f"is a store, and {flag[0]} is for models" in capsys.readouterr().err
