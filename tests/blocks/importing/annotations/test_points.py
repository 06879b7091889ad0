"""Key points of a table move with their pictures; rows that do not fit are refused by their line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legodnn.blocks.importing.annotations.points import read_points
from legodnn.blocks.importing.data_sources import load_data
from legodnn.errors import DataError
from legodnn.images import Frame
from tests.blocks.importing.annotations.pictures import HEIGHT, WIDTH, save

HEADER = "image,eye_x,eye_y,nose_x,nose_y\n"


def table(root: Path, text: str) -> Path:
    save(root / "a.jpg")
    save(root / "deep" / "b.jpg")
    (root / "points.csv").write_text(text, "utf-8-sig")  # as spreadsheets write it
    return root


def test_points_move_with_their_pictures_and_empty_ones_are_not_known(tmp_path: Path) -> None:
    table(tmp_path, HEADER + "a.jpg,30,20,,\n\ndeep/b.jpg,0,0,60,40\n")
    names, parts = read_points(tmp_path, Frame((HEIGHT // 2, WIDTH, 3)))
    assert names == ("eye", "nose")
    assert [file.name for file in parts["train"].files] == ["a.jpg", "b.jpg"]
    assert parts["train"].labels is not None
    assert parts["train"].labels.tolist() == [[[30, 10, 1], [0, 0, 0]], [[0, 0, 1], [60, 20, 1]]]
    # A crop cuts 10 pixels away at the left and the right.
    labels = read_points(tmp_path, Frame((40, 40, 3), "crop"))[1]["train"].labels
    assert labels is not None
    assert labels.tolist() == [[[20, 20, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_a_picture_of_several_lines_is_in_one_part(tmp_path: Path) -> None:
    for i in range(60):
        save(tmp_path / f"{i}.png", np.full((8, 8, 3), 4 * i, np.uint8))
    (tmp_path / "points.csv").write_text(HEADER + "".join(f"{i}.png,1,2,3,4\n" for i in range(60)) * 2)
    data = load_data(f"points:{tmp_path}", image_size=8)
    parts = [np.rint(np.asarray(part.x)[:, 0, 0, 0] * 255).tolist() for part in (data.train, data.val, data.test)]
    assert [(len(part), len(set(part))) for part in parts] == [(78, 39), (18, 9), (24, 12)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"points\.csv, line 1: the header is image, NAME_x"),
        ("image,eye_y,eye_x\n", "line 1: the header is"),
        (HEADER + "a.jpg,30,20,1,1\na.jpg,1,2,3\n", r"points\.csv, line 3 has 4 columns, the header 5"),
        (HEADER + "a.jpg,30,20,61,1\n", r"line 2: nose is at \(61, 1\), outside of the image's 60 x 40"),
        (HEADER + "a.jpg,30,,1,1\n", "line 2: eye is at .* not two numbers"),
        (HEADER + "a.jpg,nan,1,1,1\n", "line 2: eye is at .* outside"),
        (HEADER + "c.jpg,30,20,1,1\n", r"points\.csv, line 2 names .c\.jpg., which is not beside it"),
        (HEADER + "a.jpg,30,20,1,1\n../a.jpg,1,1,1,1\n", r"points\.csv, line 3 names .\.\./a\.jpg."),
        (HEADER + '"a.jpg,30,20,1,1\n', r"cannot read .*points\.csv"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_points(table(tmp_path, text), Frame((HEIGHT, WIDTH, 3)))
