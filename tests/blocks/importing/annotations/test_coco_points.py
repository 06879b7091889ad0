"""Persons of COCO's key points are cut out; what does not fit is refused by its annotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.blocks.importing.annotations.coco_points import read_coco_points
from legodnn.blocks.importing.data_sources import load_data
from legodnn.errors import DataError
from legodnn.images import Frame
from tests.blocks.importing.annotations.pictures import HEIGHT, WIDTH, save

PERSON = {"image_id": 1, "category_id": 1, "bbox": [20, 10, 16, 16], "keypoints": [22, 12, 2, 30, 20, 1, 0, 0, 0]}


def coco(root: Path, change: dict[str, Any] | None = None, **person: Any) -> Path:
    """Save a gray picture with two persons, of whom one has no points, a crowd and a dog."""
    save(root / "a.png")
    document = {
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "eye", "ear"]}, {"id": 2, "name": "dog"}],
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [
            {**PERSON, **person},
            {**PERSON, "keypoints": [0] * 9},
            {**PERSON, "iscrowd": 1},
            {"image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9]},
        ],
    }
    (root / "persons.json").write_text(json.dumps({**document, **(change or {})}))
    return root


def test_a_person_is_cut_out_with_a_margin_and_points_move_along(tmp_path: Path) -> None:
    names, parts = read_coco_points(coco(tmp_path), Frame((40, 40, 3)))
    assert names == ("nose", "eye", "ear")
    (cutout,) = parts["train"].files
    assert cutout.box == (18, 8, 38, 28)  # 16 x 16 enlarged to 20 x 20
    assert parts["train"].labels is not None
    assert parts["train"].labels.tolist() == [[[8, 8, 1], [24, 24, 1], [0, 0, 0]]]
    (cutout,) = read_coco_points(tmp_path, Frame((40, 80, 3)))[1]["train"].files
    assert cutout.box == (8, 8, 48, 28)  # as wide as the input, for its height


def test_pictures_are_the_parts_that_are_cut_out_and_black_outside(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:20, :20] = (200, 100, 50)
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(60)]
    person = {**PERSON, "bbox": [0, 0, 16, 16], "keypoints": [1, 1, 2] + [0] * 6}
    coco(tmp_path, {"images": images, "annotations": [{**person, "image_id": i} for i in range(60)] * 2})
    for i in range(60):
        save(tmp_path / f"{i}.png", pixels)
    data = load_data(f"coco_points:{tmp_path}", image_size=20)
    picture = np.round(np.asarray(data.train.x)[0] * 255)
    assert (picture[2:, 2:] == (200, 100, 50)).all()
    assert (picture[:2] == 0).all()
    assert (picture[:, :2] == 0).all()
    assert data.labels == ("nose", "eye", "ear")
    assert data.train.y is not None
    assert np.asarray(data.train.y)[0].tolist() == [[3, 3, 1], [0, 0, 0], [0, 0, 0]]


def test_what_is_cut_out_of_a_picture_is_all_in_one_part(tmp_path: Path) -> None:
    for i in range(60):
        save(tmp_path / f"{i}.png", np.full((HEIGHT, WIDTH, 3), 4 * i, np.uint8))
    shown = [i for i in range(60) for _ in range(1 + i % 3)]
    annotations = [{**PERSON, "image_id": i} for i in shown]
    coco(tmp_path, {"images": [{"id": i, "file_name": f"{i}.png"} for i in range(60)], "annotations": annotations})
    data = load_data(f"coco_points:{tmp_path}", image_size=20)
    found = [np.rint(np.asarray(part.x)[:, 5, 5, 0] * 255 / 4).tolist() for part in (data.train, data.val, data.test)]
    assert [len(set(pictures)) for pictures in found] == [39, 9, 12]
    assert sorted(picture for pictures in found for picture in pictures) == shown
    assert any(a != b for a, b in zip(found[0], sorted(found[0], key=found[0].index), strict=True)), "in random order"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": [1, 2, 2]}, r"annotations\[0\]: keypoints are x, y and visibility of each of 3 points"),
        ({"keypoints": [1, 2, "2"] * 3}, r"annotations\[0\]: keypoints are"),
        (
            {"keypoints": [22, 12, 2, 70, 20, 1, 0, 0, 0]},
            r"annotations\[0\]: eye is at \(70, 20\), outside of the",
        ),
        ({"bbox": [50, 10, 16, 16]}, r"annotations\[0\]: "),
        ({"image_id": 5}, r"annotations\[0\] is of an image"),
    ],
)
def test_objects_that_do_not_fit_are_refused_by_annotation(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_coco_points(coco(tmp_path, **change), Frame((40, 40, 3)))


def test_one_category_has_key_points(tmp_path: Path) -> None:
    for count in (0, 2):
        categories = [{"id": i, "name": str(i), "keypoints": ["nose"]} for i in range(count)]
        with pytest.raises(DataError, match=f"{count} categories have keypoints; there must be one"):
            read_coco_points(coco(tmp_path, {"categories": categories}), Frame((40, 40, 3)))
    coco(tmp_path, {"categories": [{"id": 1, "name": "person", "keypoints": "nose"}]})
    with pytest.raises(DataError, match="the keypoints of category person are not a list of names"):
        read_coco_points(tmp_path, Frame((40, 40, 3)))
