"""Boxes of Pascal VOC's and COCO's files move with their pictures; those that do not fit are refused by file and line.

Covers also: blocks.importing.annotations.voc, blocks.importing.annotations.coco.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from legodnn.blocks.importing.annotations.coco import read_coco
from legodnn.blocks.importing.annotations.voc import read_voc
from legodnn.errors import DataError
from legodnn.images import Frame
from tests.blocks.importing.annotations.pictures import HEIGHT, WIDTH, save

SAME = Frame((HEIGHT, WIDTH, 3))
OBJECT = """
  <object><name>{}</name><part><name>tail</name><bndbox><xmin>9</xmin></bndbox></part>
    <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def voc(root: Path, name: str, *objects: tuple[Any, ...]) -> None:
    save(root / "JPEGImages" / f"{name}.jpg")
    (root / "Annotations").mkdir(exist_ok=True)
    text = "<annotation>" + "".join(OBJECT.format(*each) for each in objects) + "\n</annotation>"
    (root / "Annotations" / f"{name}.xml").write_text(text)


def coco(root: Path, change: dict[str, Any] | None = None) -> None:
    save(root / "a.jpg")
    save(root / "b.jpg")
    document: dict[str, Any] = {
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 2, "category_id": 7, "bbox": [10, 5, 20.5, 10], "iscrowd": 0},
            {"image_id": 2, "category_id": 3, "bbox": [0, 0, 60, 40]},
            {"image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        ],
    }
    (root / "boxes.json").write_text(json.dumps({**document, **(change or {})}))


def test_pascal_vocs_pixels_count_from_1_and_lists_make_the_parts(tmp_path: Path) -> None:
    voc(tmp_path, "a", ("dog", 11, 6, 30, 15), ("cat", 1, 1, 60, 40))
    voc(tmp_path, "b")
    classes, parts = read_voc(tmp_path, SAME)
    assert classes == ("cat", "dog")
    assert parts["train"].labels is not None
    assert parts["train"].labels.tolist() == [[[10, 5, 30, 15, 1], [0, 0, 60, 40, 0]], [[-1.0] * 5] * 2]
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    for part, name in (("train", "b"), ("val", "a")):
        (tmp_path / "ImageSets" / "Main" / f"{part}.txt").write_text(f"{name}\n")
    _, parts = read_voc(tmp_path, SAME)
    found = [(part, file.stem) for part, each in parts.items() for file in each.files]
    assert found == [("train", "b"), ("val", "a")]


def test_names_of_pascal_vocs_lists_may_have_spaces_and_flags_behind_them(tmp_path: Path) -> None:
    for name in ("my cat", "b", "b 1"):
        voc(tmp_path, name)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("my cat\nb  -1\nb 1\n")
    assert [file.stem for file in read_voc(tmp_path, SAME)[1]["train"].files] == ["my cat", "b", "b 1"]
    (lists / "train.txt").write_text("my dog\n")
    with pytest.raises(DataError, match=r"train\.txt, line 1: JPEGImages has no picture my dog; put it there"):
        read_voc(tmp_path, SAME)


def test_an_annotation_is_of_one_picture(tmp_path: Path) -> None:
    voc(tmp_path, "a")
    save(tmp_path / "JPEGImages" / "a.png")
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png are both called a, which labels refer to; rename one"):
        read_voc(tmp_path, SAME)


def test_cocos_classes_have_the_order_of_their_ids_and_crowds_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    coco(tmp_path)
    classes, parts = read_coco(tmp_path, SAME)
    assert classes == ("cat", "dog")
    assert [file.name for file in parts["train"].files] == ["a.jpg", "b.jpg"]
    assert parts["train"].labels is not None
    assert parts["train"].labels.tolist() == [[[-1.0] * 5] * 2, [[10, 5, 30.5, 15, 1], [0, 0, 60, 40, 0]]]
    assert "1 of its annotations are of crowds and left out" in caplog.text


def test_boxes_move_with_their_pictures(tmp_path: Path) -> None:
    voc(tmp_path, "a", ("cat", 1, 1, 10, 40), ("cat", 6, 11, 30, 20))

    def boxes(frame: Frame) -> list[list[float]]:
        labels = read_voc(tmp_path, frame)[1]["train"].labels
        assert labels is not None
        return labels[0, labels[0, :, 4] >= 0, :4].tolist()

    assert boxes(Frame((20, 60, 3))) == [[0, 0, 10, 20], [5, 5, 30, 10]]
    assert boxes(Frame((60, 60, 3), "letterbox")) == [[0, 10, 10, 50], [5, 20, 30, 30]]
    # A crop cuts 10 pixels away at the left: the first box is gone, of the second 5 pixels are.
    assert boxes(Frame((40, 40, 3), "crop")) == [[0, 10, 20, 20]]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (
            [("cat", 1, 1, 5, 5), ("cat", 1, 1, 63, 5)],
            r"a\.xml, line 4: the box \(0, 0, 63, 5\) is outside",
        ),
        ([("cat", 9, 9, 5, 12)], r"a\.xml, line 2: the box .* is empty"),
        ([("cat", "one", 9, 5, 12)], r"a\.xml, line 2: the sides of the box are not numbers"),
        ([("", 1, 1, 5, 5)], r"a\.xml, line 2: the object has no name"),
        ([("<cat>", 1, 1, 5, 5)], r"a\.xml, line 2: it is no XML"),
    ],
)
def test_pascal_vocs_boxes_that_do_not_fit_are_refused_by_line(
    tmp_path: Path, objects: list[tuple[Any, ...]], message: str
) -> None:
    voc(tmp_path, "a", *objects)
    with pytest.raises(DataError, match=message):
        read_voc(tmp_path, SAME)


def test_pascal_vocs_files_that_are_missing_or_try_tricks_are_refused(tmp_path: Path) -> None:
    voc(tmp_path, "a")
    (tmp_path / "Annotations" / "a.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>')
    with pytest.raises(DataError, match=r"a\.xml declares a document type"):
        read_voc(tmp_path, SAME)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("\nzebra\n")
    with pytest.raises(DataError, match=r"train\.txt, line 2: JPEGImages has no picture zebra"):
        read_voc(tmp_path, SAME)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"annotations": [{"image_id": 1, "category_id": 3, "bbox": [50, 0, 20, 9]}]},
            r"annotations\[0\]: the box",
        ),
        (
            {"annotations": [{"image_id": 9, "category_id": 3, "bbox": [0, 0, 2, 9]}]},
            r"\[0\] is of an image",
        ),
        ({"annotations": [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 2]}]}, "bbox is x, y, width and height"),
        (
            {"annotations": [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 10**400, 9]}]},
            r"annotations\[0\]: bbox is x, y, width and height, not \[0, 0, 1000",
        ),
        ({"annotations": [{"image_id": 1, "category_id": "3", "bbox": []}]}, r"annotations\[0\] has no category_id"),
        ({"images": [{"id": 1, "file_name": "../c.jpg"}]}, r"images\[0\] names .\.\./c\.jpg., which is not beside it"),
        ({"images": [{"id": 1, "file_name": "c\0.jpg"}]}, r"images\[0\] names 'c\\x00\.jpg', which is not beside it"),
        ({"images": [{"id": 1, "file_name": 999 * "c"}]}, r"images\[0\] names 'cccc"),
        ({"categories": None}, "has no list categories"),
        (
            {"categories": [{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}]},
            "category 3 is dog, and cat elsewhere; give",
        ),
    ],
)
def test_cocos_boxes_that_do_not_fit_are_refused_by_annotation(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    coco(tmp_path, change)
    with pytest.raises(DataError, match=message):
        read_coco(tmp_path, SAME)


def test_boxes_whose_id_two_pictures_of_coco_have_are_of_neither(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    coco(tmp_path, {"images": [*images, {"id": 1, "file_name": "./a.jpg"}]})  # the same once more
    _, parts = read_coco(tmp_path, SAME)
    assert [file.name for file in parts["train"].files] == ["a.jpg", "b.jpg"]
    coco(tmp_path, {"images": [*images, {"id": 2, "file_name": "a.jpg"}]})  # as where two files were put together
    with pytest.raises(DataError, match=r"images\[2\] has the id 2 of b\.jpg: give each picture an id of its own"):
        read_coco(tmp_path, SAME)


def test_a_folder_has_one_file_of_coco(tmp_path: Path) -> None:
    coco(tmp_path)
    (tmp_path / "more.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds 2 \.json files"):
        read_coco(tmp_path, SAME)
    (tmp_path / "boxes.json").unlink()
    (tmp_path / "more.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="is no JSON"):
        read_coco(tmp_path, SAME)
