"""Masks are labels of the size of the model's input, and those that do not fit are refused by their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from legodnn.blocks.importing.annotations.masks import read_masks
from legodnn.errors import DataError
from legodnn.images import Frame
from tests.blocks.importing.annotations.pictures import HEIGHT, WIDTH, Image, save

MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[:20, :30], MASK[20:, 30:], MASK[35:, 55:] = 1, 2, 255


def street(root: Path) -> Path:
    """One image of two classes and void, as CamVid has them."""
    save(root / "train" / "a.jpg")
    save(root / "trainannot" / "a.png", MASK)
    (root / "classes.txt").write_text("sky\nroad\nvoid\n")
    return root


def test_a_label_shows_the_nearest_pixel_of_the_mask_and_void_as_minus_1(tmp_path: Path) -> None:
    street(tmp_path)
    (tmp_path / "classes.txt").write_text("sky\nroad\nvoid\n\n", "utf-8-sig")  # as editors on Windows write it
    classes, parts = read_masks(tmp_path, Frame((HEIGHT, WIDTH, 3)))
    assert classes == ("sky", "road")
    expected = np.where((MASK == 255) | (MASK == 2), -1, MASK.astype(int))
    np.testing.assert_array_equal(parts["train"].labels, expected[None])
    _, parts = read_masks(tmp_path, Frame((20, 30, 3)))
    np.testing.assert_array_equal(parts["train"].labels, expected[None, 1::2, 1::2])


def test_margins_of_a_letterbox_are_void_and_a_crop_shows_the_middle(tmp_path: Path) -> None:
    street(tmp_path)
    label = read_masks(tmp_path, Frame((60, 60, 3), "letterbox"))[1]["train"].labels
    assert label is not None
    assert (label[0, :10] == -1).all()
    assert (label[0, 10:30, :30] == 1).all()
    label = read_masks(tmp_path, Frame((40, 40, 3), "crop"))[1]["train"].labels
    assert label is not None
    np.testing.assert_array_equal(label[0, :20], np.where(MASK == 255, -1, MASK.astype(int))[:20, 10:50])


def test_images_and_masks_may_lie_beside_each_other_in_palette_colours_without_names(tmp_path: Path) -> None:
    save(tmp_path / "images" / "deep" / "a.png")
    picture = Image.fromarray(MASK)
    picture.putpalette([255 - value // 3 for value in range(768)])
    (tmp_path / "masks" / "deep").mkdir(parents=True)
    picture.save(tmp_path / "masks" / "deep" / "a.png")
    classes, parts = read_masks(tmp_path, Frame((HEIGHT, WIDTH, 3)))
    assert classes == ()
    assert parts["train"].labels is not None
    assert np.unique(parts["train"].labels).tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: (root / "trainannot" / "a.png").unlink(),
            r"a\.jpg has no mask in .*trainannot; put one of the same name there",
        ),
        (lambda root: save(root / "trainannot" / "a.png", MASK[:10]), r"a\.png is of 60x10 pixels, its image of 60x40"),
        (lambda root: save(root / "trainannot" / "a.png"), "a.png is a picture of colours"),
        (lambda root: (root / "classes.txt").write_text("sky\nroad"), "a.png: 2 at row 21, column 31 is none of the 2"),
        (lambda root: (root / "classes.txt").write_text("sky\nsky"), "classes.txt names a class twice"),
        (lambda root: (root / "classes.txt").write_text("sky\n\nroad\n"), "classes.txt: line 2 is empty; write a name"),
        (
            lambda root: (root / "trainannot").rename(root / "other"),
            "images is missing: there must be",
        ),
        (lambda root: save(root / "val" / "b.jpg"), "valannot is missing: there must be"),
        (lambda root: save(root / "testannot" / "b.png", MASK), "test is missing: there must be"),
        (lambda root: save(root / "train" / "a.png"), r"a\.jpg and .*a\.png are both called a, which labels refer to"),
        (
            lambda root: save(root / "trainannot" / "a.bmp", MASK),
            r"a\.bmp and .*a\.png are both called a, which labels refer to",
        ),
        (
            lambda root: save(root / "trainannot" / "a.png", np.where(MASK == 1, 255, 0).astype(np.uint8)),
            "hold nothing but 0 and what is void, as 255 is: write 1 for a foreground",
        ),
        (lambda root: (root / "train" / "a.jpg").write_bytes(b"no"), "cannot read .*a.jpg as an image"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_file(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    change(street(tmp_path))
    with pytest.raises(DataError, match=message):
        read_masks(tmp_path, Frame((HEIGHT, WIDTH, 3)))
