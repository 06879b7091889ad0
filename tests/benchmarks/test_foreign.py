"""Models that others made are examined, and taken all the way, as benchmarks/foreign.py and foreign_builds.py say.

Covers also: benchmarks/foreign_builds.py, benchmarks/support/foreign_files.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.benchmarks.scripts import load
from tests.blocks.importing.tflite.compared import converted
from tests.runtime.tflite.detection_files import detector


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network that can be pruned, a detector's end alone, and a damaged file."""
    folder = tmp_path_factory.mktemp("foreign")
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    y = image
    for filters in (8, 16, 16):
        y = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(y)
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(y)))
    content = converted(model)
    (folder / "plain.tflite").write_bytes(content)
    (folder / "damaged.tflite").write_bytes(content[: len(content) // 2])
    (folder / "end.tflite").write_bytes(detector())
    return folder


def test_a_folder_is_examined_file_by_file(folder: Path) -> None:
    figures, bars = load("foreign").measure(argparse.Namespace(folder=folder, cut_at=[], quick=False))
    rows = {row["file"]: row for row in figures["files"]}
    assert "damaged" in rows["damaged.tflite"]["refused"]
    assert "TFLite_Detection_PostProcess" in rows["end.tflite"]["refused"]
    plain = rows["plain.tflite"]
    assert plain["blocks"] >= 1
    assert 0 < plain["macs_removable"] < plain["macs_in_blocks"] <= 1
    assert plain["difference"] < 1e-5
    assert all(bar["holds"] for bar in bars)


def test_what_a_row_says_about_a_file_that_cannot_be_built(folder: Path) -> None:
    row: dict[str, Any] = load("foreign_builds").take_through(folder / "damaged.tflite", [])
    assert row["done"] == []
    assert "damaged" in row["failed"]


@pytest.mark.slow
def test_a_file_goes_all_the_way(folder: Path) -> None:
    row: dict[str, Any] = load("foreign_builds").take_through(folder / "plain.tflite", [])
    assert row["done"] == ["build", "profile", "plan", "run"], row
    assert row["inferences"] == load("foreign_builds").IMAGES
    assert row["memory_bytes"] == sorted(row["memory_bytes"], reverse=True)


def test_data_is_made_as_the_model_takes_it(folder: Path, tmp_path: Path) -> None:
    load("foreign_builds").random_data(folder / "plain.tflite", [], tmp_path / "data.npz")
    assert np.load(tmp_path / "data.npz")["x"].shape == (100, 16, 16, 3)
