"""Functions of the user's own give arrays to `run` and `pack`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from legodnn.commands.own_arrays import names_function, own_arrays
from legodnn.errors import InputError
from legodnn.store import Store
from tests.legodnn.commands.running import run
from tests.runtime.whole_models.whole_files import WIDE, dense_float

SOURCE = f"""
import numpy as np

def images():
    return {{"x": np.zeros((3, 12, 12, 1), np.float32), "y": np.arange(3)}}

def talkative():
    print("reading images")
    return images()

def numbers():
    return {{"x": np.eye(8, {WIDE}, dtype=np.float32)}}

def wrong():
    return [1, 2]

def masked():
    return {{"x": np.ma.masked_array(np.zeros((3, 12, 12, 1), np.float32))}}

def broken():
    raise OSError("no such camera")
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "arrays_of_mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "arrays_of_mine", raising=False)


def test_a_source_is_a_function_only_if_it_can_be_nothing_else(tmp_path: Path) -> None:
    assert names_function("package.module:function")
    assert not any(map(names_function, ("camera:1", "photos", "a/b:c", "C:\\photos", "images:photos/x")))
    (tmp_path / "a:b").touch()
    assert not names_function("a:b")


def test_run_takes_the_arrays_of_a_function(tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, _ = run(capsys, "run", tiny_store.path, "--input", "arrays_of_mine:images", "--json")
    assert status == 0
    measured = json.loads(shown)[0]["models"]["tiny"]
    assert measured["inferences"] == 3
    assert measured["accuracy"] is not None


def test_what_a_function_prints_is_no_result(tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, told = run(capsys, "run", tiny_store.path, "--input", "arrays_of_mine:talkative", "--json")
    assert status == 0
    assert len(json.loads(shown)) == 1
    assert "reading images" in told


def test_pack_measures_on_the_arrays_of_a_function(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = dense_float(tmp_path / "a.tflite")
    status, _, _ = run(capsys, "pack", file, "--data", "arrays_of_mine:numbers", "--out", tmp_path / "store")
    assert status == 0
    assert Store(tmp_path / "store").manifest.accuracy.metric == "agreement"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "arrays_of_mine:wrong gave list, not a dict of arrays by name"),
        ("broken", "arrays_of_mine:broken failed: OSError: no such camera"),
        ("masked", "arrays_of_mine:masked gave a masked array as 'x'; fill what is masked"),
        ("missing", "cannot find 'arrays_of_mine:missing'"),
    ],
)
def test_what_gives_no_arrays_is_one_error(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        own_arrays(f"arrays_of_mine:{name}")
