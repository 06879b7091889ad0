"""Folders of images are read as people keep them: with classes, splits, and files that tools leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.errors import DataError
from legodnn.folders import class_folders, image_files, labels_of, split_folders


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def names_of(root: Path) -> list[str]:
    return [str(file.relative_to(root)) for file in image_files(root, DataError)]


def test_images_of_all_subfolders_are_found_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a/2.jpg", "a/1.webp", "a/deep/x.gif", "notes.txt", "labels.csv", "a/x.npy")
    assert names_of(tmp_path) == ["a/1.webp", "a/2.jpg", "a/deep/x.gif", "b.PNG"]


SERVICE = (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".hidden", ".thumbnails", "lost+found", "#recycle")


@pytest.mark.parametrize("service", SERVICE)
def test_hidden_and_service_folders_are_passed_over_wherever_they_are(tmp_path: Path, service: str) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png", f"{service}/x.png", f"cat/{service}/1-checkpoint.png", "cat/._1.png")
    touch(tmp_path, ".DS_Store", "cat/.DS_Store", "Thumbs.db", "dog/Thumbs.db", "desktop.ini")
    found = class_folders(tmp_path, DataError)
    assert found.classes == ("cat", "dog")
    assert names_of(tmp_path) == ["cat/1.png", "dog/1.png"]
    assert found.numbers == (0, 1)


def test_only_service_folders_beside_images_leave_them_without_labels(tmp_path: Path) -> None:
    found = class_folders(touch(tmp_path, "1.png", "2.png", ".ipynb_checkpoints/1-checkpoint.png"), DataError)
    assert (found.classes, found.numbers, len(found.files)) == ((), (), 2)


def test_an_empty_class_keeps_its_number_as_keras_keeps_it(tmp_path: Path) -> None:
    touch(tmp_path, "bee/1.png", "cat/1.png", "cat/deep/2.png")
    (tmp_path / "ant").mkdir()
    found = class_folders(tmp_path, DataError)
    assert found.classes == ("ant", "bee", "cat")
    assert found.numbers == (1, 2, 2)


def test_linked_classes_and_images_are_followed_and_loops_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.png", "elsewhere/2.png", "photos/dog/1.png")
    (tmp_path / "photos/cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/dog/linked.png").symlink_to(tmp_path / "elsewhere/1.png")
    photos = tmp_path / "photos"
    assert names_of(photos) == ["cat/1.png", "cat/2.png", "dog/1.png", "dog/linked.png"]
    assert class_folders(photos, DataError).numbers == (0, 0, 1, 1)
    assert labels_of(photos, image_files(photos, DataError), ("cat", "dog")) == [0, 0, 1, 1]
    (photos / "dog/again").symlink_to(photos)
    with pytest.raises(DataError, match="dog/again is a link to a folder that it lies in"):
        image_files(photos, DataError)


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("train", "val"), ("train", "val")),
        (("Train", "Valid"), ("train", "val")),
        (("training", "validation", "testing"), ("train", "val", "test")),
        (("train", "test"), ("train", "test")),
        (("train",), ("train",)),
        (("train", "car"), ()),  # what a camera at a crossing sees
        (("car", "test"), ()),
        (("val",), ()),
        (("cat", "dog"), ()),
    ],
)
def test_the_usual_names_of_parts_are_recognised(
    tmp_path: Path, folders: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    touch(tmp_path, *(f"{folder}/cat/1.png" for folder in folders), "__MACOSX/x.png", "classes.txt")
    found = split_folders(tmp_path, DataError)
    assert set(found) == set(parts)
    assert {folder.name.lower()[:2] for folder in found.values()} == {part[:2] for part in parts}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("train/a/1.png", "val/a/1.png", "validation/a/1.png"), "holds train, val, validation, two for the same part"),
        (("train/a/1.png", "Train/a/1.png"), "two for the same part"),
        (("train/a/1.png", "val/a/1.png", "car/1.png"), "holds train, val, and car beside them"),
        (("train/a/1.png", "val/a/1.png", "1.png"), "and 1.png beside them"),
        (("val/a/1.png", "test/a/1.png"), "holds test, val, parts of a data set, but no train: add it"),
    ],
)
def test_parts_that_are_not_plain_are_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_folders(touch(tmp_path, *files), DataError)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("cat/1.png",), "holds one class alone, cat: give one subfolder for each class"),
        (("cat/1.png", "dog/1.png", "logo.png"), r"holds images \(logo.png\) beside subfolders \(cat\)"),
        (("cat/notes.txt", "dog/notes.txt"), "cannot read images from .*: it holds none"),
        ((".hidden/1.png",), "cannot read images from .*: it holds none"),
        (("cat/1.heic", "dog/1.png"), "cat/1.heic is of a format that is not read; make it a PNG or JPEG"),
        (("cat/1.TIFF", "dog/1.png"), "cat/1.TIFF is of a format that is not read"),
        (("photos/train/a/1.png", "photos/val/a/1.png"), "photos is divided in parts: name it"),
        (("cat/train/1.png", "cat/test/1.png", "dog/train/1.png"), "cat is divided in parts"),
    ],
)
def test_classes_that_are_not_plain_are_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        class_folders(touch(tmp_path, *files), DataError)
    assert len(str(caught.value).splitlines()) == 1


def test_other_parts_have_the_classes_of_the_training_images(tmp_path: Path) -> None:
    part = touch(tmp_path, "cat/1.png", "dog/1.png")
    found = class_folders(part, DataError, ("bird", "cat", "dog"))
    assert (found.classes, found.numbers) == (("bird", "cat", "dog"), (1, 2))
    with pytest.raises(DataError, match=r"holds dog, which is no class of the training images \(cat\)"):
        class_folders(part, DataError, ("cat",))
    with pytest.raises(DataError, match="has subfolders, unlike the training images"):
        class_folders(part, DataError, ())
    with pytest.raises(DataError, match="has no subfolders for classes, unlike the training images"):
        class_folders(touch(tmp_path / "plain", "1.png"), DataError, ("cat", "dog"))


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nowhere: No such file"):
        image_files(tmp_path / "nowhere", DataError)
    (tmp_path / "around").symlink_to(tmp_path / "around")
    with pytest.raises(DataError, match=r"cannot read .*around: Too many levels of symbolic links"):
        image_files(tmp_path / "around", DataError)


@pytest.mark.parametrize("under", ["", "cat", "test", "test/cat"])
def test_labels_are_known_wherever_in_the_data_set_one_looks(tmp_path: Path, under: str) -> None:
    touch(tmp_path, "test/cat/1.png", "test/cat/deep/2.png", "train/cat/3.png", "cat/4.png")
    folder = tmp_path / under
    found = labels_of(folder, image_files(folder, DataError), ("bird", "cat"))
    assert found
    assert set(found) == {1}


def test_one_image_without_a_class_leaves_all_without(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "unsorted/2.png")
    assert labels_of(tmp_path, image_files(tmp_path, DataError), ("cat",)) is None
