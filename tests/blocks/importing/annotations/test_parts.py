"""Folders of clips and of normal images become data sets whose frames and kinds are where they belong.

Covers also: blocks.importing.annotations.clips, blocks.importing.annotations.normality.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legodnn.blocks.importing.annotations.clips import read_clips
from legodnn.blocks.importing.annotations.normality import read_normality
from legodnn.blocks.importing.data_sources import load_data
from legodnn.errors import DataError
from tests.blocks.importing.annotations.pictures import save


def gray(value: int) -> np.ndarray:
    return np.full((8, 8), value, np.uint8)


def clips(root: Path) -> Path:
    """Fifteen clips of each of two classes; every frame has the brightness of its clip's number, and its own."""
    for label, name in enumerate(("run", "walk")):
        for clip in range(15):
            for frame in range(5):
                save(root / name / f"clip{clip:02}" / f"{frame}.png", gray(100 * label + 5 * clip + frame))
    return root


def test_frames_of_a_clip_stay_together_in_their_order(tmp_path: Path) -> None:
    data = load_data(f"clips:{clips(tmp_path)}", image_size=8, channels=1, frames=3)
    assert data.labels == ("run", "walk")
    seen = []
    for split in (data.train, data.val, data.test):
        values = np.rint(np.asarray(split.x)[:, 0, 0, 0] * 255).astype(int).reshape(-1, 3)
        y = np.asarray(split.y).reshape(-1, 3)
        assert (y == y[:, :1]).all()
        np.testing.assert_array_equal(values - values[:, :1], [[0, 2, 4]] * len(values))
        np.testing.assert_array_equal(values[:, 0] >= 100, y[:, 0] == 1)
        seen += values[:, 0].tolist()
    assert len(set(seen)) == 30


def test_frames_that_lie_in_no_clip_are_refused(tmp_path: Path) -> None:
    save(clips(tmp_path) / "run" / "loose.png")
    with pytest.raises(
        DataError, match=r"loose\.png lies in no folder of a clip; put the frames of each clip into CLASS/CLIP/"
    ):
        read_clips(tmp_path, 3)


def kinds(root: Path, **counts: int) -> Path:
    for place, count in counts.items():
        for i in range(count):
            save(root / place.replace("_", "/") / f"{i}.png", gray(i))
    return root


def test_kinds_of_training_are_normal_and_the_test_images_are_halved(tmp_path: Path) -> None:
    kinds(tmp_path, train_good=12, test_good=14, test_scratch=11, test_hole=9)
    data = load_data(f"one_class:{tmp_path}", image_size=8, channels=1)
    assert (len(data.train), len(data.val), len(data.test)) == (12, 17, 17)
    assert np.asarray(data.train.y).sum() == 0
    assert (np.asarray(data.val.y).sum(), np.asarray(data.test.y).sum()) == (10, 10)


def test_mvtecs_masks_lie_beside_and_an_empty_folder_makes_no_kind_normal(tmp_path: Path) -> None:
    kinds(tmp_path, train_good=12, test_good=22, test_scratch=11, test_hole=9)
    save(tmp_path / "ground_truth" / "scratch" / "0_mask.png", gray(0))
    (tmp_path / "license.txt").write_text("a license")
    (tmp_path / "train" / "hole").mkdir()
    parts = read_normality(tmp_path, 0)
    assert {part: len(each.files) for part, each in parts.items()} == {"train": 12, "val": 21, "test": 21}
    for each in parts.values():
        assert each.labels is not None
        assert each.labels.tolist() == [file.parent.name != "good" for file in each.files]


def test_parts_that_cannot_be_measured_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folders train and test"):
        read_normality(kinds(tmp_path / "a", good=3), 0)
    (tmp_path / "d" / "train" / "good").mkdir(parents=True)
    with pytest.raises(DataError, match="train holds no images; it must hold normal ones, in a folder for each kind"):
        read_normality(kinds(tmp_path / "d", test_good=3, test_hole=3), 0)
    with pytest.raises(DataError, match=r"test must hold normal images \(good\) and anomalies"):
        read_normality(kinds(tmp_path / "b", train_good=3, test_good=3), 0)
    save(kinds(tmp_path / "c", train_good=3, test_good=3, test_hole=3) / "test" / "loose.png")
    with pytest.raises(DataError, match=r"loose\.png lies in no folder of its kind; put it into good, or another"):
        read_normality(tmp_path / "c", 0)


def test_annotated_folders_are_data_sets_with_parts_taken_off(tmp_path: Path) -> None:
    for i in range(80):
        save(tmp_path / "images" / f"{i}.png", gray(i))
        save(tmp_path / "masks" / f"{i}.png", np.full((8, 8), i % 3, np.uint8))
    data = load_data(f"masks:{tmp_path}", image_size=8, channels=1)
    assert [len(split) for split in (data.train, data.val, data.test)] == [52, 12, 16]
    for split in (data.train, data.val, data.test):
        brightness = np.rint(np.asarray(split.x)[..., 0] * 255)
        np.testing.assert_array_equal(np.asarray(split.y), brightness % 3)
