"""`legodnn pack` makes a store of files, shows it, and says in a line or two why it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from legodnn.store import Store
from tests.legodnn.commands.running import run
from tests.runtime.whole_models.whole_files import WIDE, dense_dynamic, dense_float


def test_pack_writes_a_store_and_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = dense_float(tmp_path / "large.tflite"), dense_dynamic(tmp_path / "small.tflite")
    (tmp_path / "labels.txt").write_text("\ufeff" + "".join(f"class {n}\n" for n in range(WIDE)), encoding="utf-8")
    out = tmp_path / "store"
    flags = ("--accuracy", ".9,.8", "--metric", "top1", "--labels", tmp_path / "labels.txt", "--out", out)
    status, shown, _ = run(capsys, "pack", *files, *flags)
    assert status == 0
    assert f"input t0: {WIDE}, float32; no picture" in shown
    assert "store: 2 whole files; the best has top1 0.9000, as given" in shown
    assert f"next, on the device: legodnn profile {out}" in shown
    assert Store(out).manifest.model.labels == tuple(f"class {n}" for n in range(WIDE))
    status, shown, _ = run(capsys, "inspect", out, "--json")
    assert [o["loss"] for o in json.loads(shown)["manifest"]["segments"][0]["options"]] == [0, pytest.approx(0.1)]


def test_functions_of_one_name_are_parts_of_their_own_and_are_called_as_they_were_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyTorch and litert-torch would convert is converted already: they need not be installed."""
    net = dense_float(tmp_path / "net.tflite", 3)
    made = {
        "big.nets:net": dense_float(tmp_path / "a", 1).read_bytes(),
        "small:net": dense_float(tmp_path / "b", 2).read_bytes(),
        "small:tiny": dense_float(tmp_path / "c", 4).read_bytes(),
        "small:none": b"nothing",
    }
    monkeypatch.setattr("legodnn.blocks.from_torch.module.torch_file", made.__getitem__)
    parts, out = ["big.nets:net", "small:net", net, "small:tiny"], tmp_path / "store"
    status, _, error = run(capsys, "pack", *parts, "--accuracy", ".9,.8,.7,.6", "--out", out)
    assert (status, error) == (0, "")
    store = Store(out)
    assert [o.name for o in store.manifest.segments[0].options] == ["big.nets_net", "small_net", "net", "tiny"]
    contents = [(out / o.file).read_bytes() for o in store.manifest.segments[0].options]
    assert len(set(contents)) == 4
    assert store.manifest.built.recipe == {"packed": [str(part) for part in parts]}
    status, _, error = run(capsys, "pack", "small:none", "--accuracy", "1", "--out", tmp_path / "other")
    assert status == 1
    assert error.startswith("legodnn: small:none cannot be packed: ")


def test_a_place_that_cannot_be_written_is_told_before_files_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    status, _, error = run(capsys, "pack", "missing.tflite", "--accuracy", "1", "--out", tmp_path / "file" / "store")
    assert status == 1
    assert error == f"legodnn: cannot write {tmp_path / 'file'}: Not a directory; name another place with --out\n"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("a\n\nb\n", "line 2 is empty; write a name there"),
        ("a\nb\n\n", "2 labels for 512 classes"),
        ("\n", "labels.txt is empty; give a text file"),
    ],
)
def test_labels_name_every_class_in_its_place(
    labels: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text(labels)
    file, flags = dense_float(tmp_path / "a.tflite"), ("--accuracy", ".9", "--labels", tmp_path / "labels.txt")
    status, _, error = run(capsys, "pack", file, *flags, "--out", tmp_path / "store")
    assert status == 1
    assert message in error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "how good are the files?"),
        (("--accuracy", ".9", "--input-range", "0,1,2"), "--input-range is two numbers"),
        (("--data", "missing.npz"), "cannot read missing.npz"),
        (("--data", "missing.npz", "--metric", "top1"), "--metric says what --accuracy is"),
        (("--accuracy", ".9", "--labels", "missing.txt"), "cannot read missing.txt"),
        (
            ("net.onnx", "--accuracy", ".9,.8"),
            "net.onnx is an ONNX file: `legodnn build` and `legodnn compress` take it",
        ),
    ],
)
def test_what_makes_no_sense_is_one_error_and_leaves_nothing(
    flags: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = dense_float(tmp_path / "a.tflite")
    status, _, error = run(capsys, "pack", file, "--out", tmp_path / "store", *flags)
    assert status == 1
    assert message in error
    assert not (tmp_path / "store").exists()
    assert len(error.strip().splitlines()) == 1
