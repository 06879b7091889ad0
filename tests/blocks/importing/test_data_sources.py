"""Data sets are split once and for all by their seed; files that are not what they should be are refused unread.

Covers also: blocks.importing.npz_data.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from legodnn.blocks.importing.data import Dataset, Scaling, Split
from legodnn.blocks.importing.data_sources import data_of, load_data
from legodnn.errors import DataError
from legodnn.recipe import Recipe


def rows(split: Split) -> list[bytes]:
    return [image.tobytes() for image in split.x]


def test_digits_have_the_shape_and_range_that_models_take() -> None:
    digits = load_data("digits", image_size=16)
    assert digits.image_shape == (16, 16, 1)
    assert digits.labels == tuple("0123456789")
    assert digits.train.x.dtype == np.float32
    assert digits.train.x.min() >= digits.scaling.range[0]
    assert digits.train.x.max() <= digits.scaling.range[1]
    assert digits.train.x.max() > 0.9


def test_splits_are_disjoint_and_together_the_whole() -> None:
    digits = load_data("digits", image_size=8)
    parts = [digits.train, digits.val, digits.test]
    assert sum(len(p) for p in parts) == 1797
    images = [set(rows(p)) for p in parts]
    # A handful of the digits are drawn twice in the set itself; anything more would be an overlap of the splits.
    assert len(images[0] & images[1]) + len(images[0] & images[2]) + len(images[1] & images[2]) <= 2
    for part in parts:
        assert isinstance(part.y, np.ndarray)
        assert len(part.x) == len(part.y)
        assert set(part.y) == set(range(10))


def test_the_seed_decides_the_splits() -> None:
    first, again, other = load_data("digits", 3, 8), load_data("digits", 3, 8), load_data("digits", 4, 8)
    assert rows(first.train) == rows(again.train)
    assert rows(first.test) == rows(again.test)
    np.testing.assert_array_equal(first.val.y, again.val.y)
    assert rows(first.train) != rows(other.train)


@pytest.mark.parametrize("source", ["mnist", "", "images", "images:", "digits:x", "CIFAR10:x"])
def test_an_unknown_source_is_refused_with_the_known_ones(source: str) -> None:
    with pytest.raises(
        DataError, match=r"use digits, cifar10, cifar10:DIR, images:DIR, .*, npz:FILE or module:function"
    ):
        load_data(source)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Forty PNGs in each of two classes: dark cats, bright dogs."""
    for label, base in (("cat", 0), ("dog", 200)):
        (tmp_path / label).mkdir()
        for i in range(40):
            image = np.full((9, 12, 3), base + i, np.uint8)
            (tmp_path / label / f"{i:02}.png").write_bytes(tf.io.encode_png(image).numpy())
    return tmp_path


def test_a_folder_of_images_gives_scaled_images_with_the_folders_as_classes(pictures: Path) -> None:
    data: Dataset = load_data(f"images:{pictures}", image_size=8)
    assert data.labels == ("cat", "dog")
    assert data.image_shape == (8, 8, 3)
    assert len(data.train) + len(data.val) + len(data.test) == 80
    for split in (data.train, data.val, data.test):
        x = np.asarray(split.x)
        np.testing.assert_array_equal(x.mean(axis=(1, 2, 3)) > 0.5, split.y == 1)
        assert x.max() <= 1
        assert x.dtype == split.x.dtype == np.float32


def test_too_few_images_are_refused_with_their_number(pictures: Path) -> None:
    for file in sorted(pictures.rglob("*.png"))[::2]:
        file.unlink()
    with pytest.raises(DataError, match="leaves only 6 validation images; at least 10 are needed"):
        load_data(f"images:{pictures}")


def test_a_broken_image_is_refused_by_name(pictures: Path) -> None:
    (pictures / "dog" / "07.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError, match=r"cannot read .*dog/07.png as an image"):
        load_data(f"images:{pictures}")


def test_a_folder_without_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot read images from"):
        load_data(f"images:{tmp_path}")
    with pytest.raises(DataError, match="is not a folder"):
        load_data(f"images:{tmp_path / 'missing'}")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=rf"{tmp_path}/none is not a folder"):
        load_data("images:~/none")


def test_images_without_subfolders_have_no_labels(pictures: Path) -> None:
    for file in sorted(pictures.rglob("*.png")):
        file.rename(pictures / f"{file.parent.name}{file.name}")
    for folder in ("cat", "dog"):
        (pictures / folder).rmdir()
    data = load_data(f"images:{pictures}", image_size=8)
    assert data.labels == ()
    assert [split.y for split in (data.train, data.val, data.test)] == [None] * 3
    assert len(data.train) + len(data.val) + len(data.test) == 80
    assert data.train.first(3).y is None


def test_a_class_without_images_keeps_its_number_and_is_warned_of(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pictures / "cow").mkdir()
    with caplog.at_level(logging.INFO, "legodnn.blocks"):
        data = load_data(f"images:{pictures}", image_size=8)
    assert data.labels == ("cat", "cow", "dog")
    assert set(np.asarray(data.train.y)) == {0, 2}
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", f"{pictures} holds no image of cow; that stays a class")
    ]


def archive(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "mine.npz", **arrays)
    return f"npz:{folder / 'mine.npz'}"


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 5, 3)).astype(np.uint8)


def test_arrays_are_split_with_their_labels_and_pixels_are_scaled(tmp_path: Path) -> None:
    x = pixels(100)
    x[:, 0, 0, 0] = np.arange(100)
    data = load_data(archive(tmp_path, x=x, y=np.arange(100, dtype=np.uint8)), seed=2, scaling=Scaling((-1, 1)))
    assert (data.name, data.labels, data.image_shape) == ("mine", (), (4, 5, 3))
    assert [len(s) for s in (data.train, data.val, data.test)] == [65, 15, 20]
    assert sorted(np.concatenate([s.y for s in (data.train, data.val, data.test)])) == list(range(100))
    for split in (data.train, data.val, data.test):
        assert isinstance(split.y, np.ndarray)
        assert split.y.dtype == np.int64
        np.testing.assert_allclose((np.asarray(split.x)[:, 0, 0, 0] + 1) * 127.5, split.y, atol=1e-4)
    assert data.scaling == Scaling((-1, 1))


def test_arrays_that_come_split_stay_so_in_an_order_that_the_seed_decides(tmp_path: Path) -> None:
    sizes = {"train": 30, "val": 10, "test": 12}
    parts = {f"x_{name}": pixels(n, n) for name, n in sizes.items()}
    labels = {f"y_{name}": np.arange(n) for name, n in sizes.items()}
    data = load_data(archive(tmp_path, **parts, **labels), seed=3)
    for name, split in zip(sizes, (data.train, data.val, data.test), strict=True):
        np.testing.assert_allclose(split.x, parts[f"x_{name}"][split.y] / np.float32(255), rtol=1e-6)
        np.testing.assert_array_equal(split.y, np.random.default_rng(3).permutation(sizes[name]))
    assert load_data(archive(tmp_path, **parts)).val.y is None


@pytest.mark.parametrize("suffixes", [("",), ("_train", "_val", "_test")])
def test_frames_of_a_clip_stay_together_in_arrays(tmp_path: Path, suffixes: tuple[str, ...]) -> None:
    arrays = {f"{name}{suffix}": array for suffix in suffixes for name, array in (("x", pixels(80)), ("y", range(80)))}
    data = load_data(archive(tmp_path, **arrays), frames=4)
    for split in (data.train, data.val, data.test):
        clips = np.reshape(np.asarray(split.y), (-1, 4))
        assert (clips == clips[:, :1] + range(4)).all()
        assert (clips[:, 0] % 4 == 0).all()
        assert (np.diff(clips[:, 0]) < 0).any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
def test_arrays_other_than_uint8_are_what_the_model_takes(tmp_path: Path, dtype: str) -> None:
    x = np.random.default_rng(0).normal(100, 50, (10, 4, 4, 1)).astype(dtype)
    data = load_data(archive(tmp_path, x_train=x, x_val=x, x_test=x), scaling=Scaling((0, 1), (3.0,), (2.0,)))
    assert data.train.x.dtype == np.float32
    np.testing.assert_array_equal(np.sort(data.train.x, axis=0), np.sort(x.astype(np.float32), axis=0))


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (255.0, True), (0.01, True)])
def test_arrays_of_another_range_than_scaled_pixels_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, factor: float, warned: bool
) -> None:
    x = np.linspace(0, factor, 100 * 4 * 4, dtype=np.float32).reshape(100, 4, 4, 1)
    x = np.random.default_rng(0).permutation(x)
    load_data(archive(tmp_path, x=x))
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(messages) == warned
    if warned:
        assert "mine.npz holds numbers from " in messages[0]
        assert "but on a device pixels of images become 0 to 1: give uint8, or say input_range, " in messages[0]


def with_one(value: float) -> np.ndarray:
    x = np.zeros((100, 4, 4, 1), np.float32)
    x[41, 2, 1, 0] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "mine.npz holds neither x nor x_train; it has nothing"),
        ({"images": pixels(20)}, "mine.npz holds neither x nor x_train; it has images"),
        ({"x_train": pixels(20), "x_test": pixels(20)}, "mine.npz holds neither x nor x_val; it has x_test, x_train"),
        ({"x": pixels(100)[..., 0]}, r"mine.npz: x has shape \(100, 4, 5\), not \(images, height, width, channels\)"),
        ({"x": pixels(0)}, r"mine.npz: x has shape \(0, 4, 5, 3\)"),
        ({"x": pixels(20)}, "leaves only 3 validation images; at least 10 are needed"),
        ({"x": pixels(100), "y": np.zeros(99, int)}, r"x holds 100 images, y has shape \(99,\)"),
        ({"x": pixels(100), "y": np.zeros(101, int)}, r"x holds 100 images, y has shape \(101,\)"),
        ({"x": pixels(100), "y": np.array(3)}, r"x holds 100 images, y has shape \(\)"),
        (
            {"x": pixels(100), "labels": np.zeros(100, int)},
            "holds labels, which nothing reads: .* are called x, y; rename",
        ),
        ({"x": pixels(100), "Y": np.zeros(100, int)}, "holds Y, which nothing reads"),
        ({"x": pixels(100), "x_train": pixels(20)}, "holds x_train, which nothing reads"),
        (
            {**{f"x_{part}": pixels(10) for part in ("train", "val", "test")}, "y_valid": np.zeros(10, int)},
            "holds y_valid, which nothing reads: .* x_train, y_train, x_val, y_val, x_test, y_test; rename",
        ),
        (
            {f"{name}": pixels(10) for name in ("x_train", "x_val", "x_test")}
            | {"y_train": np.zeros(10, int), "y_test": np.zeros(10, int)},
            "holds labels y_train, y_test, but not y_val, on which all is measured",
        ),
        ({"x": np.full((100, 4, 4, 1), "a")}, "mine.npz: x holds <U1, not numbers"),
        ({"x": pixels(100).astype(complex)}, "mine.npz: x holds complex128, not numbers"),
        ({"x": with_one(np.nan)}, "some (training|validation|test) images hold NaN or infinity"),
        ({"x": with_one(np.inf)}, "some (training|validation|test) images hold NaN or infinity"),
        ({"x": np.full((100, 4, 4, 1), 1e300)}, "images hold NaN or infinity"),
        (
            {"x_train": pixels(10), "x_val": pixels(10)[:, 1:], "x_test": pixels(10)},
            r"validation images are float32 \(3, 5, 3\), not float32 \(4, 5, 3\)",
        ),
        (
            {"x_train": pixels(10), "x_val": pixels(10), "x_test": pixels(10), "y_test": np.zeros(9, int)},
            r"x_test holds 10 images, y_test has shape \(9,\)",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(archive(tmp_path, **arrays))


@pytest.mark.parametrize("kind", ["missing", "text", "npy", "truncated", "objects"])
def test_a_file_without_arrays_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    source = archive(tmp_path, x=np.array([{}] * 20) if kind == "objects" else pixels(20))
    file = tmp_path / "mine.npz"
    if kind == "missing":
        file.unlink()
    elif kind == "text":
        file.write_text("x = 1")
    elif kind == "npy":
        with file.open("wb") as f:
            np.save(f, pixels(20))
    elif kind == "truncated":
        file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"cannot read .*mine.npz: .+; it must be an .npz file") as caught:
        load_data(source)
    assert len(str(caught.value).splitlines()) == 1


MINE = """
import numpy as np
from legodnn.blocks.importing.data import Dataset, Split

def good():
    part = Split(np.zeros((10, 4, 4, 1), np.float32), np.zeros((10, 3)))
    return Dataset("boxes", ("cup",), part, part, part)

def ordered():
    def part(count):
        x = np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2, 1)
        return Split({"left": x, "right": x + 1}, (np.arange(count) // 10, np.arange(count)))
    return Dataset("ordered", (), part(40), part(20), part(20))

def listed():
    part = Split(np.zeros((10, 4, 4, 1), np.float32), [[1, 2]] * 10)
    return Dataset("listed", (), part, part, part)

def double():
    part = Split(np.zeros((10, 4, 4, 1)), None)
    return Dataset("double", (), part, part, part)

def arrays():
    return np.zeros(3)

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in the current folder."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    name = f"mine{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(MINE)
    yield name
    sys.modules.pop(name, None)


def test_a_function_of_ones_own_gives_a_data_set_with_labels_of_any_form(mine: str) -> None:
    data = load_data(f"{mine}:good")
    assert (data.name, data.labels, data.image_shape) == ("boxes", ("cup",), (4, 4, 1))
    assert data.val.y.shape == (10, 3)


def test_what_a_function_gives_in_order_is_shuffled(mine: str) -> None:
    data = load_data(f"{mine}:ordered", seed=1)
    for split, count in ((data.train, 40), (data.val, 20), (data.test, 20)):
        assert split.y is not None
        tens, numbers = split.y
        assert numbers.tolist() == np.random.default_rng(1).permutation(count).tolist()
        np.testing.assert_array_equal(tens, numbers // 10)
        np.testing.assert_array_equal(split.x[:]["left"][:, 0, 0, 0], numbers * 4)
        np.testing.assert_array_equal(split.x[:]["right"], split.x[:]["left"] + 1)
    y = load_data(f"{mine}:ordered", frames=5).val.y
    assert y is not None
    clips = y[1].reshape(4, 5)
    assert (clips == clips[:, :1] + range(5)).all()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("arrays", "gave ndarray, not a legodnn.blocks.importing.data.Dataset"),
        ("double", r"training images are float64 \(4, 4, 1\), not float32 \(4, 4, 1\)"),
        ("listed", "training labels are list, not an array"),
        ("missing", r"has no attribute 'missing'\); use digits, cifar10"),
        ("number", ":number' is no function, but int"),
    ],
)
def test_a_function_of_ones_own_that_gives_something_else_is_refused(mine: str, function: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(f"{mine}:{function}")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("field", ["input_mean", "input_std"])
def test_another_number_of_values_than_channels_is_refused_when_data_is_read(
    tmp_path: Path, field: str, dtype: str
) -> None:
    source = archive(tmp_path, x=pixels(100).astype(dtype))
    recipe = Recipe.model_validate({"model": "x", "name": "x", "data": source, field: (1.0, 2.0)})
    with pytest.raises(DataError, match=f"{field} has 2 values for 3 channels"):
        data_of(recipe)
    with pytest.raises(DataError, match=f"digits: {field} has 2 values for 1 channel"):
        data_of(recipe.model_copy(update={"data": "digits"}))


@pytest.mark.parametrize(
    ("field", "value", "digits_take_it"),
    [("image_size", 16, True), ("input_fit", "crop", False)],
)
def test_sizes_are_refused_where_no_image_is_brought_to_one(
    field: str, value: object, digits_take_it: bool, tmp_path: Path
) -> None:
    source = archive(tmp_path, x=pixels(100))
    recipe = Recipe.model_validate({"model": "x", "name": "x", "data": source, field: value})
    with pytest.raises(DataError, match=f"{field} is for folders of images, and npz:.* gives arrays as they are"):
        data_of(recipe)
    if digits_take_it:
        assert data_of(recipe.model_copy(update={"data": "digits"})).image_shape == (16, 16, 1)
    else:
        with pytest.raises(DataError, match=f"{field} is for folders of images"):
            data_of(recipe.model_copy(update={"data": "digits"}))


def test_a_recipe_scales_the_pixels_as_its_model_takes_them() -> None:
    recipe = Recipe(model="x", name="x", image_size=8, input_range=(-1.0, 1.0), input_std=(2.0,))
    data = data_of(recipe)
    assert data.scaling == Scaling((-1.0, 1.0), (), (2.0,))
    assert data.train.x.min() == -0.5
    assert data_of(recipe.model_copy(update={"input_range": None, "input_std": None})).scaling == Scaling()
